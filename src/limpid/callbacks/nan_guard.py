"""Stops a training whose loss is no longer a number, before it spoils the weights."""

from __future__ import annotations

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from limpid.errors import UserError
from limpid.models.batches import Batch


class NonFiniteGuard(Callback):
    """Refuses a loss that is infinite or not a number, and names the batch it came from."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._step = 0

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Remember which images come."""
        self._names = list(batch["name"])
        self._step = batch_idx

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Look at the loss before it reaches the weights.

        Raises:
            UserError: it is not finite.
        """
        if not torch.isfinite(loss):
            value = float(loss.detach())
            raise UserError(
                f"The loss is {value} at step {self._step} on the images {', '.join(self._names)}; the weights "
                "are as before it. Look at these images, lower optimizer.lr, or set trainer.gradient_clip_val lower."
            )
