"""Parts of a set of clean images: no image in common, the scenes that pairs hold out, the counts of a whole set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limpid.data.datasets import Clean, PairedByName
from limpid.data.datasets.splits import Subset
from limpid.data.image_io import write_image
from limpid.errors import CannotRun, UserError

NAMES = [str(i) for i in range(1, 41)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for i, name in enumerate(NAMES):
        write_image(tmp_path / "clear" / f"{name}.png", np.full((16, 16, 3), i / 64, np.float32))
        write_image(tmp_path / "hazy" / f"{name}_1_0.9.png", np.full((16, 16, 3), 0.9, np.float32))
    return tmp_path


def clean(home: Path, expected: int | None = None) -> Clean:
    return Clean(name="c", domain="clean", root=home, roots=["."], images="clear", expected=expected)


def names(part: Subset) -> list[str]:
    return [part.load(i)["name"] for i in range(len(part))]


def test_every_image_is_in_one_part(home: Path) -> None:
    parts = {part: names(Subset(clean(home), part, validate=4, test=6)) for part in ("train", "val", "test")}
    assert {part: len(found) for part, found in parts.items()} == {"train": 30, "val": 4, "test": 6}
    assert sorted(name for found in parts.values() for name in found) == sorted(NAMES)


def test_the_scenes_that_validate_are_those_that_pairs_hold_out(home: Path) -> None:
    pairs = PairedByName(
        name="p", domain="haze", root=home, roots=["."], input="hazy", target="clear",
        pair=r"(?P<target>.+?)_\d+_[\d.]+", part="val", held_out=4,
    )  # fmt: skip
    assert {pair.scene for pair in pairs.chosen} == set(names(Subset(clean(home), "val", validate=4, test=6)))


def test_counts_are_those_of_the_publishers_whole_set(home: Path) -> None:
    assert [Subset(clean(home, 1399), part).expected for part in ("train", "val", "test")] == [1279, 20, 100]
    assert Subset(clean(home), "test").expected is None
    few = [len(Subset(clean(home), part)) for part in ("train", "val", "test")]
    assert few == [20, 10, 10], "of few images a quarter each at most"


def test_what_is_missing_or_misspelt_is_said(tmp_path: Path, home: Path) -> None:
    with pytest.raises(UserError, match="The part of set c is 'valid', but it must be train, val or test"):
        Subset(clean(home), "valid")
    absent = Subset(clean(tmp_path / "none"), "train")
    assert "does not exist" in str(absent.why_missing())
    with pytest.raises(CannotRun):
        len(absent)
