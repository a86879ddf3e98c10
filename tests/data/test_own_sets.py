"""Sets of one's own: which they are, what they hold, and what is said where they are not there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limpid.config.recipes import recipe
from limpid.data.own_sets import own_contents, refuse_absent, refuse_no_root
from limpid.errors import CannotRun


def picture(file: Path, value: int = 90) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(file)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    root = tmp_path / "a"
    for split, count in (("train", 6), ("test", 1)):
        for number in range(count):
            picture(root / split / "input" / f"{number}.png", number)
            picture(root / split / "target" / f"{number}.png", 100 + number)
    return root


def contents(name: str, root: Path, mode: str = "train") -> dict[str, str]:
    return own_contents(recipe(name, root), mode)


def test_training_validation_and_test_sets_count_where_they_are_read(pairs: Path) -> None:
    assert list(contents("folder", pairs)) == ["data.train", "data.val", "data.test.folder"]
    assert list(contents("folder", pairs, "test")) == ["data.test.folder"]
    assert contents("folder", pairs, "profile") == {}


def test_the_same_images_elsewhere_are_the_same(pairs: Path, tmp_path: Path) -> None:
    before = contents("folder", pairs)
    shutil.copytree(pairs, tmp_path / "b")
    (tmp_path / "c").symlink_to(pairs)
    assert contents("folder", tmp_path / "b") == before
    assert contents("folder", tmp_path / "c") == before


@pytest.mark.parametrize(
    ("file", "keys"),
    [
        ("train/target/0.png", {"data.train", "data.val"}),
        ("test/input/0.png", {"data.test.folder"}),
    ],
)
def test_another_pixel_is_another_set(file: str, keys: set[str], pairs: Path) -> None:
    before = contents("folder", pairs)
    picture(pairs / file, 7)
    after = contents("folder", pairs)
    changed = {key for key in before if before[key] != after[key]}
    assert changed
    assert changed <= keys


def test_published_and_made_sets_do_not_count(tmp_path: Path) -> None:
    for folder in ("hazy", "gt"):
        picture(tmp_path / "RESIDE" / "SOTS" / "indoor" / folder / ("1400_1.png" if folder == "hazy" else "1400.png"))
    assert contents("sots_indoor", tmp_path, "test") == {}
    assert contents("scenes", tmp_path) == {}


def test_sets_inside_mixtures_and_degradations_count(tmp_path: Path) -> None:
    picture(tmp_path / "photographs" / "a" / "1.png")
    for number in range(4):
        picture(tmp_path / "photographs" / f"{number}.png", number)
    found = contents("photographs_sand", tmp_path)
    sets = ["data.train.sets.photographs.clean", "data.train.sets.scattering.clean", "data.val.clean"]
    assert list(found) == sets
    picture(tmp_path / "haze_real" / "a.png")
    assert "data.train.degraded.sets.haze" in contents("real_unpaired", tmp_path)
    assert contents("real_photographs", tmp_path, "test").keys() == {"data.test.haze_real"}


def test_a_count_of_ones_own_is_no_publishers(pairs: Path) -> None:
    plain = recipe("folder", pairs, test={"folder": {"expected": 1, "url": "https://example.org"}})
    assert list(own_contents(plain, "test")) == ["data.test.folder"]


CLASS = """
class Own:
    name, domain, expected = "own", "haze", None
    def __init__(self, folder, size=3):
        pass
"""


def test_a_class_of_ones_own_reads_the_folders_that_its_settings_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "images" / "runs"))
    (tmp_path / "own_set_class.py").write_text(CLASS)
    picture(tmp_path / "images" / "deep" / "1.png")
    data: dict[str, Any] = {"test": {"x": {"_target_": "own_set_class.Own", "folder": "images"}}}
    before = own_contents(data, "test", ["own_set_class"])
    assert before.keys() == {"data.test.x"}
    picture(tmp_path / "images" / "runs" / "x" / "1.png")
    assert own_contents(data, "test", ["own_set_class"]) == before, "what runs write is no data"
    picture(tmp_path / "images" / "deep" / "1.png", 7)
    assert own_contents(data, "test", ["own_set_class"]) != before


def test_absent_sets_are_left_out_or_refused(pairs: Path, tmp_path: Path) -> None:
    shutil.rmtree(pairs / "train")
    assert list(contents("folder", pairs)) == ["data.test.folder"]
    refuse_absent(recipe("folder", pairs), "test")
    with pytest.raises(CannotRun, match=r"The set folder is not there; looked in .*/a/train\."):
        refuse_absent(recipe("folder", pairs), "train")
    with pytest.raises(CannotRun, match="the data root .*nowhere does not exist"):
        refuse_absent(recipe("folder", tmp_path / "nowhere"), "test")
    refuse_absent(recipe("sots_indoor", tmp_path / "nowhere"), "test")
    refuse_absent(recipe("scenes", tmp_path / "nowhere"), "train")


def test_a_root_that_is_asked_for_must_be_there_for_sets_of_ones_own(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    with pytest.raises(CannotRun, match=r"The set folder is not there \(the data root .*nowhere does not exist\)"):
        refuse_no_root(recipe("folder", Path(nowhere)), "test", [nowhere])
    refuse_no_root(recipe("folder", Path(nowhere)), "test", [])
    refuse_no_root(recipe("scenes", Path(nowhere)), "train", [nowhere])
    refuse_no_root(recipe("reside_its", Path(nowhere)), "train", [nowhere])
