"""Several processes for one run: who starts them, which one this is, and how all end when one does.

On one machine the command stays outside: it starts every process of the run as `python -m limpid.runs.runner RUN`,
watches them, and says what went wrong, once. On several machines srun or torchrun start one command per device,
and the first of them writes the run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from limpid.errors import UserError
from limpid.runs.interruption import Interrupted

if TYPE_CHECKING:
    from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

_REPORT = "LIMPID_REPORT"  # tells a process where to say how it ended, and that a command watches it
_GRACE = 3.0  # seconds that the processes have to close their loggers before they are killed

_HOW_TO_START = (
    "start one command per device with `srun --nodes=N --ntasks-per-node=D limpid train ...` or "
    "`torchrun --nnodes=N --nproc-per-node=D --no-python limpid train ...`"
)


#: PyTorch would warn at every start that all parameters are used, which trainer/ddp.yaml need not know.
QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR"}


class ProcessFailed(RuntimeError):  # noqa: N818 - reads as what happened
    """A process of a run failed or was killed; the others were ended. Its note is the traceback, where there is one."""


@dataclasses.dataclass(frozen=True)
class Outside:
    """The launcher that started this process as one of several: srun or torchrun."""

    starter: str
    rank: int
    world: int
    per_machine: int


@dataclasses.dataclass(frozen=True)
class Place:
    """The place of this process among those of its run.

    Attributes:
        rank: its number; 0 writes the run.
        world: how many there are.
        machines: that they run on.
        on_each: how many of them, and so devices, on each machine.
        on_cpu: whether they compute on the CPU.
        starts: whether this process only starts and watches them.
        watched: whether a command watches this process, and holds the run's lock.
    """

    rank: int = 0
    world: int = 1
    machines: int = 1
    on_each: int = 1
    on_cpu: bool = True
    starts: bool = False
    watched: bool = False

    @property
    def environment(self) -> ClusterEnvironment:
        """The environment that tells Lightning about the processes."""
        from lightning.fabric.plugins.environments.lightning import LightningEnvironment
        from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
        from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

        if self.world == 1:
            return LightningEnvironment()
        if "TORCHELASTIC_RUN_ID" in os.environ or self.watched:
            return TorchElasticEnvironment()
        return SLURMEnvironment(auto_requeue=False)  # a requeued command continues from its last checkpoint anyway


def outside() -> Outside | None:
    """The launcher that started this process as one of several, or None.

    Raises:
        UserError: srun started different numbers of processes on the machines.
    """
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env and int(env["WORLD_SIZE"]) > 1:
        return Outside("torchrun", int(env["RANK"]), int(env["WORLD_SIZE"]), int(env["LOCAL_WORLD_SIZE"]))
    # Only srun sets the number of a step's tasks; a batch script without srun is one process.
    if (world := int(env.get("SLURM_STEP_NUM_TASKS", "1"))) > 1:
        return Outside("srun", int(env["SLURM_PROCID"]), world, _tasks_per_machine(world))
    return None


def _tasks_per_machine(world: int) -> int:
    """How many of the `world` tasks of srun's step run on each machine; SLURM says it as ``2(x3)``, or ``2,1``."""
    said = os.environ.get("SLURM_STEP_TASKS_PER_NODE") or os.environ.get("SLURM_NTASKS_PER_NODE", "")
    numbers = {int(part.partition("(")[0]) for part in said.split(",") if part}
    counts = said or "it does not say how many"
    if len(numbers) != 1:
        raise UserError(
            f"srun started {world} processes, not the same number on each machine ({counts}); "
            "add --ntasks-per-node=D, D being the devices of one machine."
        )
    return numbers.pop()


def _started_alone() -> bool:
    """Whether a launcher started this process as the only one of a run: a job of one task, or torchrun with one."""
    env = os.environ
    only_task = env.get("SLURM_STEP_NUM_TASKS") == "1"
    whole_job = "SLURM_JOB_ID" in env and env.get("SLURM_NTASKS", "1") == env.get("SLURM_JOB_NUM_NODES", "1") == "1"
    return only_task or whole_job or env.get("TORCHELASTIC_RUN_ID") is not None


