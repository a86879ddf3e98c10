"""A training step of ours against the same network stepped plainly, interleaved in one run; and what the loop adds.

Ours is what `limpid train` does: the composed system with its precision and memory format. Plain is eager float32 in
NCHW with the same batch, optimizer, loss terms and threads. The loop is Lightning with our callbacks, logging and data
against our bare step.

    python benchmarks/train_step.py [--models rfd_student fdr] [--steps 10] [--threads 2] [OVERRIDE ...]
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from hydra import compose, initialize
from omegaconf import open_dict

from limpid import targets
from limpid.inference import restored_image
from limpid.systems import Restorer
from limpid.verbs import compose as limpid_compose
from limpid.verbs.prepare import finish
from limpid.worker import _system

MODELS = ("aod_net", "rfd_student", "fdr")
LOOP_MODEL, LOOP_STEPS = "aod_net", 300


def composed(model: str, overrides: list[str]) -> dict[str, Any]:
    """The plain configuration of a small training of `model` on made scenes."""
    typed = [f"model={model}", "data=scenes", "budget=mini", "trainer=cpu", "data.workers=0", *overrides]
    config = compose("train", overrides=typed, return_hydra_config=True)
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return {**finish(config, typed, choices), "fingerprint": "", "does": "train"}


def batch_of(config: dict[str, Any]) -> dict[str, Any]:
    """The first batch of the training set."""
    data = targets.construct(config["data"], "data")
    data.steps = 1
    batch: dict[str, Any] = next(iter(data.train_dataloader()))
    return batch


def ours(system: Restorer, optimizer: Any, batch: dict[str, Any], precision: str) -> Callable[[], None]:
    """Our step, without Lightning around it."""

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss, _ = system.loss(system(batch["input"]), batch)  # type: ignore[misc]
        loss.backward()
        optimizer.step()

    return step


def plain(system: Restorer, optimizer: Any, batch: dict[str, Any]) -> Callable[[], None]:
    """The same network and terms in eager float32 and NCHW."""
    network = system.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss, _ = system.loss(network(batch["input"]), batch)  # type: ignore[misc]
        loss.backward()
        optimizer.step()

    return step


def interleaved(steps: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """The median seconds of each, taken in turn, after one of each that warms up."""
    took: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn:
                took[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in took.items()}


def compare(model: str, repeats: int, overrides: list[str]) -> None:
    """Print both ratios of one model: the network's step, and its loss terms on a ready output."""
    config = composed(model, overrides)
    batch = batch_of(config)
    first = _system(config).train()
    second = copy.deepcopy(first)
    precision = str(config["trainer"]["precision"])
    optimizers = [system.optimizer(system.network.parameters()) for system in (first, second)]  # type: ignore[misc]
    own, other = ours(first, optimizers[0], batch, precision), plain(second, optimizers[1], batch)
    seconds = interleaved({"ours": own, "plain": other}, repeats)
    output = second.network(batch["input"])
    bare = {"l1": lambda: (restored_image(output) - batch["target"]).abs().mean()}
    terms = interleaved({"terms": lambda: second.loss(output, batch), **bare}, repeats)  # type: ignore[misc]
    share = {name: f"{value / seconds['ours']:.1%}" for name, value in terms.items()}
    print(
        f"{model}, batch {tuple(batch['input'].shape)}, {precision}: ours {seconds['ours'] * 1000:.0f} ms, plain "
        f"{seconds['plain'] * 1000:.0f} ms, {seconds['plain'] / seconds['ours']:.2f} times as fast; its loss terms "
        f"take {share['terms']} of our step forwards (a bare L1 {share['l1']})"
    )


def loop(overrides: list[str]) -> None:
    """Print what Lightning, callbacks, logging and data add to the bare step of a small network."""
    from limpid.verbs import train

    with initialize(config_path=None, version_base="1.3"):
        config = composed(LOOP_MODEL, overrides)
    batch = batch_of(config)
    system = _system(config).train()
    optimizer = system.optimizer(system.network.parameters())  # type: ignore[misc]
    bare = interleaved({"bare": ours(system, optimizer, batch, str(config["trainer"]["precision"]))}, 50)["bare"]
    data = targets.construct(config["data"], "data")
    data.steps = 40
    batches = iter(data.train_dataloader())
    loading = interleaved({"load": lambda: next(batches)}, 30)["load"]
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LIMPID_RUNS"] = folder
        for steps in (LOOP_STEPS // 10, LOOP_STEPS):
            words = [f"model={LOOP_MODEL}", "data=scenes", "budget=mini", "trainer=cpu", "data.workers=0", *overrides]
            settings = [f"trainer.max_steps={steps}", "trainer.val_check_interval=100000", "data.test_images=1"]
            start = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                assert train.run([*words, *settings]) == 0
            seconds.append(time.perf_counter() - start)
    whole = (seconds[1] - seconds[0]) / (LOOP_STEPS - LOOP_STEPS // 10)
    print(
        f"loop with {LOOP_MODEL}: {whole * 1000:.1f} ms a step; bare step {bare * 1000:.1f} ms, loading its batch in "
        f"the same process {loading * 1000:.1f} ms, so the rest adds {(whole - bare - loading) / bare:.1%} of that step"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    limpid_compose.register()
    with initialize(config_path=None, version_base="1.3"):
        for model in options.models:
            compare(model, options.steps, options.overrides)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"threads {options.threads}; the process held at most {peak:.0f} MB")
    loop(options.overrides)


if __name__ == "__main__":
    main()
