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
LOOP = {"aod_net": 1000, "rfd_student": 100}  # and over how many steps


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


def loop(model: str, steps: int, overrides: list[str]) -> None:
    """Print what Lightning, callbacks, logging and data add to the bare step of a small network.

    One core steps, the other loads: with both in one process the figure would be the data's own cost.
    """
    from limpid.verbs import train

    torch.set_num_threads(1)
    with initialize(config_path=None, version_base="1.3"):
        config = composed(model, overrides)
    batch = batch_of(config)
    system = _system(config).train()
    optimizer = system.optimizer(system.network.parameters())  # type: ignore[misc]
    step = {"bare": ours(system, optimizer, batch, str(config["trainer"]["precision"]))}
    bare = [interleaved(step, steps // 5)["bare"]]
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LIMPID_RUNS"] = folder
        for some in (steps // 10, steps):
            words = [f"model={model}", "data=scenes", "budget=mini", "trainer=cpu", "data.workers=1", *overrides]
            settings = [f"trainer.max_steps={some}", "trainer.val_check_interval=100000", "data.test_images=1"]
            start = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                assert train.run([*words, *settings]) == 0
            seconds.append(time.perf_counter() - start)
    bare.append(interleaved(step, steps // 5)["bare"])  # before and after, for the machine's own drift
    whole = (seconds[1] - seconds[0]) / (steps - steps // 10)
    before, after = (f"{value * 1000:.1f}" for value in bare)
    print(
        f"loop with {model}, one thread and one loading process: {whole * 1000:.1f} ms a step; bare step {before} ms "
        f"before and {after} after, so the loop adds {whole / statistics.mean(bare) - 1:.1%}"
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
    for model, steps in LOOP.items():
        loop(model, steps, options.overrides)


if __name__ == "__main__":
    main()