def place(trainer: Mapping[str, Any]) -> Place:
    """The place of this process in a run with the settings `trainer`.

    Raises:
        UserError: the devices are not there, or the processes that were started are not those that are asked for.
    """
    started = None if watched() else outside()
    on_cpu, on_each = _devices(trainer, started)
    machines = int(trainer.get("num_nodes") or 1)
    if watched():
        world = int(os.environ["WORLD_SIZE"])
        return Place(int(os.environ["RANK"]), world, on_each=world, on_cpu=on_cpu, watched=True)
    if started is None:
        if machines != 1 and not (machines == -1 and _started_alone()):
            raise UserError(
                f"trainer.num_nodes={machines} takes processes on several machines, and nothing started them: "
                f"{_HOW_TO_START}; on one machine choose trainer=ddp."
            )
        return Place(world=on_each, on_each=on_each, on_cpu=on_cpu, starts=on_each > 1)
    if machines == -1:
        machines = started.world // started.per_machine
    if on_each * machines != started.world:
        raise UserError(
            f"{started.starter} started {started.world} processes, but trainer.devices={on_each} on "
            f"trainer.num_nodes={machines} asks for {on_each * machines}; start one process per device and choose "
            "trainer=multi_node (each process must see all devices of its machine), or start a single one."
        )
    return Place(started.rank, started.world, machines, on_each, on_cpu)


def _devices(trainer: Mapping[str, object], started: Outside | None) -> tuple[bool, int]:
    """Whether the settings ask for the CPU, and for how many devices of this machine.

    On the CPU a device is a process, so that all devices are as many as the launcher started here.

    Raises:
        UserError: they are not there.
    """
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.accelerators import AcceleratorRegistry, CPUAccelerator, CUDAAccelerator, MPSAccelerator

    name, devices = trainer.get("accelerator", "auto"), trainer.get("devices", "auto")
    kind: Any
    if name in ("auto", "gpu"):
        kind = next((k for k in (CUDAAccelerator, MPSAccelerator) if k.is_available()), None)
        if kind is None and name == "gpu":
            where = socket.gethostname()
            how = "choose trainer=cpu"
            if trainer.get("num_nodes", 1) != 1 or started is not None:
                how = "ask for GPUs (--gpus-per-node=D), or add trainer.accelerator=cpu to compute on the CPUs"
            raise UserError(f"trainer.accelerator=gpu, but the machine {where} shows no GPU; {how}.")
        kind = kind or CPUAccelerator
    elif name in AcceleratorRegistry:
        kind = AcceleratorRegistry[name]["accelerator"]
    else:
        raise UserError(
            f"There is no trainer.accelerator={name}; there are auto, gpu, {', '.join(AcceleratorRegistry)}."
        )
    on_cpu = kind is CPUAccelerator
    if on_cpu and devices in ("auto", -1, "-1"):
        return on_cpu, 1 if started is None else started.per_machine
    if devices == "auto":
        return on_cpu, int(kind.auto_device_count())
    try:
        parsed = kind.parse_devices(devices)
    except (MisconfigurationException, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"trainer.devices={devices} cannot be had with trainer.accelerator={name}: {reason}") from error
    return on_cpu, parsed if isinstance(parsed, int) else len(parsed)


