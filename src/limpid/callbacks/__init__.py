"""Callbacks: progress, checkpoints, the last validation, status, curves, images, averaging, seeds of steps, NaN."""

from limpid.callbacks.checkpoints import CheckpointFiles, Checkpoints
from limpid.callbacks.curve_logging import CurveLogging
from limpid.callbacks.ema import EMA
from limpid.callbacks.image_logging import ImageLogging
from limpid.callbacks.last_validation import LastValidation
from limpid.callbacks.nan_guard import NonFiniteGuard
from limpid.callbacks.own_signals import OwnSignals
from limpid.callbacks.progress import Progress
from limpid.callbacks.status import Status
from limpid.callbacks.step_seed import StepSeed

__all__ = [
    "EMA",
    "CheckpointFiles",
    "Checkpoints",
    "CurveLogging",
    "ImageLogging",
    "LastValidation",
    "NonFiniteGuard",
    "OwnSignals",
    "Progress",
    "Status",
    "StepSeed",
]
