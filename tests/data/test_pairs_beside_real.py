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
from limpid.data.degradations.pseudo_depth import stand_in_depth
from limpid.errors import CannotRun, UserError


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


def publish_outdoors(root: Path) -> None:
    """60 photographs in the layout of OTS, of which 50 validate, and a real one."""
    for scene in range(1, 61):
        picture(root, f"RESIDE/OTS/clear/{scene:04}.png", 40, 48)
        picture(root, f"RESIDE/OTS/hazy/{scene:04}_0.9_0.1.png", 40, 48)
    write(root / "RESIDE/URHI/a.png", pixels("a", 50, 30))


def recipe(root: Path, source: str, **settings: str) -> PairsBesideReal:
    data = Recipe("reside_ots_real", root, batch_size=2, crop=32, workers=0, augment=None)
    assert isinstance(data.train, PairsBesideReal)
    return PairsBesideReal(data.train.pairs, card("urhi", root, **settings), 32, source)


def test_depth_is_guessed_only_where_that_is_asked_for(tmp_path: Path) -> None:
    """Of the clear image of a pair, before windows are cut, and of the real image, before it is resized."""
    publish_outdoors(tmp_path)
    rng = np.random.default_rng(0)
    sample = recipe(tmp_path, "stand_in").load(0, rng)
    assert sample["depth"].shape == sample["real_depth"].shape == (32, 32)
    real = in_unit_range(card("urhi", tmp_path).load(0, rng))["input"]
    guess = resized({"input": real, "depth": stand_in_depth(real)}, {"height": 32, "width": 32})["depth"]
    np.testing.assert_allclose(sample["real_depth"], guess)
    with pytest.raises(
        UserError, match=r"A translation of haze needs the depth of every image, but \S+ has none; .*stand_in"
    ):
        recipe(tmp_path, "sample").load(0, rng)
    with pytest.raises(UserError, match="depth is 'guess', but it must be sample, stand_in, either or drawn"):
        recipe(tmp_path, "guess")


def test_real_photographs_come_with_depth_maps_of_ones_own(tmp_path: Path) -> None:
    publish_outdoors(tmp_path)
    folder = tmp_path / "RESIDE" / "URHI" / "depth"
    folder.mkdir()
    metres = np.linspace(1, 40, 50 * 30, dtype=np.float32).reshape(50, 30)
    np.save(folder / "a.npy", metres)
    urhi = card("urhi", tmp_path, depth="depth")
    assert urhi.roles == ("input", "depth")
    np.testing.assert_allclose(urhi.load(0, np.random.default_rng(0))["depth"], metres / 40)
    sample = recipe(tmp_path, "either", depth="depth").load(0, np.random.default_rng(0))
    assert sample["real_depth"][0, 0] == pytest.approx(1 / 40, abs=0.02)
    assert sample["real_depth"][-1, -1] == pytest.approx(1, abs=0.02)
    np.save(folder / "a.npy", metres[:20])
    with pytest.raises(UserError, match="is 30x20, but its image 30x50"):
        urhi.load(0, np.random.default_rng(0))
