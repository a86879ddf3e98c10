"""A disk that fills up while a checkpoint is written: the one before stays, it is said, and the run can go on."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.conftest import Limpid, environment
from tests.e2e import harness
from tests.e2e.test_kills import COMMAND

from limpid import checkpoint

# One validation at the end, so that only last.ckpt and the one before it are written until then.
ARGUMENTS = (
    *COMMAND, "model=aod_net", "trainer.max_steps=24", "trainer.val_check_interval=24", "data.test_images=2",
)  # fmt: skip
PROCESSES = {"one": (), "two": ("trainer=ddp_cpu",)}

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 4 MB in memory."""
    place = tmp_path_factory.mktemp("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("only root may mount a file system here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def refused(folder: Path, done: subprocess.CompletedProcess[str], why: str) -> int:
    """Check what a full disk left and what was said; the step of the checkpoint that is there."""
    assert done.returncode == 2, done.stderr
    said = [line for line in done.stderr.splitlines() if not line.startswith("train ")]
    run = harness.run_of(folder)
    last = run / "checkpoints" / "last.ckpt"
    assert said == [
        f"The checkpoint {last} could not be written ({why}); the one before it is untouched: make room on the disk "
        "and give the same command again."
    ]
    assert json.loads((run / "status.json").read_text())["status"] == "failed"
    assert not [
        file.name for file in last.parent.iterdir() if file.suffix != ".ckpt" and file.name != checkpoint.RECORD
    ]
    step: int = checkpoint.read(last)["provenance"]["step"]
    return step


@pytest.mark.parametrize("processes", PROCESSES)
def test_a_disk_without_room_for_the_next_checkpoint(
    limpid: Limpid, tmp_path: Path, small_disk: Path, processes: str
) -> None:
    arguments = (*ARGUMENTS, *PROCESSES[processes])
    limpid(*arguments)
    whole = harness.left_behind(tmp_path)
    size = (harness.run_of(tmp_path) / "checkpoints" / "last.ckpt").stat().st_size

    room = int(2.6 * size) + 32_000  # two checkpoints, half of a third, and the small files
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(4 * 2**20 - room))
    done = subprocess.run(
        harness.command(*arguments), cwd=small_disk, env=environment(small_disk), capture_output=True, text=True
    )
    assert refused(small_disk, done, "[Errno 28] No space left on device") == 6

    ballast.unlink()
    limpid(*arguments, LIMPID_RUNS=str(small_disk / "runs"))
    assert list(harness.differences(whole, harness.left_behind(small_disk))) == []


def test_a_checkpoint_that_may_not_grow_to_its_size(
    limpid: Limpid, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same without a file system of its own: the second start may only write files smaller than a checkpoint."""
    limpid(*ARGUMENTS)
    whole = harness.left_behind(tmp_path)
    size = (harness.run_of(tmp_path) / "checkpoints" / "last.ckpt").stat().st_size
    limit = int(0.7 * size)

    other = tmp_path_factory.mktemp("limited")
    harness.kill_at(harness.Moment("step", count=5), other, ARGUMENTS)
    before = checkpoint.read(harness.run_of(other) / "checkpoints" / "last.ckpt")["provenance"]["step"]
    done = subprocess.run(
        harness.command(*ARGUMENTS), cwd=other, env=environment(other), capture_output=True, text=True,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert refused(other, done, "[Errno 27] File too large") == before

    limpid(*ARGUMENTS, LIMPID_RUNS=str(other / "runs"))
    assert list(harness.differences(whole, harness.left_behind(other))) == []
