"""A training step of ours against the same network stepped plainly, interleaved in one run; and what the loop adds.

Ours is what `limpid train` does: the composed model with its precision and memory format. Plain is eager float32 in
NCHW with the same batch, optimizer, loss terms and threads. The loop is Lightning with our callbacks, logging and data
against our bare step.

    python benchmarks/train_step.py [--models rfd_student fdr] [--steps 10] [--threads 2] [OVERRIDE ...]
    python benchmarks/train_step.py --quality 150 [--seeds 3] [OVERRIDE ...]

With one thread, times are those of the processor. Memory is what a step takes above what was held before it.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import chain
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import lightning
import torch

import limpid
from limpid.config import instantiate
from limpid.config.compose import compose
from limpid.inference import restored_image
from limpid.losses import Step
from limpid.metrics import psnr
from limpid.models import Restorer
from limpid.models.adversarial import Adversarial
from limpid.models.batches import known_of
from measuring import Ratio, growth_mb, interleaved, peak_mb, table

#: By model, how its training differs from what the mini budget says: sizes, and weights that need no file.
SETTINGS = {
    "fdr": ["data.batch_size=16", "data.crop=63"],
    "aosr": ["data.crop=192", "training.mini.vgg19_weights=random"],
    "mprnet": [],
    "ssid": ["training.mini.vgg19_weights=random"],
    "mscnn": [],
    "famed_net": [],
    "gfn": [],
    "pfdn": [],
    "dehazing_4k": ["data.batch_size=2"],
    "dcpdn": ["training.mini.vgg16_weights=random"],
    "did_mdn": ["data=scenes_rain", "training.mini.vgg16_weights=random", "training.mini.start_weights=random"],
    "cycle_dehaze": ["training.mini.vgg16_weights=random"],
    "epdn": ["training.mini.vgg19_weights=random"],
    "refinednet": [],
    "da_net_translators": [],
    "da_net": ["training.mini.start_weights=random"],
    "deblurgan": ["training.mini.vgg19_weights=random"],
    "deblurgan_v2": ["training.mini.vgg19_weights=random"],
    "derain_cycle_gan": ["training.mini.vgg16_weights=random"],
    "rl_restore_tools": ["data.batch_size=24"],
}
MODELS = ("aod_net", "rfd_student", *SETTINGS)
LOOP = {"aod_net": 1000, "rfd_student": 100}  # and over how many steps


def words(model: str, overrides: list[str]) -> list[str]:
    """What composes a small training of `model` on made scenes."""
    return [f"model={model}", "data=scenes", "budget=mini", "trainer=cpu", "data.workers=0", *overrides]


def composed(model: str, overrides: list[str]) -> dict[str, Any]:
    """The plain configuration of a small training of `model` on made scenes."""
    return compose(words(model, overrides)).config


def batch_of(config: dict[str, Any]) -> dict[str, Any]:
    """The first batch of the training set."""
    data = instantiate.construct(config["data"], "data")
    data.steps = 1
    batch: dict[str, Any] = next(iter(data.train_dataloader()))
    return batch


def ours(
    restorer: Restorer, optimizer: Any, batch: dict[str, Any], precision: str, clip: float | None = None
) -> Callable[[], None]:
    """Our step, without Lightning around it."""

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss, _ = restorer.loss(restorer.make_step(batch))  # type: ignore[misc]
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(restorer.network.parameters(), clip)
        optimizer.step()

    return step


def plain(restorer: Restorer, optimizer: Any, batch: dict[str, Any], clip: float | None = None) -> Callable[[], None]:
    """The same network and terms in eager float32 and NCHW."""
    network = restorer.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss, _ = restorer.loss(Step(**known_of(batch), output=network(batch["input"])))  # type: ignore[misc]
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(restorer.network.parameters(), clip)
        optimizer.step()

    return step


def turns(model: Adversarial, batch: dict[str, Any], precision: str) -> Callable[[], None]:
    """A step of both sides of an adversarial model, without Lightning around it."""
    sides = (chain.from_iterable(part.parameters() for part in model.generators()), model.discriminator.parameters())
    optimizers = [model.make_optimizer(p for p in side if p.requires_grad) for side in sides]

    def optimize(player: int, loss: torch.Tensor, batch_idx: int) -> None:
        optimizers[player].zero_grad(set_to_none=True)
        loss.backward()
        optimizers[player].step()

    model.optimize = optimize  # type: ignore[method-assign]
    model.generators_turn = lambda batch_idx: True  # type: ignore[method-assign]  # it asks the Trainer

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            model.training_step(batch, 0)  # type: ignore[arg-type]

    return step


def compare_turns(model: str, first: Adversarial, batch: dict[str, Any], precision: str, repeats: int) -> Ratio:
    """The steps of both sides of an adversarial model, and their memory."""
    second = copy.deepcopy(first)
    second.configure_network("contiguous_format")
    own, other = turns(first, batch, precision), turns(second, batch, "32")
    seconds = interleaved({"ours": own, "plain": other}, repeats)
    memory = {"ours": growth_mb(own), "plain": growth_mb(other)}
    shape = "x".join(map(str, batch["input"].shape))
    facts = (
        f"both sides, batch {shape}, {precision}: {seconds['ours'] * 1000:.0f} ms and "
        f"{memory['ours']:.0f} MiB, plain {seconds['plain'] * 1000:.0f} ms and {memory['plain']:.0f} MiB"
    )
    return Ratio(f"training step of {model}", seconds["plain"] / seconds["ours"], 3, facts)


def compare(model: str, repeats: int, overrides: list[str]) -> Ratio:
    """The network's step, its memory, and its loss terms on a ready output beside a bare L1."""
    config = composed(model, [*SETTINGS.get(model, ()), *overrides])
    batch = batch_of(config)
    first = limpid.model(*words(model, [*SETTINGS.get(model, ()), *overrides])).train()
    precision = str(config["trainer"]["precision"])
    if isinstance(first, Adversarial):
        return compare_turns(model, first, batch, precision, repeats)
    second = copy.deepcopy(first)
    optimizers = [restorer.optimizer(restorer.network.parameters()) for restorer in (first, second)]  # type: ignore[misc]
    own, other = ours(first, optimizers[0], batch, precision), plain(second, optimizers[1], batch)
    seconds = interleaved({"ours": own, "plain": other}, repeats)
    memory = {"ours": growth_mb(own), "plain": growth_mb(other)}
    output = second.network(batch["input"])
    asked = Step(**known_of(batch), output=output)
    bare = {"l1": lambda: (restored_image(output) - batch["target"]).abs().mean()}
    terms = interleaved({"terms": lambda: second.loss(asked), **bare}, repeats)  # type: ignore[misc]
    share = {name: f"{value / seconds['ours']:.1%}" for name, value in terms.items()}
    facts = (
        f"batch {'x'.join(map(str, batch['input'].shape))}, {precision}: {seconds['ours'] * 1000:.0f} ms and "
        f"{memory['ours']:.0f} MiB, plain {seconds['plain'] * 1000:.0f} ms and {memory['plain']:.0f} MiB; loss terms "
        f"{share['terms']} of our step (a bare L1 {share['l1']})"
    )
    return Ratio(f"training step of {model}", seconds["plain"] / seconds["ours"], 3, facts)


