"""What `limpid data list` and `limpid data check` say of sets that are whole, broken or absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.photo_files import tiff
from tests.data.publishers import card, picture, pixels, write

from limpid.commands import data
from limpid.data.check import Problem, Report, check, inspect_file, splits_of
from limpid.data.datasets import Degraded
from limpid.errors import CannotRun, UserError


def report(name: str, root: Path, **changes: Any) -> Report:
    split = card(name, root, **changes).split
    made = {split: card(name, root, **changes)}
    return check(name, made)


def only(found: Report) -> Problem:
    assert len(found.problems) == 1, [problem.message for problem in found.problems]
    return found.problems[0]


@pytest.fixture
def gopro(tmp_path: Path) -> Path:
    """Two training frames and a test frame, and a card that expects as many."""
    for split, video, frame in (("train", "a", 1), ("train", "a", 2), ("test", "b", 1)):
        for kind in ("blur", "sharp"):
            picture(tmp_path, f"GoPro/{split}/{video}/{kind}/{frame}.png")
    (tmp_path / "conf/dataset").mkdir(parents=True)
    (tmp_path / "conf/dataset/tiny.yaml").write_text("""
_target_: limpid.data.datasets.PairedByName
name: tiny
domain: blur
root: ${data.root}
roots: [GoPro]
input: test/*/blur
target: test/*/sharp
pair: '(?P<target>.+)'
split: test
splits:
  train: {input: train/*/blur, target: train/*/sharp, expected: 2}
  test: {input: test/*/blur, target: test/*/sharp, expected: 1}
how_to_get: Fetch it.
""")
    return tmp_path


@pytest.fixture
def ask(gopro: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `limpid data ARGUMENTS --format json`; the exit status and what was printed."""
    monkeypatch.chdir(gopro)
    monkeypatch.delenv("LIMPID_DATA", raising=False)

    def run(*arguments: str) -> tuple[int, Any]:
        status = data.run([*arguments, "--format", "json"])
        return status, json.loads(capsys.readouterr().out)

    return run


def test_a_whole_set_has_no_problem(ask: Any) -> None:
    status, (found,) = ask("check", "tiny", "--data-root", ".")
    assert status == 0
    assert found["splits"] == {"train": {"images": 2, "expected": 2}, "test": {"images": 1, "expected": 1}}
    assert (found["problems"], found["notes"]) == ([], [])


def test_everything_that_is_wrong_is_named_at_once(ask: Any, gopro: Path) -> None:
    train, test = gopro / "GoPro/train/a", gopro / "GoPro/test/b"
    write(train / "blur/3.png", pixels("larger", 18, 20))
    write(train / "sharp/3.png", pixels("smaller"))
    write(train / "blur/4.png", pixels("no partner"))
    write(train / "sharp/5.png", pixels("no partner either"))
    (train / "sharp/1.png").write_bytes((train / "sharp/1.png").read_bytes()[:-30])
    (train / "blur/1.png").write_bytes(b"no picture")
    write(test / "sharp/1.bmp", pixels("GoPro/train/a/sharp/2.png"))
    (test / "sharp/1.png").unlink()
    status, (found,) = ask("check", "tiny", "--data-root", ".")
    assert status == 2
    assert [(p["split"], p["kind"], p["offenders"]) for p in found["problems"]] == [
        ("train", "unpaired", ["train/a/blur/4.png"]),
        ("train", "count", []),
        ("train", "unpaired", ["train/a/sharp/5.png"]),
        ("train", "cannot be read", ["train/a/blur/1.png"]),
        ("train", "is cut short", ["train/a/sharp/1.png"]),
        ("train", "size", ["train/a/blur/3.png"]),
        ("test", "duplicate", ["train/a/sharp/2.png = test/b/sharp/1.bmp"]),
    ]
    said = " ".join(p["message"] for p in found["problems"])
    for part in (
        "4.png; complete the set or remove them",
        "has 3 images, but the publisher's set has 2; remove what",
        "3.png is 20x18 but its reference",
        "fetch them again",
        "a score on them means little",
    ):
        assert part in said
    assert all(p["folder"] == "GoPro" for p in found["problems"])


def test_five_offenders_are_shown_of_more(tmp_path: Path) -> None:
    for number in range(7):
        picture(tmp_path, f"input/{number}.png")
        (tmp_path / f"input/{number}.png").write_bytes(b"x")
        picture(tmp_path, f"target/{number}.png")
    problem = only(report("folder", tmp_path))
    assert (problem.count, len(problem.offenders)) == (7, 5)
    assert "input/4.png ...; fetch them again, or remove them." in problem.message
    assert str(tmp_path) in problem.message


