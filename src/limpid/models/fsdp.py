"""Training whose parameters, gradients and optimizer state are shared out among processes (`trainer=fsdp`)."""

from __future__ import annotations

from datetime import timedelta

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.constants import default_pg_timeout
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from limpid.ranges import Minutes


class FullySharded(ModelParallelStrategy):
    """PyTorch's `fully_shard` over all processes; a checkpoint is one whole file, as of any other run.

    Args:
        process_group_backend: of `torch.distributed`; None takes the device's usual one.
        timeout_minutes: how long a process waits for the others; None is PyTorch's own limit.
    """

    def __init__(self, process_group_backend: str | None = None, timeout_minutes: Minutes | None = None) -> None:
        super().__init__(
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,
            process_group_backend=process_group_backend,
            timeout=default_pg_timeout if timeout_minutes is None else timedelta(minutes=timeout_minutes),
        )

    def setup_environment(self) -> None:
        """Make the mesh, one row of all processes."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()


def shard(module: nn.Module, mesh: DeviceMesh) -> None:
    """Share out the parameters of every child of `module` over the processes of `mesh`."""
    for child in module.children():
        if any(True for _ in child.parameters()):
            # It takes contiguous parameters only; images stay in the format they have.
            fully_shard(child.to(memory_format=torch.contiguous_format), mesh=mesh)  # type: ignore[call-overload]


def unshard(module: nn.Module) -> None:
    """Hold the parameters of `module`'s children whole until `reshard`.

    Processes may then use the networks a different number of times, as evaluation does.
    """
    for child in _sharded(module):
        child.set_reshard_after_forward(False)
        child.unshard()


def reshard(module: nn.Module) -> None:
    """Let each process hold its own part of the parameters again."""
    for child in _sharded(module):
        child.reshard()


def _sharded(module: nn.Module) -> list[FSDPModule]:
    return [child for child in module.children() if isinstance(child, FSDPModule)]