def quality(steps: int, seeds: int, overrides: list[str]) -> None:
    """Print the PSNR on the validation scenes after a short training of the student, ours and plain, for each seed."""
    for seed in range(seeds):
        settings = [f"seed={seed}", "data.crop=64", *overrides]
        config = composed("rfd_student", settings)
        lightning.seed_everything(seed, verbose=False)
        first = limpid.model(*words("rfd_student", settings)).train()
        second = copy.deepcopy(first)
        data = instantiate.construct(config["data"], "data")
        data.steps = steps
        optimizers = [restorer.optimizer(restorer.network.parameters()) for restorer in (first, second)]  # type: ignore[misc]
        clip = config["trainer"]["gradient_clip_val"]
        for batch in data.train_dataloader():
            ours(first, optimizers[0], batch, str(config["trainer"]["precision"]), clip)()
            plain(second, optimizers[1], batch, clip)()
        found = []
        for restorer in (first, second):
            restorer.eval()
            scores = [psnr(restorer.restore(b["input"]), b["target"]).mean() for b in data.val_dataloader()]
            found.append(torch.stack(scores).mean().item())
        difference = found[0] - found[1]
        print(f"seed {seed}, {steps} steps: {found[0]:.2f} dB, plain {found[1]:.2f} dB, {difference:+.3f}", flush=True)


def loop(model: str, steps: int, overrides: list[str]) -> Ratio:
    """What Lightning, callbacks, logging and data add to the bare step of a small network: the ratio is bare by whole.

    One core steps, the other loads: with both in one process the figure would be the data's own cost.
    """
    from limpid.commands import train

    torch.set_num_threads(1)
    config = composed(model, overrides)
    batch = batch_of(config)
    restorer = limpid.model(*words(model, overrides)).train()
    optimizer = restorer.optimizer(restorer.network.parameters())  # type: ignore[misc]
    step = {"bare": ours(restorer, optimizer, batch, str(config["trainer"]["precision"]))}
    bare = [interleaved(step, steps // 5, time.perf_counter)["bare"]]
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LIMPID_RUNS"] = folder
        for some in (steps // 10, steps):
            typed = [*words(model, overrides), "data.workers=1"]
            settings = [f"trainer.max_steps={some}", "trainer.val_check_interval=100000", "data.test_images=1"]
            start = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                assert train.run([*typed, *settings]) == 0
            seconds.append(time.perf_counter() - start)
    # Before and after, for the machine's own drift.
    bare.append(interleaved(step, steps // 5, time.perf_counter)["bare"])
    whole = (seconds[1] - seconds[0]) / (steps - steps // 10)
    before, after = (f"{value * 1000:.1f}" for value in bare)
    mean = statistics.mean(bare)
    facts = (
        f"one thread and one loading process: {whole * 1000:.1f} ms a step; bare step {before} ms before and {after} "
        f"after, so the loop adds {whole / mean - 1:.1%}"
    )
    return Ratio(f"bare step of {model} beside the whole loop", mean / whole, None, facts)


def ratios(quick: bool) -> list[Ratio]:
    """What `make bench` shows."""
    found = [compare(model, 2 if quick else 10, []) for model in MODELS]
    return found if quick else [*found, *(loop(model, steps, []) for model, steps in LOOP.items())]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-loop", action="store_true", help="leave out the loop, which takes minutes")
    parser.add_argument("--quality", type=int, metavar="STEPS", help="only train the student so long, and compare")
    parser.add_argument("--seeds", type=int, default=3, help="of --quality")
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.quality:
        quality(options.quality, options.seeds, options.overrides)
        return
    print(table([]))
    for model in options.models:
        print(compare(model, options.steps, options.overrides), flush=True)
    print(f"threads {options.threads}; the process held at most {peak_mb():.0f} MiB")
    for model, steps in LOOP.items() if not options.no_loop else ():
        print(loop(model, steps, options.overrides), flush=True)


if __name__ == "__main__":
    main()
