"""Writing checkpoints: how often, and whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from lightning import LightningModule, Trainer
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from limpid import checkpoint as checkpoint_file
from limpid.errors import UserError
from limpid.loggers.csv_logger import StepCSVLogger
from limpid.models.run_length import batches_before
from limpid.ranges import PositiveInt


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's checkpoint plugin over `limpid.checkpoint`: durable writing, reading without pickle."""

    def save_checkpoint(self, checkpoint: dict[str, object], path: str | Path, storage_options: object = None) -> None:
        """Write beside the place, fsync, rename; keep the one before, and note the sha256 of both."""
        checkpoint_file.save(checkpoint, Path(path), recorded=True)

    def load_checkpoint(
        self, path: str | Path, map_location: object = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """The content of a checkpoint, plain values and tensors only; anything else is refused."""
        return dict(checkpoint_file.read(Path(path)))


class Checkpoints(Checkpoint):
    """Writes `last.ckpt` every so many batches and at the end, `best.ckpt` at each validation that beats all before it.

    The last one is written when the next batch starts, so that it contains all of its step, validation included; a
    run that continues from it repeats nothing and misses nothing.

    Args:
        every: batches between two checkpoints.
        monitor: the metric of the validation set that decides what is best, such as ``val/psnr``.
        mode: ``max`` or ``min``.
        folder: where they go; None is ``checkpoints`` in the Trainer's `default_root_dir`.

    Raises:
        UserError: the mode is neither.
    """

    def __init__(
        self,
        every: PositiveInt = 500,
        monitor: str = "val/psnr",
        mode: Literal["max", "min"] = "max",
        folder: str | None = None,
    ) -> None:
        if mode not in ("max", "min"):
            raise UserError(f"The mode of the checkpoints is {mode!r}, but it must be max or min.")
        self.every = every
        self.monitor = monitor if monitor.startswith("val/") else f"val/{monitor}"
        self.mode = mode
        self.folder = folder
        self.best: float | None = None
        self._started_at = 0  # batches that were done when this process began

    def _save(self, trainer: Trainer, name: str) -> None:
        folder = Path(trainer.default_root_dir) / "checkpoints" if self.folder is None else Path(self.folder)
        for logger in trainer.loggers:
            if isinstance(logger, StepCSVLogger):
                logger.synchronize()
        trainer.save_checkpoint(folder / name)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note where training goes on: the checkpoint it goes on from need not be written again."""
        self._started_at = trainer.fit_loop.epoch_loop.batch_progress.total.completed

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Write `last.ckpt` where it is due."""
        # Only between optimizer steps: gradients that are being accumulated are not part of a checkpoint.
        step = trainer.accumulate_grad_batches
        done = batches_before(trainer, batch_idx)
        due = done // self.every > (done - step) // self.every
        if due and batch_idx % step == 0 and done > self._started_at:
            self._save(trainer, "last.ckpt")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write `best.ckpt` if this validation of a training beats all before it."""
        value = trainer.callback_metrics.get(self.monitor)
        if value is None or trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
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

    def state_dict(self) -> dict[str, float | None]:
        """The best validation so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, float | None]) -> None:
        """Go on from the best validation so far."""
        self.best = state_dict["best"]
