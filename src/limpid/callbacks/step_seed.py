"""Seeding of every training step by its number alone, so that a resumed run draws the same random numbers."""

from __future__ import annotations

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from limpid.models.run_length import batches_before


class StepSeed(Callback):
    """Seeds PyTorch before each training step by (seed, batch), of each process but the first its own.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Seed the step's randomness."""
        done = batches_before(trainer, batch_idx)
        rank = trainer.global_rank
        torch.manual_seed(hash((self.seed, done, rank) if rank else (self.seed, done)))
