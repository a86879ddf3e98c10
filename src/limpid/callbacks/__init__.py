"""Callbacks: progress, checkpoints, status, pictures, averaging, and the guard against a loss that is not a number."""

from limpid.callbacks.checkpoints import CheckpointFiles, Checkpoints
from limpid.callbacks.ema import EMA
from limpid.callbacks.image_logging import Pictures
from limpid.callbacks.nan_guard import NonFiniteGuard
from limpid.callbacks.progress import Progress
from limpid.callbacks.status import Status
from limpid.loggers.csv_logger import Curves

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
