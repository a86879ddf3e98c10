"""Several processes do what one does, end together, and go on where they were; tried with two on the CPU."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.conftest import Limpid, environment
from tests.e2e.test_resume import outcome

from limpid import checkpoint

# The smallest network that shows something, in float32, so that only the order of sums can differ.
NETWORK = ("network.groups=1", "network.blocks=1", "network.fusion_reduction=4")
COMMAND = (
    "train", "+rfd/table5=student", *NETWORK, "data=scenes", "budget=smoke", "trainer.precision=32-true", "data.workers=0",
    "trainer.max_steps=4", "data.batch_size=4", "trainer.gradient_clip_val=0.1", "log_every=1", "trainer.val_check_interval=2",
    "data.val.clean.count=3", "data.val.clean.height=32", "data.val.clean.width=32",
    "data.test.scenes.clean.count=31", "data.test.scenes.clean.height=32", "data.test.scenes.clean.width=40",
)  # fmt: skip
ALL = "data.test_images=null"
LONG = (*COMMAND, "trainer.max_steps=5000", "trainer.val_check_interval=5000", "callbacks.checkpoint.every=5")


class Ran:
    """What the one run in a store left behind."""

    def __init__(self, store: Path) -> None:
        [config] = store.rglob("config.yaml")
        self.path = config.parent
        self.name = self.path.relative_to(store)
        lines = list(csv.DictReader((self.path / "curves.csv").open())) if (self.path / "curves.csv").is_file() else []
        self.curves = {(int(line["step"]), line["name"]): float(line["value"]) for line in lines}
        assert len(self.curves) == len(lines), "every point is written once"
        self.per_image = list(csv.DictReader((self.path / "per_image.csv").open()))
        self.metrics = json.loads((self.path / "metrics.json").read_text())["metrics"]["scenes"]

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return checkpoint.weights(checkpoint.read(self.path / "checkpoints" / "last.ckpt"))


def same_up_to_rounding(a: Ran, b: Ran) -> None:
    """The losses of every step, the validations, the gradients (through the weights) and the scores of every image."""
    assert a.curves.keys() == b.curves.keys()
    assert list(a.curves.values()) == pytest.approx(list(b.curves.values()), rel=1e-5)
    for name, value in a.weights.items():
        torch.testing.assert_close(value, b.weights[name], rtol=0, atol=1e-6)
    scores = [[(row["set"], row["index"], row["name"]) for row in ran.per_image] for ran in (a, b)]
    assert scores[0] == scores[1]
    for metric in ("psnr", "ssim"):
        assert [float(row[metric]) for row in a.per_image] == pytest.approx(
            [float(row[metric]) for row in b.per_image], rel=1e-5
        )


def test_two_processes_train_and_test_as_one_does(limpid: Limpid, tmp_path: Path) -> None:
    stores = {name: tmp_path / name for name in ("one", "two", "tested")}
    limpid(*COMMAND, ALL, "trainer=cpu", LIMPID_RUNS=str(stores["one"]))
    shared = limpid(*COMMAND, ALL, "trainer=ddp_cpu", LIMPID_RUNS=str(stores["two"]))
    one, two = Ran(stores["one"]), Ran(stores["two"])
    assert one.name == two.name, "the number of processes is no part of what a run is"
    assert len(one.curves) == 4 * 3 + 2 * 2
    same_up_to_rounding(one, two)
    assert [int(row["index"]) for row in two.per_image] == list(range(31))
    assert two.metrics["psnr"]["n"] == 31
    assert shared.stderr.count("train 4/4") == shared.stdout.count("protocols:") == 1
    files = [sorted(str(f.relative_to(ran.path)) for f in ran.path.rglob("*") if f.is_file()) for ran in (one, two)]
    assert set(files[1]) - set(files[0]) == {"logs/process-1.log"}
    assert not set(files[0]) - set(files[1])
    assert (two.path / "logs" / "process-1.log").read_text() == "", "what one process says, the other does not repeat"
    assert json.loads((two.path / "status.json").read_text())["status"] == "done"
    assert json.loads((two.path / "environment.json").read_text())["processes"] == 2

    # The same weights score the same to the last bit, however many processes share the images.
    test = (
        "test",
        f"ckpt={two.path / 'checkpoints' / 'best.ckpt'}",
        "metrics=rfd",
        *(o for o in COMMAND if o.startswith("data")),
    )
    limpid(*test, "trainer=cpu", LIMPID_RUNS=str(stores["tested"]))
    assert Ran(stores["tested"]).per_image == two.per_image


@pytest.mark.slow
def test_accumulated_and_sharded_steps_are_the_same_too(limpid: Limpid, tmp_path: Path) -> None:
    stores = {name: tmp_path / name for name in ("one", "accumulated", "both", "sharded")}
    limpid(*COMMAND, "trainer=cpu", LIMPID_RUNS=str(stores["one"]))
    halved = (
        "data.batch_size=2",
        "trainer.max_steps=8",
        "trainer.accumulate_grad_batches=2",
        "trainer.val_check_interval=4",
    )
    limpid(*COMMAND, *halved, "trainer=cpu", LIMPID_RUNS=str(stores["accumulated"]))
    limpid(*COMMAND, *halved, "trainer=ddp_cpu", LIMPID_RUNS=str(stores["both"]))
    limpid(*COMMAND, "trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=2", LIMPID_RUNS=str(stores["sharded"]))
    one, accumulated, both, sharded = (Ran(store) for store in stores.values())
    same_up_to_rounding(one, sharded)
    same_up_to_rounding(accumulated, both)
    for name, value in one.weights.items():
        torch.testing.assert_close(value, accumulated.weights[name], rtol=0, atol=1e-6)
    for step in range(1, 5):
        halves = [accumulated.curves[2 * step - i, "train/loss"] for i in (0, 1)]
        assert one.curves[step, "train/loss"] == pytest.approx(sum(halves) / 2, rel=1e-5)


def test_a_sweep_starts_the_processes_of_its_jobs_and_no_second_sweep(limpid: Limpid, tmp_path: Path) -> None:
    done = limpid("train", "-m", *COMMAND[1:], "seed=0,1", "trainer=ddp_cpu", "trainer.max_steps=1")
    assert "2 jobs: 2 done" in done.stderr
    assert done.stderr.count("jobs:") == 1
    assert len(list((tmp_path / "runs").rglob("config.yaml"))) == 2
    assert len(list((tmp_path / "runs" / ".sweeps").glob("sweep-*"))) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}


@pytest.mark.slow
def test_what_one_process_refuses_is_said_once(limpid: Limpid, tmp_path: Path) -> None:
    refused = limpid(*COMMAND, "trainer=ddp_cpu", "optimizer.lr=1e30", "trainer.gradient_clip_val=1e30", expect=2)
    said = [line for line in refused.stderr.splitlines() if not line.startswith("train ")]
    assert len(said) == 1, refused.stderr
    assert "The loss is nan at step" in said[0] or "The loss is inf at step" in said[0]
    [status] = tmp_path.rglob("status.json")
    assert json.loads(status.read_text())["message"] == said[0]


def descendants(pid: int) -> list[int]:
    """Every process that `pid` started, and those started."""
    found = [
        int(file.parent.name)
        for file in Path("/proc").glob("[0-9]*/stat")
        if (text := _read(file)) and text.rsplit(")", 1)[1].split()[1] == str(pid)
    ]
    return [*found, *(deeper for child in found for deeper in descendants(child))]


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:  # it ended meanwhile
        return ""


def alive(pid: int) -> bool:
    text = _read(Path(f"/proc/{pid}/stat"))
    return bool(text) and text.rsplit(")", 1)[1].split()[0] != "Z"


def end_in_the_middle(
    folder: Path, arguments: tuple[str, ...], whom: int | None, by: signal.Signals, after: int = 3
) -> tuple[int, str]:
    """Start the command; at step `after` signal its process `whom`, or itself where None; its exit and stderr.

    Afterwards no process of the run is left.
    """
    command = [sys.executable, "-c", "from limpid.cli import main; main()", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        curves = next(iter(folder.rglob("curves.csv")), None)
        lines = curves.read_text().splitlines() if curves else []
        if len(lines) > 1 and lines[-1].split(",")[0].isdigit() and int(lines[-1].split(",")[0]) >= after:
            break
        time.sleep(0.02)
    started = descendants(process.pid)
    ranks = {int(_read(Path(f"/proc/{p}/environ")).split("\0RANK=")[1][0]): p for p in reversed(started)}
    assert set(ranks) >= {0, 1}
    os.kill(process.pid if whom is None else ranks[whom], by)
    _, err = process.communicate()
    while any(alive(pid) for pid in started):
        assert time.monotonic() < deadline, "a process outlived the command"
        time.sleep(0.02)
    return process.returncode, err


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="finds processes in /proc")


@needs_proc
def test_a_process_that_is_killed_ends_the_others_with_one_message(tmp_path: Path) -> None:
    ended, err = end_in_the_middle(tmp_path, (*LONG, "trainer=ddp_cpu"), whom=1, by=signal.SIGKILL)
    said = [line for line in err.splitlines() if not line.startswith("train ")]
    assert ended == 1
    assert len(said) == 1, err
    assert said[0].startswith(
        "Process 1 of 2 was killed by SIGKILL (if nobody did that, the machine ran out of memory)"
    )
    assert "the same command continues from the last checkpoint" in said[0]
    [status] = tmp_path.rglob("status.json")
    assert json.loads(status.read_text())["status"] == "failed"


@needs_proc
@pytest.mark.slow
def test_ctrl_c_and_a_killed_command_leave_no_process_behind(tmp_path: Path) -> None:
    arguments = (*LONG, "trainer=ddp_cpu", "data.workers=1")
    ended, err = end_in_the_middle(tmp_path, arguments, whom=None, by=signal.SIGINT)
    assert ended == 130
    assert err.rstrip().splitlines()[-1] == "Interrupted; the same command continues where it was."
    assert "Traceback" not in err
    shutil.rmtree(tmp_path / "runs")
    ended, _ = end_in_the_middle(tmp_path, arguments, whom=None, by=signal.SIGKILL)
    assert ended == -signal.SIGKILL


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize(
    "trainer",
    [("trainer=ddp_cpu", "trainer.devices=3"), ("trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=2")],
)
def test_a_killed_run_of_several_processes_ends_as_if_it_had_not_been(
    limpid: Limpid, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, trainer: tuple[str, ...]
) -> None:
    arguments = (
        *COMMAND,
        *trainer,
        "data.batch_size=6",
        "trainer.max_steps=16",
        "callbacks.checkpoint.every=5",
        "trainer.val_check_interval=8",
    )
    limpid(*arguments)
    whole = outcome(tmp_path)
    other = tmp_path_factory.mktemp("killed")
    ended, _ = end_in_the_middle(other, arguments, whom=None, by=signal.SIGKILL, after=12)
    assert ended == -signal.SIGKILL, "the run ended before it could be killed"
    limpid(*arguments, LIMPID_RUNS=str(other / "runs"))
    assert outcome(other) == whole


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("whom", [0, 1])
def test_a_process_that_hangs_is_named_within_the_limit_and_the_run_ends_with_the_same_bits(
    limpid: Limpid, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, whom: int
) -> None:
    arguments = (*COMMAND, "trainer=ddp_cpu", "trainer.max_steps=16", "callbacks.checkpoint.every=5")
    limpid(*arguments)
    whole = outcome(tmp_path)
    other = tmp_path_factory.mktemp("hung")
    within = (*arguments, "trainer.timeout_minutes=0.1")
    ended, err = end_in_the_middle(other, within, whom=whom, by=signal.SIGSTOP, after=12)
    assert ended == 1
    [said] = [line for line in err.splitlines() if not line.startswith("train ")]
    assert said.startswith(f"Of the 2 processes, process {whom} on ")
    assert said.endswith("gave no sign of life for three seconds: ended, stopped or cut off; the others end, and the same command "
                         "continues from the last checkpoint.")  # fmt: skip
    done = limpid(*arguments, LIMPID_RUNS=str(other / "runs"))
    assert "continues at step 10 of 16" in done.stderr
    assert outcome(other) == whole


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS])
def test_a_data_loading_process_that_dies_interrupts_the_run(
    limpid: Limpid, tmp_path: Path, by: signal.Signals
) -> None:
    arguments = (*COMMAND, "trainer=cpu", "data.workers=2", "callbacks.checkpoint.every=2", "trainer.max_steps=200")
    process = started(tmp_path, *arguments)
    wait_for_step(process, tmp_path, 5)
    os.kill(descendants(process.pid)[-1], by)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    said = err.splitlines()[-1]
    assert "A data-loading process (pid " in said  # PyTorch ends its own line with a NUL
    assert said.endswith("The same command continues from the last checkpoint.")
    assert "Traceback" not in err
    continues(limpid, tmp_path, arguments)


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT])
@pytest.mark.parametrize("group", [False, True])
def test_a_signal_ends_a_run_in_order(limpid: Limpid, tmp_path: Path, by: signal.Signals, group: bool) -> None:
    arguments = (*COMMAND, "trainer=cpu", "data.workers=2", "callbacks.checkpoint.every=2", "trainer.max_steps=200")
    process = started(tmp_path, *arguments)
    wait_for_step(process, tmp_path, 5)
    others = descendants(process.pid)
    (os.killpg if group else os.kill)(process.pid, by)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    said = [line for line in err.splitlines() if line and not line.startswith("train ")]
    assert said == ["Interrupted; the same command continues where it was."], err
    assert not [pid for pid in others if alive(pid)]
    continues(limpid, tmp_path, arguments)


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command in a process group of its own, as a shell starts it."""
    return subprocess.Popen(
        [sys.executable, "-c", "from limpid.cli import main; main()", *arguments], cwd=folder, env=environment(folder),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def wait_for_step(process: subprocess.Popen[str], folder: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        curves = next(iter(folder.rglob("curves.csv")), None)
        if curves is not None and curves.read_text().count(",train/loss,") >= step:
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to that step")


def continues(limpid: Limpid, folder: Path, arguments: tuple[str, ...]) -> None:
    """The status says that the run was interrupted, and at which step the same command continues."""
    status = json.loads(next(folder.rglob("status.json")).read_text())
    assert status["status"] == "interrupted"
    assert status["step"] >= 4
    done = limpid(*arguments, "trainer.max_steps=200")
    assert f"continues at step {status['step']} of 200" in done.stderr


@pytest.mark.slow
def test_processes_that_torchrun_starts_are_one_run(tmp_path: Path) -> None:
    def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
        starter = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
        command = [*starter, sys.executable, "-c", "from limpid.cli import main; main()", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=300
        )

    started = ("trainer=multi_node", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.sync_batchnorm=false")
    done = torchrun(*COMMAND, *started)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("protocols:") == 1
    assert Ran(tmp_path / "runs").metrics["psnr"]["n"] == 2
    again = torchrun(*COMMAND, *started, "rerun=true")
    assert again.returncode == 0, again.stderr
    assert "A sweep cannot be shared by the 2 processes that torchrun started" in torchrun("train", "-m").stderr
    assert (
        "torchrun started 2 processes, but trainer.devices=1" in torchrun(*COMMAND, "trainer=cpu", "rerun=true").stderr
    )


@pytest.mark.slow
def test_running_statistics_are_the_first_processes_and_uneven_validations_do_not_wait(
    limpid: Limpid, tmp_path: Path
) -> None:
    """One image to validate, three to test, and a network with buffers, on two processes."""
    (tmp_path / "conf" / "network").mkdir(parents=True)
    (tmp_path / "conf" / "network" / "norm.yaml").write_text("_target_: torch.nn.BatchNorm2d\nnum_features: 3\n")
    sizes = ("data.val.clean.count=1", "data.test_images=1", "trainer.max_steps=2", "trainer.val_check_interval=1")
    arguments = [o for o in COMMAND if not o.startswith(("network.", "+rfd"))]
    limpid(*arguments, "model=norm", *sizes, "trainer=ddp_cpu")
    ran = Ran(tmp_path / "runs")
    assert ran.metrics["psnr"]["n"] == 1
    assert ran.weights["num_batches_tracked"] == 2


@pytest.mark.slow
def test_a_compiled_network_trains_the_same_and_keeps_the_names_of_its_weights(limpid: Limpid, tmp_path: Path) -> None:
    stores = [tmp_path / "plain", tmp_path / "compiled"]
    limpid(*COMMAND, "trainer=cpu", LIMPID_RUNS=str(stores[0]))
    limpid(*COMMAND, "trainer=cpu", "compile=true", LIMPID_RUNS=str(stores[1]))
    plain, compiled = (Ran(store) for store in stores)
    assert plain.name == compiled.name
    same_up_to_rounding(plain, compiled)
