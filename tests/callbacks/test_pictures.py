"""Which images are shown, under which names, and which validation counts as the best."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from limpid.callbacks import Checkpoints, ImageLogging
from limpid.callbacks.image_logging import first
from limpid.results.comparison_panel import Panel, read_panel


class Logger:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, dict[str, Panel]]] = []

    def log_images(self, images: Mapping[str, Panel], step: int) -> None:
        self.shown.append((step, dict(images)))


class System:
    """Finds a flat transmission."""

    batches_done = 7
    scores = SimpleNamespace(sets=["t"])

    def auxiliary_maps(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        return {"transmission": torch.full_like(batch["input"][:, :1], 0.2)}


def batch(index: int, domain: str = "haze") -> dict[str, Any]:
    input = torch.full((1, 3, 4, 6), 0.4)
    return {
        "index": torch.tensor([index]),
        "name": [f"image {index}"],
        "domain": [domain],
        "input": input,
        "target": input * 2,
    }


FIT = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(total=SimpleNamespace(ready=0))))


def trainer(images: Any, logger: Logger, psnr: float = 20.0, best: float | None = None) -> Any:
    checkpoints = Checkpoints()
    checkpoints.best = best
    return SimpleNamespace(
        world_size=1, is_global_zero=True, loggers=[logger, object()], checkpoint_callbacks=[checkpoints],
        callback_metrics={"val/psnr": torch.tensor(psnr)}, sanity_checking=False, fit_loop=FIT, datamodule=SimpleNamespace(val=images, test={"t": images}, steps=9),
    )  # fmt: skip


def validate(callback: ImageLogging, trainer: Any, batches: list[dict[str, Any]]) -> None:
    callback.on_validation_start(trainer, System())  # type: ignore[arg-type]
    for number, one in enumerate(batches):
        callback.on_validation_batch_end(trainer, System(), one["input"] / 2, one, number)  # type: ignore[arg-type]
    callback.on_validation_end(trainer, System())  # type: ignore[arg-type]


def test_the_first_images_of_each_part_are_chosen() -> None:
    assert first(SimpleNamespace(), 3) == {0: False, 1: False, 2: False}
    assert first(SimpleNamespace(sizes=[5, 1, 4]), 2) == {0: True, 1: True, 5: True, 6: True, 7: True}
    assert first(SimpleNamespace(), 0) == {}


def test_a_panel_has_the_same_name_on_disk_and_in_loggers(tmp_path: Path) -> None:
    logger, callback = Logger(), ImageLogging(val=2, folder=str(tmp_path))
    validate(callback, trainer(SimpleNamespace(name="s"), logger), [batch(i) for i in (0, 1, 2, -1)])
    [(step, shown)] = logger.shown
    assert step == 7
    assert list(shown) == ["val/s/image 0", "val/s/image 1"]
    panel = read_panel(tmp_path / "val" / "s" / "image 1.png")
    assert panel.columns == ("input", "restored", "target", "transmission")
    assert [int(panel.pixels[0, 6 * i, 0]) for i in range(4)] == [102, 51, 204, 51]
    assert np.array_equal(panel.pixels, shown["val/s/image 1"].pixels)


def test_a_mixture_shows_the_first_of_each_kind(tmp_path: Path) -> None:
    logger, images = Logger(), SimpleNamespace(name="mixture", sizes=[2, 2])
    batches = [batch(i, "haze" if i < 2 else "rain") for i in range(4)]
    validate(ImageLogging(val=1, maps=False, folder=str(tmp_path)), trainer(images, logger), batches)
    assert list(logger.shown[0][1]) == ["val/mixture/haze/image 0", "val/mixture/rain/image 2"]
    assert logger.shown[0][1]["val/mixture/rain/image 2"].columns == ("input", "restored", "target")


def test_the_best_validation_stays_on_disk(tmp_path: Path) -> None:
    callback, images = ImageLogging(val=1, folder=str(tmp_path)), SimpleNamespace(name="s")
    kept = tmp_path / "val-best" / "s" / "image 0.png"
    validate(callback, trainer(images, Logger(), psnr=20.0, best=21.0), [batch(0)])
    assert not kept.exists()
    validate(callback, trainer(images, Logger(), psnr=22.0, best=21.0), [batch(0)])
    before = kept.read_bytes()
    other = batch(0) | {"target": torch.zeros(1, 3, 4, 6)}
    validate(callback, trainer(images, Logger(), psnr=21.5, best=22.0), [other])
    assert kept.read_bytes() == before
    assert (tmp_path / "val" / "s" / "image 0.png").read_bytes() != before


def test_a_test_without_references_shows_what_there_is(tmp_path: Path) -> None:
    logger, callback = Logger(), ImageLogging(test=1, maps=False, folder=str(tmp_path))
    at, one = trainer(SimpleNamespace(), logger), batch(0)
    del one["target"]
    callback.on_test_start(at, System())  # type: ignore[arg-type]
    callback.on_test_batch_end(at, System(), one["input"], one, 0)  # type: ignore[arg-type]
    callback.on_test_end(at, System())  # type: ignore[arg-type]
    [(step, shown)] = logger.shown
    assert (step, list(shown)) == (9, ["test/t/image 0"])
    assert read_panel(tmp_path / "t" / "image 0.png").columns == ("input", "restored")
