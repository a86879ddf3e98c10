"""Images of validations and tests under fixed names, on disk always and in every logger that shows images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT
from numpy.typing import NDArray
from torch import Tensor, distributed

from limpid.callbacks.checkpoints import Checkpoints
from limpid.loggers.base import ImageLogger
from limpid.models import Restorer
from limpid.models.batches import Batch
from limpid.ranges import CountOrNone
from limpid.results.comparison_panel import Panel, panel, write_panel


class ImageLogging(Callback):
    """Shows input, restored image, target and auxiliary maps side by side, of the first images of every set.

    They are what a `limpid.models.Restorer` restores. On disk, below `folder`:

    - ``val/<set>/<image>.png``: the last validation, ``val-best/<set>/<image>.png``: the one whose checkpoint is best;
    - ``<set>/<image>.png``: the test.

    Loggers get ``val/<set>/<image>`` at every validation and ``test/<set>/<image>`` at the end, each a panel with the
    same pixels as on disk. The images are the first of a set by index (of a mixture, the first of each of its sets), so
    the same ones in every run, whatever the number of processes: each writes the files of those that it restored, so
    that a file has one writer, and the first process shows all of them to the loggers.

    Args:
        val: how many of each validation set.
        test: how many of each test set.
        maps: show what the model finds besides the image, such as the transmission; it is computed for these images
            once more.
        folder: where files go; None is ``images`` in the Trainer's `default_root_dir`.
    """

    def __init__(
        self, val: CountOrNone = 4, test: CountOrNone = 8, maps: bool = True, folder: str | None = None
    ) -> None:
        self.val = val
        self.test = test
        self.maps = maps
        self.folder = folder
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
        outputs: STEP_OUTPUT,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the images of a batch."""
        if not trainer.sanity_checking:
            images = getattr(_data(trainer), "val", None)
            name = getattr(images, "name", _set_name(pl_module, dataloader_idx))
            self._take(trainer, pl_module, f"val/{name}", first(images, self.val), batch, outputs)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the images of a batch."""
        name = _set_name(pl_module, dataloader_idx)
        images = getattr(_data(trainer), "test", {}).get(name)
        self._take(trainer, pl_module, f"test/{name}", first(images, self.test), batch, outputs)

    def _take(
        self,
        trainer: Trainer,
        model: LightningModule,
        place: str,
        chosen: Mapping[int, bool],
        batch: Batch,
        restored: STEP_OUTPUT,
    ) -> None:
        """Make and write the panels of those images of `batch` that are `chosen`."""
        here = [(i, index) for i, index in enumerate(batch["index"].tolist()) if index in chosen]
        if not here:
            return
        assert isinstance(restored, Tensor)
        columns = {"input": batch["input"], "restored": restored}
        if "target" in batch:
            columns["target"] = batch["target"]
        if self.maps:
            columns |= cast(Restorer, model).auxiliary_maps(batch)
        for i, index in here:
            # In a mixture the sets are told apart by the kind of degradation.
            key = f"{place}/{batch['domain'][i]}" if chosen[index] else place
            made = panel({name: pixels(images[i]) for name, images in columns.items()})
            key = f"{key}/{batch['name'][i]}"
            self._write(trainer, key.removeprefix("test/"), made)
            if trainer.world_size > 1 or place.startswith("val/") or _image_loggers(trainer):
                self._shown[key] = made

    # Where it goes ----------------------------------------------------------------------------------------------

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the pictures that belong to the best checkpoint; show all to the loggers."""
        for key, made in self._shown.items() if _is_best(trainer) else ():
            self._write(trainer, key.replace("val/", "val-best/", 1), made)
        self._show(trainer, cast(Restorer, pl_module).batches_done)
        self._shown = {}

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the images to the loggers."""
        trained = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        self._show(trainer, getattr(_data(trainer), "steps", trained))
        self._shown = {}

    def _show(self, trainer: Trainer, step: int) -> None:
        """Show the loggers, which only the first process has, the panels of all processes."""
        shown = self._shown
        takers = _image_loggers(trainer)
        if trainer.world_size > 1 and trainer.strategy.broadcast(bool(takers)):
            gathered: list[dict[str, Panel]] = [{} for _ in range(trainer.world_size)]
            distributed.all_gather_object(gathered, shown)
            shown = {}
            for of_one_process in gathered:
                shown |= of_one_process
        for logger in takers if shown else ():
            logger.log_images(dict(sorted(shown.items())), step)

    def _write(self, trainer: Trainer, key: str, made: Panel) -> None:
        folder = Path(trainer.default_root_dir) / "images" if self.folder is None else Path(self.folder)
        write_panel(folder / f"{key}.png", made)


def first(images: object, count: int) -> dict[int, bool]:
    """The indices of the first `count` images, of each part where a set has several; True for those of a part."""
    sizes = getattr(images, "sizes", None)
    if sizes is None:
        return dict.fromkeys(range(count), False)
    chosen: list[int] = []
    start = 0
    for size in sizes:
        chosen.extend(range(start, start + min(count, size)))
        start += size
    return dict.fromkeys(chosen, True)


def pixels(image: Tensor) -> NDArray[np.float32]:
    """The pixels `(H, W, 3)` of an image `(3, H, W)` or `(1, H, W)`, on the CPU in float32."""
    colours = image.detach().float().cpu().expand(3, -1, -1)
    return np.asarray(colours.permute(1, 2, 0).numpy(), dtype=np.float32)


def _data(trainer: Trainer) -> object:
    """The Trainer's data module, of which only a set's name and the sizes of its parts are asked; None without one."""
    return getattr(trainer, "datamodule", None)


def _set_name(model: LightningModule, loader: int) -> str:
    """The name of the set that a model evaluates."""
    return cast(Restorer, model).scores.sets[loader]


def _image_loggers(trainer: Trainer) -> list[ImageLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, ImageLogger)]


def _is_best(trainer: Trainer) -> bool:
    """Whether the validation that just ended beats all before it; `Checkpoints` looks only after this callback."""
    for callback in trainer.checkpoint_callbacks:
        value = trainer.callback_metrics.get(callback.monitor) if isinstance(callback, Checkpoints) else None
        if isinstance(callback, Checkpoints) and value is not None:
            score = float(value) if callback.mode == "max" else -float(value)
            return callback.best is None or score > callback.best
    return False
