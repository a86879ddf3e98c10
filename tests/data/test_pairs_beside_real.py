"""Pairs beside real images: what a batch holds, and what is said where either is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.data.publishers import card, picture, pixels, write

from limpid.data.cropping import in_unit_range, resized
from limpid.data.datamodules import Recipe
from limpid.data.datasets.mixed import PairsBesideReal
from limpid.errors import CannotRun


def publish(root: Path) -> None:
    """24 scenes in the layout of ITS, of which 20 validate, and two real photographs of other sizes."""
    for scene in range(1, 25):
        picture(root, f"RESIDE/ITS/clear/{scene}.png", 40, 48)
        picture(root, f"RESIDE/ITS/hazy/{scene}_1_0.9.png", 40, 48)
    write(root / "RESIDE/URHI/a.png", pixels("a", 50, 30))
    write(root / "RESIDE/URHI/b.png", pixels("b", 36, 60))


@pytest.mark.parametrize("cache", [False, True])
def test_a_batch_holds_crops_of_pairs_and_whole_real_images(tmp_path: Path, cache: bool) -> None:
    publish(tmp_path)
    folder = str(tmp_path / "cache") if cache else None
    data = Recipe("reside_its_real", tmp_path, batch_size=2, crop=32, workers=0, cache=folder, augment=None)
    data.plan(2, None)
    assert isinstance(data.train, PairsBesideReal)
    photographs = [card("urhi", tmp_path).load(i, np.random.default_rng(0)) for i in range(2)]
    whole = [resized(in_unit_range(p), {"height": 32, "width": 32})["input"] for p in photographs]
    seen = set()
    for batch in data.train_dataloader():
        assert batch["input"].shape == batch["target"].shape == batch["real"].shape == (2, 3, 32, 32)
        for real in batch["real"]:
            alike = [np.allclose(real.permute(1, 2, 0).numpy(), one, atol=1e-6) for one in whole]
            assert sum(alike) == 1
            seen.add(alike.index(True))
    assert seen == {0, 1}
    again = next(iter(data.train_dataloader()))
    torch.testing.assert_close(
        again["real"], next(iter(data.train_dataloader()))["real"]
    )  # a function of seed and step


def test_missing_photographs_are_named(tmp_path: Path) -> None:
    publish(tmp_path)
    for file in (tmp_path / "RESIDE" / "URHI").iterdir():
        file.unlink()
    with pytest.raises(CannotRun, match="urhi"):
        Recipe("reside_its_real", tmp_path, crop=32).require(training=True)
