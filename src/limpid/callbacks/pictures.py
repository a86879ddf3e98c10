"""Pictures of a test: input, restored and target side by side, under fixed names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from limpid.data.files import write_image


class Pictures(Callback):
    """Writes `<folder>/<set>/<image>.png` for the first images of every test set.

    Each process writes those it restored, so that all are there whatever the number of processes.

    Args:
        folder: the run's images.
        count: how many of each set.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the pictures of a batch."""
        name = list(trainer.datamodule.test)[dataloader_idx]  # type: ignore[attr-defined]
        columns = [batch["input"], outputs, *([batch["target"]] if "target" in batch else [])]
        for i, index in enumerate(batch["index"].tolist()):
            if 0 <= index < self.count:
                side_by_side = np.concatenate([_pixels(column[i]) for column in columns], axis=1)
                write_image(self.folder / name / f"{batch['name'][i]}.png", side_by_side)


def _pixels(image: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """`(3, H, W)` to `(H, W, 3)`."""
    return np.asarray(image.detach().float().cpu().permute(1, 2, 0).numpy(), dtype=np.float32)
