"""Logging of training and validation values at the number of batches done; see docs/decisions/0001."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor

from limpid.models import Restorer


class CurveLogging(Callback):
    """Gives the Trainer's loggers what a `limpid.models.Restorer` logs, at the number of batches done, from 1 on.

    Lightning counts optimizer steps, leaves out batches that only accumulate, and may count a restart as a step. So
    this callback writes in its place: the values of every so manieth batch, averaged over the processes, and those of
    every validation. The values of a test go to `limpid.loggers.record_outcome`.

    Args:
        every: batches between two entries of training.
    """

    def __init__(self, every: int = 20) -> None:
        self.every = every

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take over from Lightning."""
        if isinstance(pl_module, Restorer):
            pl_module.log_to_loggers = False

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Write a batch's values where it is its turn, and those that are measured more rarely whenever they are."""
        assert isinstance(outputs, Mapping)
        if (batch_idx + 1) % self.every == 0 and outputs["log"]:
            _write(trainer, averaged(trainer, outputs["log"]))
        rare = outputs.get("log_always")
        if rare:
            _write(trainer, averaged(trainer, rare))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the means of a validation."""
        if trainer.sanity_checking:
            return
        means = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
        if means:
            _write(trainer, means)


def averaged(trainer: Trainer, values: Mapping[str, Tensor | float]) -> dict[str, float]:
    """The numbers in `values`, tensors averaged over the processes, so each of them has to call this.

    Args:
        trainer: that trains.
        values: tensors of one number, and numbers that are the same on all processes.
    """
    own = {key: value.detach().float() for key, value in values.items() if isinstance(value, Tensor)}
    numbers = {key: float(value) for key, value in values.items()}
    if own and trainer.world_size > 1:
        together = trainer.strategy.reduce(torch.stack(list(own.values())), reduce_op="mean")
        numbers |= dict(zip(own, together.tolist(), strict=True))
    return numbers


def _write(trainer: Trainer, values: dict[str, float]) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(values, step=trainer.fit_loop.epoch_loop.batch_progress.total.ready)