def test_a_set_that_lost_some_images_says_how_to_get_the_rest_and_a_sample_is_only_noted(tmp_path: Path) -> None:
    for number in range(9):
        picture(tmp_path, f"SOTS/outdoor/hazy/{number}_0.8_0.2.jpg")
        picture(tmp_path, f"SOTS/outdoor/gt/{number}.png")
    problem = only(report("sots_outdoor", tmp_path, expected=10))
    assert problem.kind == "count"
    for part in ("test: ", "SOTS/outdoor has 9 images", "has 10", "fetch the rest. Download SOTS"):
        assert part in problem.message
    found = report("sots_outdoor", tmp_path, expected=11)
    assert found.problems == []
    assert "has 9 of the publisher's 11 images, so it is taken for a sample" in found.notes[0]


def test_empty_folders_are_a_problem_and_absent_sets_cannot_be_checked(tmp_path: Path) -> None:
    for folder in ("input", "target"):
        (tmp_path / folder).mkdir()
    assert only(report("folder", tmp_path)).kind == "count"
    with pytest.raises(CannotRun, match="does not exist"):
        report("rtts", tmp_path / "nowhere")


def test_references_beyond_the_published_pairs_are_only_noted(tmp_path: Path) -> None:
    for name in ("clear/1.png", "clear/2.png", "hazy/1_1_0.9.png"):
        picture(tmp_path, f"ITS/{name}")
    found = report("reside_its", tmp_path, expected=1)
    assert found.problems == []
    assert "clear/2.png; all published pairs are there without them" in found.notes[0]


def test_files_of_one_folder_may_belong_to_another_split(tmp_path: Path) -> None:
    for number in ("01", "46", "51"):
        for kind in ("hazy", "GT"):
            picture(tmp_path, f"NH-HAZE/{number}_{kind}.png")
    made = {split: card("nh_haze", tmp_path, split=split) for split in ("train", "val", "test")}
    found = check("nh_haze", made)
    assert (found.problems, len(found.notes)) == ([], 3)  # each split is a sample
    picture(tmp_path, "NH-HAZE/52_GT.png")
    assert only(check("nh_haze", made)).offenders == ["52_GT.png"]


def test_lists_are_checked_too(tmp_path: Path) -> None:
    home = tmp_path / "SPA-Data/Testing"
    picture(home, "rain/1.png")
    picture(home, "gt/1.png")
    (home / "real_test_1000.txt").write_text("/rain/1.png /gt/1.png\n/rain/2.png /gt/2.png\n")
    problem = only(report("spa", tmp_path, split="test"))
    assert (problem.kind, sorted(problem.offenders)) == ("unpaired", ["gt/2.png", "rain/2.png"])
    (home / "real_test_1000.txt").write_text("../1.png gt/1.png\n")
    assert "lies outside" in only(report("spa", tmp_path, split="test")).message


def test_halves_and_depth(tmp_path: Path) -> None:
    write(tmp_path / "sand_synth_pairs/Basic dataset/1.png", pixels("odd", 8, 9))
    assert only(report("sand_pairs", tmp_path, split="basic")).kind == "has an odd width"
    picture(tmp_path, "NYU/images/1.png")
    (tmp_path / "NYU/depth_maps").mkdir()
    np.save(tmp_path / "NYU/depth_maps/1.npy", np.ones((3, 3)))
    problem = only(report("nyu_depth", tmp_path, expected=1))
    assert (problem.kind, problem.offenders) == ("depth", ["depth_maps/1.npy"])
    assert "is 3x3, but its image 20x16" in problem.message


def test_shared_halves_are_found(tmp_path: Path) -> None:
    root = tmp_path / "sand_synth_pairs"
    write(root / "Extended dataset/train/1.png", np.concatenate([pixels("scene"), pixels("dust")], 1))
    write(root / "Extended dataset/test/9.png", np.concatenate([pixels("scene"), pixels("other dust")], 1))
    made = {split: card("sand_pairs", tmp_path, split=split) for split in ("train", "test")}
    assert only(check("sand_pairs", made)).kind == "duplicate"


def test_grey_and_16_bit_files_are_noted(tmp_path: Path) -> None:
    write(tmp_path / "clean/grey.png", pixels("x")[..., 0])
    write(tmp_path / "clean/deep.png", pixels("y").astype(np.uint16) * 257)
    assert [note.split(";")[0] for note in report("clean", tmp_path).notes] == [
        "all: 1 of 2 files are grey",
        "all: 1 of 2 files have 16 bits per channel",
    ]


def test_photographs_that_sets_do_not_read_are_counted(tmp_path: Path) -> None:
    picture(tmp_path, "clean/a.png")
    for name in ("b.gif", "c.gif", "d.heic", "e.txt"):
        (tmp_path / "clean" / name).write_bytes(b"something")
    [note] = [note for note in report("clean", tmp_path).notes if "not read" in note]
    assert "2 .gif, 1 .heic beside its images are not read" in note


