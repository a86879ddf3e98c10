"""Keeps a run's status.json up to date while it trains, and notices that its directory is gone."""

from __future__ import annotations

import time

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from limpid.models.run_length import batches, batches_before
from limpid.store.run_directory import Run


class Status(Callback):
    """Notes the step in status.json every so many seconds.

    Args:
        run: whose status it is.
        seconds: between two notes.
    """

    def __init__(self, run: Run, seconds: float = 5.0) -> None:
        self.run = run
        self.seconds = seconds
        self._noted = 0.0

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Note the step if it is time.

        Raises:
            UserError: the run's directory was removed or replaced.
        """
        self._require_folder(trainer)
        if trainer.is_global_zero and time.monotonic() - self._noted >= self.seconds:
            self._noted = time.monotonic()
            self.run.progress(batches_before(trainer, batch_idx) + 1, batches(trainer))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse to validate for a run whose directory is gone."""
        self._require_folder(trainer)

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Refuse to test for a run whose directory is gone."""
        self._require_folder(trainer)

    def _require_folder(self, trainer: Trainer) -> None:
        """Found out before pictures or checkpoints would make a new directory, with nothing else in it."""
        if trainer.is_global_zero:
            self.run.require_folder()
