"""Callbacks: progress, checkpoints, status, pictures, averaging, and the guard against a loss that is not a number."""

from limpid.callbacks.averaging import EMA
from limpid.callbacks.checkpoints import CheckpointFiles, Checkpoints
from limpid.callbacks.curves import Curves
from limpid.callbacks.guard import NonFiniteGuard
from limpid.callbacks.pictures import Pictures
from limpid.callbacks.progress import Progress
from limpid.callbacks.status import Status

__all__ = [
    "EMA",
    "CheckpointFiles",
    "Checkpoints",
    "Curves",
    "NonFiniteGuard",
    "Pictures",
    "Progress",
    "Status",
]
