"""Validation of the last weights, whatever the interval of validations."""

from __future__ import annotations

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT


class LastValidation(Callback):
    """Validates after the last batch of a training.

    Lightning validates after every `val_check_interval` batches and not at the end, so that of 1,599 batches with a
    validation after each 80 the last 79 would never compete for the best checkpoint. A Trainer that is asked to stop
    validates first, and after its last batch it stops anyway. Where a validation is due there, it is done once.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: STEP_OUTPUT, batch: object, batch_idx: int
    ) -> None:
        """Ask the Trainer to stop where nothing is left to train."""
        is_last_epoch = trainer.current_epoch + 1 == trainer.max_epochs
        if is_last_epoch and trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            trainer.should_stop = True
