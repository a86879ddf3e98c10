"""When checkpoints are written, and how: whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from limpid import checkpoint as checkpoint_file


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's checkpoint plugin over `limpid.checkpoint`: durable writing, reading without pickle."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write beside the place, fsync, rename; keep the one before."""
        checkpoint_file.save(checkpoint, Path(path))

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read plain values and tensors; refuse anything else."""
        return checkpoint_file.read(Path(path))


class Checkpoints(Checkpoint):
    """`last.ckpt` every so many batches and at the end, `best.ckpt` whenever the validation is the best so far.

    The last one is written when the next batch starts, so that it contains all of its step, validation included; a
    run that continues from it repeats nothing and misses nothing.

    Args:
        every: batches between two checkpoints.
        monitor: the metric of the validation set that decides what is best.
        mode: ``max`` or ``min``.
        folder: where they go; the worker sets it to the run's.
    """

    def __init__(self, every: int = 500, monitor: str = "psnr", mode: str = "max", folder: str | None = None) -> None:
        self.every, self.monitor, self.mode = every, f"val/{monitor}", mode
        self.folder = Path(folder) if folder else None
        self.best: float | None = None

    def _save(self, trainer: Trainer, name: str) -> None:
        assert self.folder is not None
        trainer.save_checkpoint(self.folder / name)

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write `last.ckpt` where it is due."""
        # Only between optimizer steps: gradients that are being accumulated are not part of a checkpoint.
        step = trainer.accumulate_grad_batches
        due = batch_idx // self.every > (batch_idx - step) // self.every
        if due and batch_idx % step == 0 and batch_idx > trainer.datamodule.batches_done:  # type: ignore[attr-defined]
            self._save(trainer, "last.ckpt")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write `best.ckpt` if this validation beats all before it."""
        value = trainer.callback_metrics.get(self.monitor)
        if value is None:
            return
        score = float(value) if self.mode == "max" else -float(value)
        if self.best is None or score > self.best:
            self.best = score
            self._save(trainer, "best.ckpt")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write `last.ckpt` with the raw weights still in place: the averaged ones replace them after this."""
        self._save(trainer, "last.ckpt")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take back the batch that was fetched but not begun: Lightning would count it twice after a restart."""
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["current"], progress["total"]):
            counts["ready"] = counts["started"]

    def state_dict(self) -> dict[str, Any]:
        """The best validation so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best validation so far."""
        self.best = state_dict["best"]
