"""Runs on a cluster: a real SLURM of two machines, and torchrun on two; `make test-cluster` runs these."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import cluster
from tests.e2e.harness import differences, left_behind, run_of
from tests.e2e.test_processes import descendants

pytestmark = pytest.mark.slow

TRAIN = (
    "train", "model=aod_net", "data=scenes", "budget=smoke", "data.crop=32", "trainer.max_steps=24", "data.batch_size=4",
    "log_every=1", "data.workers=0", "callbacks.checkpoint.every=2", "trainer.val_check_interval=24",
    "trainer.precision=32-true", "data.val.clean.count=2", "data.val.clean.height=32", "data.val.clean.width=32",
    "data.test.scenes.clean.height=32", "data.test.scenes.clean.width=40", "data.test.scenes.clean.count=2",
    "data.test_images=2",
)  # fmt: skip
LONG = (*TRAIN, "trainer.max_steps=4000", "trainer.val_check_interval=4000")
CPU = ("trainer=multi_node", "trainer.accelerator=cpu")
TWO = ("srun", "--nodes=2", "--ntasks-per-node=1", "--kill-on-bad-exit=1")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cluster.Slurm]:
    with cluster.slurm(tmp_path_factory.mktemp("slurm")) as made:
        yield made


def srun(
    slurm: cluster.Slurm, folder: Path, words: tuple[str, ...], *arguments: str, expect: int = 0, **more: str
) -> subprocess.CompletedProcess[str]:
    env = {**cluster.variables(folder), **slurm.variables, **more}
    done = subprocess.run(
        [*words, *cluster.command(*arguments)], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == expect, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def batch(slurm: cluster.Slurm, folder: Path, script: str, *options: str) -> str:
    """The number of a job that was handed in; what it says goes to out.txt."""
    file = folder / "job.sh"
    file.write_text(f"#!/bin/bash\n{script}\n")
    env = {**cluster.variables(folder), **slurm.variables}
    words = ["sbatch", "--parsable", "--open-mode=append", f"--output={folder / 'out.txt'}", *options, str(file)]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def words(*arguments: str) -> str:
    """A command line for a script."""
    return " ".join(f"'{word}'" for word in cluster.command(*arguments))


def steps(folder: Path) -> int:
    curves = next((folder / "runs").rglob("curves.csv"), None)
    return curves.read_text().count(",train/loss,") if curves else 0


def status(folder: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((run_of(folder) / "status.json").read_text())
    return content


def text(folder: Path) -> str:
    file = folder / "out.txt"
    return file.read_text() if file.is_file() else ""


@pytest.fixture(scope="module")
def whole(slurm: cluster.Slurm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two machines that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    done = srun(slurm, folder, TWO, *TRAIN, *CPU)
    assert done.stdout.count("protocols:") == 1
    assert "HINT" not in done.stderr
    return folder


def test_one_task_and_several_on_the_cpu_are_runs(slurm: cluster.Slurm, whole: Path, tmp_path: Path) -> None:
    environment = json.loads((run_of(whole) / "environment.json").read_text())
    assert environment["processes"] == 2
    again = srun(slurm, whole, TWO, *TRAIN, *CPU)
    assert "already done" in again.stdout + again.stderr
    one = ("srun", "--nodes=1", "--ntasks-per-node=1")
    srun(slurm, tmp_path, one, *TRAIN, *CPU)
    assert status(tmp_path)["status"] == "done"


def test_a_machine_without_gpu_and_tasks_that_do_not_fit_are_sentences(slurm: cluster.Slurm, tmp_path: Path) -> None:
    said = srun(slurm, tmp_path, TWO[:3], *TRAIN, "trainer=multi_node", expect=2).stderr
    assert "shows no GPU; ask for GPUs (--gpus-per-node=D), or add trainer.accelerator=cpu" in said
    uneven = ("srun", "--nodes=2", "--ntasks=3")
    assert "not the same number on each machine" in srun(slurm, tmp_path, uneven, *TRAIN, *CPU, expect=2).stderr
    said = srun(slurm, tmp_path, TWO[:3], *TRAIN, *CPU, expect=2, MASTER_ADDR="nowhere.invalid").stderr
    assert "The machine 'nowhere.invalid', on which the first process should run, cannot be found" in said
    assert not list(tmp_path.rglob("config.yaml"))


def test_tasks_that_never_come_are_named_within_the_limit(slurm: cluster.Slurm, tmp_path: Path) -> None:
    """Task 1 does something else."""
    script = f'if [ "$SLURM_PROCID" = 1 ]; then sleep 60; else {words(*TRAIN, *CPU, "trainer.timeout_minutes=0.2")}; fi'
    env = {**cluster.variables(tmp_path), **slurm.variables}
    done = subprocess.run(
        [*TWO, "bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    assert "Process 1 of 2 did not come within 12 seconds (trainer.timeout_minutes)" in done.stderr
    assert done.returncode
    assert "HINT" not in done.stderr


def test_machines_that_do_not_share_the_store_are_told_at_the_start(slurm: cluster.Slurm, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    mount = f'if [ "$SLURM_PROCID" = 1 ]; then mount -t tmpfs none "{tmp_path / "runs"}"; fi; {words(*TRAIN, *CPU)}'
    env = {**cluster.variables(tmp_path), **slurm.variables}
    script = ["unshare", "--mount", "bash", "-c", mount]
    done = subprocess.run([*TWO, *script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert f"The run store {tmp_path / 'runs'} of process 0 on" in done.stderr
    assert "is not there for process 1 on" in done.stderr
    assert not list((tmp_path / "runs").iterdir())


def tasks(folder: Path) -> dict[int, int]:
    """The processes of the tasks that do the run in `folder`, by rank."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            env = (entry / "environ").read_bytes().split(b"\0")
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        rank = next((word for word in env if word.startswith(b"SLURM_PROCID=")), None)
        is_here = str(folder / "runs").encode() in b"\0".join(env)
        if rank is not None and is_here and b"python" in line.split(b"\0")[0] and b"-c\0from limpid" in line:
            found[int(rank.split(b"=")[1])] = int(entry.name)
    return found


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("whom", [0, 1])
def test_a_task_that_is_lost_is_named_and_the_run_continues(
    slurm: cluster.Slurm, whole: Path, tmp_path: Path, whom: int, how: signal.Signals
) -> None:
    env = {**cluster.variables(tmp_path), **slurm.variables}
    limit = "trainer.timeout_minutes=0.2"
    process = cluster.started(
        ["srun", "--nodes=2", "--ntasks-per-node=1", *cluster.command(*LONG, *CPU, limit)], tmp_path, env
    )
    try:
        cluster.wait_for(lambda: steps(tmp_path) >= 5 or process.poll() is not None, 120, "no step")
        os.kill(tasks(tmp_path)[whom], how)
        if how == signal.SIGSTOP:
            other = tasks(tmp_path)[1 - whom]
            cluster.wait_for(lambda: not Path(f"/proc/{other}/stat").exists(), 60, "the other waits for ever")
            os.kill(tasks(tmp_path)[whom], signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    finally:
        for child in [*descendants(process.pid), process.pid, *tasks(tmp_path).values()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    assert f"Of the 2 processes, process {whom} " in err, err
    assert "Traceback" not in err
    assert process.returncode != 0


@pytest.mark.parametrize("how", ["requeue", "USR1", "TERM"])
def test_a_job_that_is_queued_again_continues_and_ends_with_the_same_bits(
    slurm: cluster.Slurm, whole: Path, tmp_path: Path, how: str
) -> None:
    """`rerun=true` in the script does not clear what the job has begun."""
    line = words(*TRAIN, *CPU, "rerun=true")
    again = "" if how == "requeue" else ' || { [ -z "$SLURM_RESTART_COUNT" ] && scontrol requeue "$SLURM_JOB_ID"; }'
    job = batch(slurm, tmp_path, f"{' '.join(TWO[:3])} {line}{again}", "--nodes=2", "--ntasks-per-node=1", "--requeue")
    cluster.wait_for(lambda: steps(tmp_path) >= 5, 120, "no step")
    assert not list(tmp_path.rglob("metrics.json")), "it was done too soon"
    if how == "requeue":
        slurm.ask("scontrol", "requeue", job)
    else:
        slurm.ask("scancel", f"--signal={how}", job)
    cluster.wait_for(lambda: "Interrupted" in text(tmp_path), 60, "not interrupted")
    cluster.wait_for(lambda: "PENDING" in slurm.ask("scontrol", "show", "job", job), 60, "it is not queued again")
    slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")  # SLURM would wait two minutes
    cluster.wait_for(lambda: list(tmp_path.rglob("metrics.json")), 300, "it does not continue")
    cluster.wait_for(lambda: job not in slurm.ask("squeue", "--noheader", "--format=%A"), 60, "it does not end")
    said = text(tmp_path)
    assert said.count(f"rerun=true is left out: job {job} was started again") == 1
    assert said.count("continues at step ") == 1
    assert "Traceback" not in said
    assert list(differences(left_behind(whole), left_behind(tmp_path))) == []


def test_an_array_is_a_sweep_and_a_script_without_srun_one_process(slurm: cluster.Slurm, tmp_path: Path) -> None:
    line = words(*TRAIN, "trainer=cpu", "trainer.max_steps=2", "trainer.val_check_interval=2")
    job = batch(slurm, tmp_path, f'{line} "seed=$SLURM_ARRAY_TASK_ID"', "--array=0-1", "--ntasks=2", "--nodes=1")
    cluster.wait_for(lambda: len(list(tmp_path.rglob("metrics.json"))) == 2, 180, "the array does not end")
    cluster.wait_for(lambda: job not in slurm.ask("squeue", "--noheader", "--format=%A"), 60, "it does not end")
    assert sorted(folder.name for folder in (tmp_path / "runs").rglob("seed-*")) == ["seed-0", "seed-1"]
    assert "HINT" not in text(tmp_path)


def test_a_cancelled_job_of_a_sweep_is_noticed_without_accounting(slurm: cluster.Slurm, tmp_path: Path) -> None:
    env = {**cluster.variables(tmp_path), **slurm.variables}
    launcher = ("hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=10")
    sweep = ("train", "-m", *LONG[1:], "trainer=cpu", "seed=0,1", *launcher)
    process = cluster.started([sys.executable, "-m", "limpid", *sweep], tmp_path, env)
    try:
        begun = lambda: len(list(tmp_path.rglob("curves.csv"))) == 2 or process.poll() is not None  # noqa: E731
        cluster.wait_for(begun, 120, "the jobs do not begin")
        slurm.ask("scancel", "--signal=KILL", "--user=root")
        slurm.ask("scancel", "--user=root")
        _, err = process.communicate(timeout=150)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "squeue is asked which jobs are over" in err
    assert "of the sweep ended without a result (" in err
    assert "Traceback" not in err


# torchrun on two machines -------------------------------------------------------------------------------------------


@pytest.fixture
def machines() -> Iterator[tuple[cluster.Namespace, cluster.Namespace]]:
    with cluster.two_machines() as made:
        yield made


def torchrun(machines: tuple[cluster.Namespace, cluster.Namespace], number: int, *arguments: str) -> list[str]:
    """The words that start one machine's process; the first machine, which no name service knows, is told that it is."""
    starter = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--no-python"]
    conf = f"--rdzv-conf=is_host={1 - number},join_timeout=120"
    meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint={machines[0].address}:29431", conf]
    return [*starter, *meeting, f"--local-addr={machines[number].address}", *cluster.command(*arguments)]


def on_both(
    machines: tuple[cluster.Namespace, cluster.Namespace], folder: Path, *arguments: str, private: Path | None = None
) -> list[subprocess.Popen[str]]:
    env = cluster.variables(folder)
    del env["MASTER_ADDR"]
    lines = [torchrun(machines, number, *arguments) for number in range(2)]
    return [
        cluster.started(machines[0].words(lines[0]), folder, env),
        cluster.started(machines[1].words(lines[1], private), folder, env),
    ]


def ended(processes: list[subprocess.Popen[str]], seconds: float = 240) -> tuple[list[int], str]:
    said = ""
    try:
        for process in processes:
            out, err = process.communicate(timeout=seconds)
            said += out + err
    finally:
        for process in processes:
            for child in [*descendants(process.pid), process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
    return [int(process.returncode) for process in processes], said


def test_torchrun_on_two_machines_is_one_run(
    machines: tuple[cluster.Namespace, cluster.Namespace], tmp_path: Path
) -> None:
    codes, said = ended(on_both(machines, tmp_path, *TRAIN, *CPU))
    assert codes == [0, 0], said
    assert said.count("protocols:") == 1
    assert status(tmp_path)["status"] == "done"


def test_torchrun_with_a_store_for_each_machine_is_told(
    machines: tuple[cluster.Namespace, cluster.Namespace], tmp_path: Path
) -> None:
    (tmp_path / "runs").mkdir()
    codes, said = ended(on_both(machines, tmp_path, *TRAIN, *CPU, private=tmp_path / "runs"))
    assert all(codes)
    assert "is not there for process" in said
    assert "choose a folder that all machines share (LIMPID_RUNS=FOLDER)" in said


def test_a_process_of_torchrun_that_is_killed_is_named(
    machines: tuple[cluster.Namespace, cluster.Namespace], tmp_path: Path
) -> None:
    processes = on_both(machines, tmp_path, *LONG, *CPU, "trainer.timeout_minutes=0.2")
    cluster.wait_for(lambda: steps(tmp_path) >= 5, 120, "no step")
    [victim, *_] = [
        pid for pid in descendants(processes[1].pid) if b"limpid.cli" in _line(pid) and b"-m\0" not in _line(pid)
    ]
    os.kill(victim, signal.SIGKILL)
    codes, said = ended(processes, 120)
    assert all(codes)
    assert "gave no sign of life for three seconds: ended, stopped or cut off" in said, said


def _line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