def test_one_picture_in_two_formats_has_one_digest(tmp_path: Path) -> None:
    for suffix in ("png", "bmp", "tif"):
        write(tmp_path / f"a.{suffix}", pixels("a"))
    write(tmp_path / "b.png", pixels("b"))
    digests = [inspect_file(str(tmp_path / name)).digests for name in ("a.png", "a.bmp", "a.tif", "b.png")]
    assert digests[0] == digests[1] == digests[2] != digests[3]


def test_made_images_have_nothing_to_check_and_their_clean_files_have(tmp_path: Path) -> None:
    class Made:
        expected = None

        def __len__(self) -> int:
            return 3

        def load(self, index: int) -> dict[str, Any]:
            raise AssertionError("nothing is made to be checked")

    def same(sample: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        return sample

    found = check("made", {"all": Degraded("made", "haze", Made(), same)})
    assert (found.problems, len(found.notes)) == ([], 1)
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean/a.png").write_bytes(b"x")
    dirty = Degraded("dirty", "haze", card("clean", tmp_path), same)
    problem = only(check("dirty", {"all": dirty}))
    assert problem.kind == "cannot be read"
    assert problem.message.endswith("a.png is not an image that can be read; replace or remove it.")
    (tmp_path / "clean/a.png").write_bytes(tiff(np.ones((16, 16, 3), np.int16)))
    assert "signed samples of 16 bits from 1 to 1" in only(check("dirty", {"all": dirty})).message
    assert "not there" in str(Degraded("none", "haze", card("clean", tmp_path / "none"), same).why_missing())


def test_the_list_names_every_card_and_what_is_there(ask: Any) -> None:
    status, entries = ask("list", "--data-root", ".")
    named = {entry["name"]: entry for entry in entries}
    assert status == 0
    assert list(named) == data.known()
    assert named["tiny"]["present"]
    assert [(s["split"], s["images"], s["expected"]) for s in named["tiny"]["splits"]] == [
        ("train", 2, 2),
        ("test", 1, 1),
    ]
    assert not named["rtts"]["present"]
    assert "RTTS" in named["rtts"]["why_not"]
    assert named["scenes"]["present"]
    assert named["frida"]["licence"]


def test_the_list_survives_broken_sets_and_cards(ask: Any, gopro: Path) -> None:
    (gopro / "conf/dataset/broken.yaml").write_text(
        "_target_: limpid.data.datasets.PairedByName\nname: broken\nrooot: x\n"
    )
    (gopro / "GoPro/test/b/sharp/1.png").unlink()
    named = {entry["name"]: entry for entry in ask("list", "--data-root", ".")[1]}
    assert "rooot is not an argument" in named["broken"]["why_not"]
    assert "no reference" in named["tiny"]["splits"][1]["why_not"]


def test_the_verb_reads_as_a_table_and_as_lines(gopro: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(gopro)
    monkeypatch.setenv("LIMPID_DATA", str(gopro))
    assert data.run(["list"]) == 0
    assert "train 2/2, test 1/1" in capsys.readouterr().out
    assert data.run(["check", "tiny"]) == 0
    assert "tiny: no problems found." in capsys.readouterr().out
    picture(gopro, "GoPro/test/b/blur/2.png")
    assert data.run(["check", "tiny"]) == 2
    out = capsys.readouterr().out
    assert "problem (unpaired): test: 1 of the images" in out
    assert "tiny: 1 problem found." in out
    with pytest.raises(UserError, match=r"There is no set 'tinny'; did you mean 'tiny'\?"):
        data.run(["check", "tinny"])


def test_splits_of_a_card(tmp_path: Path) -> None:
    plain = {"_target_": "limpid.data.datasets.Images", "name": "x", "domain": "any", "root": ".", "roots": ["."]}
    assert list(splits_of(plain, "x")) == ["all"]
    assert list(splits_of(plain | {"split": "test"}, "x")) == ["test"]
    assert list(splits_of(plain | {"splits": {"a": {}, "b": {}}}, "x")) == ["a", "b"]


def test_the_real_samples_are_readable_and_share_nothing(real_data: Path) -> None:
    made = {split: card("sand_pairs", real_data, split=split) for split in ("train", "basic", "test")}
    assert check("sand_pairs", made).problems == []
    found = report("sots_indoor", real_data)
    assert (found.problems, len(found.notes)) == ([], 1)
    assert "taken for a sample" in found.notes[0]
    found = report("sots_indoor", real_data, roots=["RESIDE/SOTS_publisher_bytes/indoor"])
    assert found.problems == []
    assert "the references of 4 of 4 pairs have a border of 10 pixels" in found.notes[1]
