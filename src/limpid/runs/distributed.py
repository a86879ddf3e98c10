"""Several processes for one run: who starts them, and which one this is.

On one machine the command stays outside and starts them, as `limpid.runs.processes` does it. On several machines srun
or torchrun start one command per device, and the first of them writes the run.
"""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from limpid.errors import UserError, reason_of
from limpid.runs.processes import watched

if TYPE_CHECKING:
    from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

_HOW_TO_START = (
    "start one command per device with `srun --nodes=N --ntasks-per-node=D limpid train ...` or "
    "`torchrun --nnodes=N --nproc-per-node=D --no-python limpid train ...`"
)


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
        raise UserError(
            f"trainer.devices={devices} cannot be had with trainer.accelerator={name}: {reason_of(error)}."
        ) from error
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
