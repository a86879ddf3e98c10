"""Kills a run at chosen moments, and says whether two runs ended with the same bits."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tests.conftest import environment
from tests.e2e.test_processes import alive, descendants

from limpid import checkpoint

#: The module that stops a process inside the writing of a checkpoint, and its stages.
STOPPING = Path(__file__).parent / "stopping"
STAGES = ("half", "written", "linked", "kept", "moved")

#: Lightning's own count for what is logged without a step, which nothing here is: it may count a restart as one step.
NOT_COMPARED = {"_batches_that_stepped"}

_PATIENCE = 300.0  # seconds that a moment may take to come


@dataclass(frozen=True)
class Moment:
    """When to kill.

    Attributes:
        kind: `step`: while training; `write`: inside the writing of a checkpoint; `test`: once a test image is stored.
        count: of steps, or of checkpoints, that this start of the run has done.
        delay: seconds after the step was seen.
        stage: of the writing; see stopping/sitecustomize.py.
        share: of the bytes that are on the disk at stage `half`.
    """

    kind: str
    count: int = 0
    delay: float = 0.0
    stage: str = ""
    share: float = 0.0

    def __str__(self) -> str:
        return {
            "step": f"{self.delay:.3f} s after {self.count} more steps",
            "write": f"in checkpoint {self.count}, {self.stage}" + f" ({self.share:.0%})" * (self.stage == "half"),
            "test": "in the test",
        }[self.kind]


def moments(seed: int, stages: tuple[str, ...], steps: int) -> list[Moment]:
    """Random moments in random order: one in each of `stages` and `steps` others while training, then one in the test."""
    chance = random.Random(seed)
    writes = [Moment("write", chance.randint(1, 3), stage=stage, share=chance.random()) for stage in stages]
    others = [Moment("step", chance.randint(1, 5), delay=chance.uniform(0.0, 0.1)) for _ in range(steps)]
    return [*chance.sample([*writes, *others], len(stages) + steps), Moment("test")]


def run_of(folder: Path) -> Path:
    """The one run in the store of `folder`."""
    [config] = (folder / "runs").rglob("config.yaml")
    return config.parent


def command(*arguments: str) -> list[str]:
    """The command line of `limpid ARGUMENTS`."""
    return [sys.executable, "-c", "from limpid.cli import main; main()", *arguments]


def kill_at(moment: Moment, folder: Path, arguments: tuple[str, ...]) -> None:
    """Start the command in `folder`, and send SIGKILL to all of its processes when the moment comes."""
    stopped = folder / "stopped"
    stopped.unlink(missing_ok=True)
    more = {}
    if moment.kind == "write":
        path = os.pathsep.join(filter(None, [str(STOPPING), os.environ.get("PYTHONPATH")]))
        more = {"PYTHONPATH": path, "STOP_AT": f"{moment.stage}:{moment.count}:{moment.share}", "STOPPED": str(stopped)}
    lines = len(_steps(folder))
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command(*arguments), cwd=folder, env=environment(folder, **more), stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + _PATIENCE
        while not {
            "step": lambda: len(_steps(folder)) >= lines + moment.count,
            "write": stopped.exists,
            "test": lambda: next(folder.rglob("images/*/*.png"), None) is not None,
        }[moment.kind]():
            assert process.poll() is None, f"it ended before {moment}:\n{(folder / 'output.txt').read_text()}"
            assert time.monotonic() < deadline, f"{moment} did not come"
            time.sleep(0.005)
        time.sleep(moment.delay)
        kill_all(process)
    assert process.returncode == -signal.SIGKILL, f"it ended before {moment}"
    assert not list(folder.rglob("metrics.json"))


def kill_all(process: subprocess.Popen[Any]) -> None:
    """SIGKILL to the group of `process` and to every process it started; returns when none is left."""
    others = descendants(process.pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for other in others:
        with contextlib.suppress(ProcessLookupError):
            os.kill(other, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + _PATIENCE
    while any(alive(other) for other in others):
        assert time.monotonic() < deadline, "a process outlived SIGKILL"
        time.sleep(0.005)


def _steps(folder: Path) -> list[str]:
    """The steps whose loss is in curves.csv."""
    curves = next((folder / "runs").rglob("curves.csv"), None)
    return [line for line in curves.read_text().splitlines() if ",train/loss," in line] if curves else []


def left_behind(folder: Path) -> dict[str, Any]:
    """All that must not depend on interruptions: whole checkpoints, curves, scores, pictures, and which files there are."""
    run = run_of(folder)
    files = {str(file.relative_to(run)): file for file in sorted(run.rglob("*")) if file.is_file()}
    return {
        "files": list(files),
        "checkpoints": {name: checkpoint.read(run / "checkpoints" / name) for name in ("last.ckpt", "best.ckpt")},
        "metrics": json.loads(files["metrics.json"].read_text()),
        "text": {name: files[name].read_text() for name in ("per_image.csv", "curves.csv")},
        "pictures": {name: file.read_bytes() for name, file in files.items() if name.endswith(".png")},
    }


def differences(a: Any, b: Any, where: str = "") -> Iterator[str]:
    """The places in which two nested values differ in any bit."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        same = a.dtype == b.dtype and a.shape == b.shape
        if not same or checkpoint.weights_fingerprint({"": a}) != checkpoint.weights_fingerprint({"": b}):
            yield f"{where}: tensors"
    elif isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys([*a, *b]):
            if key in NOT_COMPARED:
                continue
            if (key in a) != (key in b):
                yield f"{where}/{key}: only in one"
            else:
                yield from differences(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        for index, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from differences(one, other, f"{where}/{index}")
    elif type(a) is not type(b) or repr(a) != repr(b):
        yield f"{where}: {a!r}, {b!r}"
