"""A run that is killed and started again ends with the same bits as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from tests.conftest import Limpid, environment

from limpid import checkpoint

STEPS = 24
COMMAND = (
    "train", "+rfd/table5=aod_net", "data=scenes", "budget=smoke", "trainer=cpu", f"trainer.max_steps={STEPS}", "log_every=1",
    "callbacks.checkpoint.every=5", "trainer.val_check_interval=8", "data.val.clean.count=2", "trainer.accumulate_grad_batches=2",
)  # fmt: skip


def outcome(folder: Path) -> dict[str, object]:
    """What must not depend on interruptions: weights, metrics, per-image results and curves."""
    [config] = (folder / "runs").rglob("config.yaml")
    run = config.parent
    state = {name: checkpoint.read(run / "checkpoints" / name) for name in ("last.ckpt", "best.ckpt")}
    return {
        "weights": {n: checkpoint.weights_fingerprint(checkpoint.weights(c)) for n, c in state.items()},
        "raw": {n: checkpoint.weights_fingerprint(checkpoint.weights(c, raw=True)) for n, c in state.items()},
        "metrics": json.loads((run / "metrics.json").read_text())["metrics"],
        "per_image": (run / "per_image.csv").read_text(),
        "curves": (run / "curves.csv").read_text(),
    }


def stop_in_the_middle(folder: Path, arguments: tuple[str, ...], after: int, by: signal.Signals) -> tuple[int, str]:
    """Start the command and signal it, workers and all, once its curves show step `after`; its exit and stderr."""
    command = [sys.executable, "-c", "from limpid.cli import main; main()", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
        # A shell starts its background jobs with Ctrl-C ignored, and the tests may be one.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        curves = next(iter(folder.rglob("curves.csv")), None)
        lines = curves.read_text().splitlines() if curves else []
        if len(lines) > 1 and lines[-1].split(",")[0].isdigit() and int(lines[-1].split(",")[0]) >= after:
            os.killpg(process.pid, by)
            break
    _, err = process.communicate()
    return process.returncode, err


@pytest.mark.parametrize(
    ("workers", "callbacks"),
    [(0, "default"), (2, "ema")],
    ids=["plain", "ema"],
)
def test_a_killed_run_ends_as_if_it_had_not_been(
    limpid: Limpid, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, workers: int, callbacks: str
) -> None:
    arguments = (*COMMAND, f"callbacks={callbacks}", f"data.workers={workers}")
    limpid(*arguments)
    whole = outcome(tmp_path)

    other = tmp_path_factory.mktemp("killed")
    # the last checkpoint is then of step 16, between two optimizer steps
    ended, _ = stop_in_the_middle(other, arguments, after=17, by=signal.SIGKILL)
    assert ended == -signal.SIGKILL, "the run ended before it could be killed"
    [status] = other.rglob("status.json")
    assert json.loads(status.read_text())["status"] == "running"
    assert not list(other.rglob("metrics.json"))

    limpid(*arguments, LIMPID_RUNS=str(other / "runs"))
    assert outcome(other) == whole
    assert [int(line.split(",")[0]) for line in str(whole["curves"]).splitlines()[1:] if ",train/loss," in line] == [
        *range(1, STEPS + 1)
    ]


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    ended, err = stop_in_the_middle(
        tmp_path, (*COMMAND, "trainer.max_steps=5000", "data.workers=0"), after=3, by=signal.SIGINT
    )
    assert ended == 130
    assert err.rstrip().endswith("Interrupted; the same command continues where it was.")
    assert "Traceback" not in err