def requeued() -> str | None:
    """The job that this process is of, if a queue or torchrun started it again; None at its first start."""
    env = os.environ
    if int(env.get("SLURM_RESTART_COUNT", "0") or 0) > 0:
        return job()
    return job() if int(env.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0 else None


def job() -> str | None:
    """What tells this start of the command from others of it: the job's id; None outside of SLURM and torchrun."""
    env = os.environ
    return env.get("SLURM_JOB_ID") or env.get("TORCHELASTIC_RUN_ID")


# The command that starts and watches -------------------------------------------------------------------------------


class _Process:
    """One process of a run, started here: in a session of its own, at the other end of a pipe it cannot outlive."""

    def __init__(self, run: Path, rank: int, world: int, port: int, reports: Path) -> None:
        self.rank, self.report_file = rank, reports / f"{rank}.json"
        self.log = run / "logs" / f"process-{rank}.log"
        threads = max(1, len(os.sched_getaffinity(0)) // world) if hasattr(os, "sched_getaffinity") else 1
        environment = {
            "OMP_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "PASSIVE",
            **QUIET,
            **os.environ,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(world),
            "LOCAL_WORLD_SIZE": str(world),
            "GROUP_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",  # the command holds the store: no port is free, then taken
            _REPORT: str(self.report_file),
        }
        command = [sys.executable, "-m", "limpid.runs.runner", str(run)]
        out: int | BinaryIO = 2  # the first process shows its progress; stdout is for the answer
        if rank > 0:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            out = self.log.open("ab")
        self.popen = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True
        )
        if not isinstance(out, int):
            out.close()
        self.ended: float | None = None

    @property
    def code(self) -> int | None:
        """The exit status of the process, or None while it runs."""
        code = self.popen.poll()
        if code is not None and self.ended is None:
            self.ended = time.time()
        return code

    @property
    def report(self) -> dict[str, Any]:
        """The process's own report on how it ended; empty if it left none."""
        return json.loads(self.report_file.read_text(encoding="utf-8")) if self.report_file.is_file() else {}

    def kill(self) -> None:
        """End it and everything it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        if self.popen.stdin is not None:
            self.popen.stdin.close()


def launch(run: Path, world: int) -> None:
    """Start the `world` processes of a run on this machine, and wait until all are done.

    Raises:
        UserError: one of them refused what was asked.
        ProcessFailed: one of them failed or was killed; the others were ended.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with tempfile.TemporaryDirectory(prefix="limpid-") as reports:
        processes: list[_Process] = []
        try:
            for rank in range(world):
                processes.append(_Process(run, rank, world, store.port, Path(reports)))
            _watch(processes)
        except BaseException:
            _interrupt(processes)
            raise
        finally:
            for process in processes:
                process.kill()


def _watch(processes: list[_Process]) -> None:
    """Wait until all are done or one has failed; say which failed first."""
    while any(process.code is None for process in processes):
        if any(process.code for process in processes):
            time.sleep(0.3)  # a failure draws others after it; the reports tell which came first
            break
        time.sleep(0.05)
    failed = [process for process in processes if process.code]
    if not failed:
        return
    first = min(failed, key=_likely_cause)
    report = first.report
    if "refused" in report:
        raise (Interrupted if report["interrupted"] else UserError)(report["refused"])
    if "lost" in report:
        raise ProcessFailed(report["lost"])
    code, world = first.code or 0, len(processes)
    if code < 0:
        why = f"was killed by {signal.Signals(-code).name}"
        why += " (if nobody did that, the machine ran out of memory)" if -code == signal.SIGKILL else ""
    else:
        why = f"failed: {report['error']}" if "error" in report else f"ended with status {code}"
    others = "the other was" if world == 2 else f"the other {world - 1} were"
    where = f" {first.log} has what it said." if first.rank > 0 and first.log.stat().st_size else ""
    failure = ProcessFailed(
        f"Process {first.rank} of {world} {why}; {others} ended, and the same command continues from the last "
        f"checkpoint.{where}"
    )
    if "traceback" in report:
        failure.add_note(report["traceback"].rstrip())
    raise failure


def told(failure: ProcessFailed) -> str:
    """The text for the user: the traceback of the process that failed, if it left one, and the sentence."""
    return "\n".join([*getattr(failure, "__notes__", []), str(failure)])


def _likely_cause(process: _Process) -> tuple[int, float]:
    """The sort key of a failed process, least for the likely cause: a refusal, then a kill, then an error, by time."""
    report, code = process.report, process.code or 0
    killed = code < 0 and code != -signal.SIGABRT
    order = 1 if killed else 2
    if "refused" in report:
        order = 0
    return order, report.get("time", process.ended or time.time())


def _interrupt(processes: list[_Process]) -> None:
    """Ask all to end and give them a moment for it."""
    for process in processes:
        if process.code is None:
            process.popen.send_signal(signal.SIGINT)
    deadline = time.monotonic() + _GRACE
    while any(process.code is None for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)


# A process that is watched -------------------------------------------------------------------------------------------


def watched() -> bool:
    """Whether a command started this process and watches it."""
    return _REPORT in os.environ


def take_part(job: Callable[[], object]) -> int:
    """The exit status after doing `job` as one of several processes, with a report for the command that watches.

    The process ends at once when the command that started it does, however that ended.
    """
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    try:
        job()
    except UserError as error:
        _leave({"refused": str(error), "interrupted": isinstance(error, Interrupted)})
        return 2
    except ProcessFailed as error:
        _leave({"lost": str(error)})
        return 1
    except KeyboardInterrupt as interrupt:
        if str(interrupt):
            _leave({"error": f"it was {interrupt}"})
        return 130
    except Exception as error:
        last = traceback.format_exception_only(error)[-1].strip()
        _leave({"error": last, "traceback": traceback.format_exc()})
        return 1
    return 0


def _leave(report: dict[str, object]) -> None:
    file = Path(os.environ[_REPORT])
    beside = file.with_suffix(".part")
    beside.write_text(json.dumps({**report, "time": time.time()}), encoding="utf-8")
    beside.replace(file)


def _end_with_the_command() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)  # data-loading processes too
