"""A GPU in a few minutes: training steps per second, the share of the card's peak, resuming to the bit, a 4K picture.

    python benchmarks/gpu.py [--models rfd_student fdr] [--seconds 2] [--compile rfd_student] [--peak 790]

Each network takes its steps of the mini budget on one made batch that lies on the card: plain (float32, NCHW), and as
`limpid train trainer=gpu` takes them (bf16 autocast, channels_last). The share is of `--peak` TFLOP/s, what a bf16
matrix product of 8192x8192 reaches where none is given; operations are counted by torch's `FlopCounterMode`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import limpid
from limpid import checkpoint
from limpid.config import instantiate
from limpid.config.compose import compose
from limpid.errors import UserError
from limpid.models import Restorer
from limpid.runs.resolve import resolve
from limpid.runs.runner import perform

MODELS = ("aod_net", "rfd_student", "ffa_net", "gca_net", "grid_dehaze", "fdr", "aosr", "mprnet", "xydeblur", "msbdn")
#: What a step is made small or possible by where the mini budget alone does not do it.
SETTINGS = {"aosr": ["training.mini.vgg19_weights=random", "data.crop=192"]}


def words(model: str, *more: str) -> list[str]:
    """What composes a small training of `model` on made scenes on a GPU."""
    small = ["data=scenes", "budget=mini", "trainer=gpu", "data.workers=0"]
    return [f"model={model}", *small, *SETTINGS.get(model, ()), *more]


def rate(step: Callable[[], None], seconds: float) -> float:
    """Steps per second of `step`, over `seconds`, after five that warm up."""
    for _ in range(5):
        step()
    torch.cuda.synchronize()
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for _ in range(5):
            step()
        torch.cuda.synchronize()
        count += 5
    return count / (time.perf_counter() - began)


def peak() -> float:
    """The TFLOP/s of a bf16 product of two matrices of 8192x8192 random numbers."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return rate(lambda: _discard(a @ b), 1) * 2 * 8192**3 / 1e12


def _discard(_: torch.Tensor) -> None:
    return


def step_of(model: str, ours: bool, compiled: bool = False) -> tuple[Callable[[], None], tuple[int, ...]]:
    """One optimizer step of `model` on a made batch, and the batch's shape."""
    config = compose(words(model)).config
    data = instantiate.construct(config["data"], "data")
    data.steps = 1
    batch: dict[str, Any] = next(iter(data.train_dataloader()))
    batch = {key: value.cuda() if torch.is_tensor(value) else value for key, value in batch.items()}
    restorer = limpid.model(*words(model)).cuda().train()
    restorer.configure_network("channels_last" if ours else "contiguous_format", compiled)
    optimizer = restorer.optimizer(p for p in restorer.network.parameters() if p.requires_grad)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=ours):
            loss, _ = restorer.loss(restorer.make_step(batch))
        loss.backward()
        optimizer.step()

    return step, tuple(batch["input"].shape)


def steps(models: list[str], compiled: list[str], seconds: float, best: float) -> None:
    """Print the steps per second of each network, plain, ours and compiled."""
    for model in models:
        try:
            plain, shape = step_of(model, ours=False)
            with FlopCounterMode(display=False) as counter:
                plain()
            operations = counter.get_total_flops() / 1e12
            found = {"plain": rate(plain, seconds), "ours": rate(step_of(model, ours=True)[0], seconds)}
            if model in compiled:
                found["compiled"] = rate(step_of(model, ours=True, compiled=True)[0], seconds)
        except (UserError, RuntimeError, KeyError) as error:
            print(f"{model}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            continue
        fast = found["ours"]
        each = ", ".join(f"{name} {value:.1f}/s" for name, value in found.items())
        memory = torch.cuda.max_memory_allocated() / 2**30
        print(
            f"{model}: batch {'x'.join(map(str, shape))}, {each}; {operations:.3f} TFLOP a step, ours "
            f"{operations * fast:.1f} TFLOP/s = {operations * fast / best:.1%} of the peak; {memory:.1f} GiB",
            flush=True,
        )
        torch.cuda.reset_peak_memory_stats()


class PowerCutError(Exception):
    """Stands for a power cut."""


def resumes(folder: Path, *settings: str) -> str:
    """Whether a run that is cut in its middle ends with the bits of one that is not: a sentence."""
    small = ["+rfd/table5=student", "data=scenes", "budget=smoke", "trainer=gpu", "data.workers=0", *settings]
    small += ["trainer.max_steps=40", "callbacks.checkpoint.every=10", "data.val.clean.count=1", "data.test_images=1"]
    original = Restorer.training_step

    def cut(self: Restorer, batch: Any, batch_idx: int) -> Any:
        if batch_idx == 25:
            raise PowerCutError
        return original(self, batch, batch_idx)

    def run(name: str) -> None:
        perform(dataclasses.replace(resolve(tuple(small)), directory=folder / name))

    run("whole")
    Restorer.training_step = cut
    with contextlib.suppress(PowerCutError):
        run("cut")
    Restorer.training_step = original
    run("cut")
    run("again")
    names = ("whole", "cut", "again")
    ends = [checkpoint.read(folder / name / "checkpoints" / "last.ckpt")["state_dict"] for name in names]
    alike = [all(torch.equal(value, other[name]) for name, value in ends[0].items()) for other in ends[1:]]
    return f"resumed equal to the bit: {alike[0]}; the whole run twice: {alike[1]}"


def picture(model: str, seconds: float) -> None:
    """Print the seconds and memory of a 3840x2160 picture, in float32 and bf16."""
    network = limpid.build(model).cuda().eval().to(memory_format=torch.channels_last)
    x = torch.rand(1, 3, 2160, 3840, device="cuda").contiguous(memory_format=torch.channels_last)
    for precision in (None, torch.bfloat16):
        torch.cuda.reset_peak_memory_stats()

        def step(precision: torch.dtype | None = precision) -> None:
            with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=precision is not None):
                network(x)

        try:
            took = 1 / rate(step, seconds)
        except RuntimeError as error:
            print(f"{model} at 4K: {str(error)[:200]}")
            continue
        memory = torch.cuda.max_memory_allocated() / 2**30
        print(f"{model} at 3840x2160, {precision or 'float32'}: {took * 1000:.0f} ms, {memory:.1f} GiB", flush=True)


def main() -> int:
    """Print all figures, one a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--compile", nargs="*", default=[])
    parser.add_argument("--pictures", nargs="*", default=["rfd_student", "gca_net"])
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--peak", type=float)
    parser.add_argument("--no-resume", action="store_true")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("There is no GPU that torch can use here.", file=sys.stderr)
        return 2
    best = options.peak or peak()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}: bf16 product {best:.0f} TFLOP/s", flush=True)
    for model in options.pictures:
        picture(model, options.seconds)
    steps(options.models, options.compile, options.seconds, best)
    if not options.no_resume:
        for more in ((), ("+trainer.deterministic=true",)):
            with tempfile.TemporaryDirectory() as folder:
                print(f"{' '.join(more) or 'as it is'}: {resumes(Path(folder), *more)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
