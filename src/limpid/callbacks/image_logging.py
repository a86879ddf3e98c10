"""Pictures of validations and tests under fixed names, on disk always and in every logger that takes pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, distributed

from limpid.callbacks.checkpoints import Checkpoints
from limpid.loggers.base import TakesPictures
from limpid.results.comparison_panel import Panel, panel, write_panel


class Pictures(Callback):
    """Input, restored, target and the maps a system finds, side by side, of the first images of every set.

    On disk, below `folder`:

    - ``val/<set>/<image>.png``: the last validation, ``val-best/<set>/<image>.png``: the one whose checkpoint is best;
    - ``<set>/<image>.png``: the test.

    Loggers get ``val/<set>/<image>`` at every validation and ``test/<set>/<image>`` at the end, each a panel with the
    same pixels as on disk. The images are the first of a set by index (of a mixture, the first of each of its sets), so
    the same ones in every run, whatever the number of processes: each writes the files of those that it restored, so
    that a file has one writer, and the first process shows all of them to the loggers.

    Args:
        val: how many of each validation set.
        test: how many of each test set.
        maps: show what the system finds besides the image, such as the transmission; it is computed for these images
            once more.
        folder: the run's images; the worker sets it.
    """

    def __init__(self, val: int = 4, test: int = 8, maps: bool = True, folder: str | None = None) -> None:
        self.val, self.test, self.maps = val, test, maps
        self.folder = Path(folder) if folder else None
        self._shown: dict[str, Panel] = {}

    # What is shown ----------------------------------------------------------------------------------------------

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin anew."""
        self._shown = {}

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin anew."""
        self._shown = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the pictures of a batch."""
        images = trainer.datamodule.val  # type: ignore[attr-defined]
        self._take(trainer, pl_module, f"val/{images.name}", first(images, self.val), batch, outputs)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the pictures of a batch."""
        name, images = list(trainer.datamodule.test.items())[dataloader_idx]  # type: ignore[attr-defined]
        self._take(trainer, pl_module, f"test/{name}", first(images, self.test), batch, outputs)

    def _take(
        self,
        trainer: Trainer,
        system: Any,
        place: str,
        chosen: Mapping[int, bool],
        batch: Mapping[str, Any],
        restored: Tensor,
    ) -> None:
        """Make and write the panels of those images of `batch` that are `chosen`."""
        here = [(i, index) for i, index in enumerate(batch["index"].tolist()) if index in chosen]
        if not here:
            return
        columns = {"input": batch["input"], "restored": restored}
        columns |= {"target": batch["target"]} if "target" in batch else {}
        columns |= system.maps(batch) if self.maps else {}
        for i, index in here:
            # In a mixture the sets are told apart by the kind of degradation.
            key = f"{place}/{batch['domain'][i]}" if chosen[index] else place
            made = panel({name: pixels(images[i]) for name, images in columns.items()})
            key = f"{key}/{batch['name'][i]}"
            self._write(key.removeprefix("test/"), made)
            if trainer.world_size > 1 or place.startswith("val/") or _takers(trainer):
                self._shown[key] = made

    # Where it goes ----------------------------------------------------------------------------------------------

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the pictures that belong to the best checkpoint; show all to the loggers."""
        for key, made in self._shown.items() if _is_best(trainer) else ():
            self._write(key.replace("val/", "val-best/", 1), made)
        self._show(trainer, pl_module.batches_done)
        self._shown = {}

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the pictures to the loggers."""
        self._show(trainer, trainer.datamodule.steps)  # type: ignore[attr-defined]
        self._shown = {}

    def _show(self, trainer: Trainer, step: Any) -> None:
        """Show the loggers, which only the first process has, the panels of all processes."""
        shown, takers = self._shown, _takers(trainer)
        if trainer.world_size > 1 and trainer.strategy.broadcast(bool(takers)):
            gathered: list[dict[str, Panel]] = [{} for _ in range(trainer.world_size)]
            distributed.all_gather_object(gathered, shown)
            shown = {key: made for one in gathered for key, made in one.items()}
        for logger in takers if shown else ():
            logger.log_pictures(dict(sorted(shown.items())), step)

    def _write(self, key: str, made: Panel) -> None:
        assert self.folder is not None
        write_panel(self.folder / f"{key}.png", made)


def first(images: Any, count: int) -> dict[int, bool]:
    """The indices of the first `count` images, of each part where a set has several; True for those of a part."""
    sizes = getattr(images, "sizes", None)
    if sizes is None:
        return dict.fromkeys(range(count), False)
    starts = [sum(sizes[:part]) for part in range(len(sizes))]
    return {start + i: True for start, size in zip(starts, sizes, strict=True) for i in range(min(count, size))}


def pixels(image: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """`(3, H, W)` or `(1, H, W)` to `(H, W, 3)`."""
    colours = image.detach().float().cpu().expand(3, -1, -1)
    return np.asarray(colours.permute(1, 2, 0).numpy(), dtype=np.float32)


def _takers(trainer: Trainer) -> list[TakesPictures]:
    return [logger for logger in trainer.loggers if isinstance(logger, TakesPictures)]


def _is_best(trainer: Trainer) -> bool:
    """Whether the validation that just ended beats all before it; `Checkpoints` looks only after this callback."""
    for callback in trainer.checkpoint_callbacks:
        value = trainer.callback_metrics.get(callback.monitor) if isinstance(callback, Checkpoints) else None
        if isinstance(callback, Checkpoints) and value is not None:
            score = float(value) if callback.mode == "max" else -float(value)
            return callback.best is None or score > callback.best
    return False
