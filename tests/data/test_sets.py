"""Sets of files in their publishers' layouts, made small here, and what is said when something is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.data.publishers import card, pixels, write
from tests.data.publishers import picture as published

from limpid.data.datasets import Clean, Degraded, Images, PairedByName, PairedFromList, SideBySidePairs, file_index
from limpid.data.datasets.file_index import folders, images
from limpid.data.image_io import list_images, read_image, write_image
from limpid.errors import CannotRun, UserError

RNG = np.random.default_rng(0)


def picture(path: Path, height: int = 30, width: int = 40) -> np.ndarray[Any, Any]:
    return published(path.parent, path.name, height, width)


def sots(root: Path, **changes: Any) -> PairedByName:
    made: PairedByName = card("sots_indoor", root, **changes)
    return made


@pytest.mark.parametrize("home", ["RESIDE/SOTS/indoor", "SOTS/indoor", "indoor", "."])
def test_sots_as_published_is_cropped_to_the_middle(tmp_path: Path, home: str) -> None:
    reference = picture(tmp_path / home / "gt" / "1400.png", 50, 60)
    hazy = [picture(tmp_path / home / "hazy" / f"1400_{k}.png") for k in (1, 10, 2)]
    images = sots(tmp_path)
    assert images.why_missing() is None
    assert [file.name for file, _ in images.files] == ["1400_1.png", "1400_10.png", "1400_2.png"]
    sample = images.load(1, RNG)
    assert sample["name"] == "1400_10"
    np.testing.assert_array_equal(np.round(sample["input"] * 255), hazy[1])
    np.testing.assert_array_equal(np.round(sample["target"] * 255), reference[10:-10, 10:-10])
    assert sample["input"].dtype == sample["target"].dtype == np.float32


def test_sots_of_the_real_publisher(real_data: Path) -> None:
    whole, cropped = sots(real_data / "RESIDE/SOTS_publisher_bytes"), sots(real_data)
    assert len(whole) == 4
    assert len(cropped) == 22
    index = {file.name: i for i, (file, _) in enumerate(cropped.files)}
    for i, (file, _) in enumerate(whole.files):
        one, other = whole.load(i, RNG), cropped.load(index[file.name], RNG)
        np.testing.assert_array_equal(one["target"], other["target"])
        assert one["input"].shape == (460, 620, 3)
    errors = [np.square(s["input"] - s["target"]).mean() for s in (cropped.load(i, RNG) for i in range(22))]
    assert -10 * np.log10(errors).mean() == pytest.approx(12.08, abs=0.005)


def test_a_missing_set_says_where_it_was_looked_for_and_how_to_get_it(tmp_path: Path) -> None:
    images = sots(tmp_path / "nowhere")
    why = images.why_missing()
    assert why is not None
    for part in ("sots_indoor", "does not exist", "nowhere/RESIDE/SOTS/indoor", "Download SOTS"):
        assert part in why
    with pytest.raises(CannotRun, match="Download SOTS"):
        len(images)


def test_strays_empty_folders_and_other_sizes_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "gt" / "1.png")
    (tmp_path / "hazy").mkdir()
    with pytest.raises(CannotRun, match="is empty"):
        len(sots(tmp_path))
    picture(tmp_path / "hazy" / "1_1.png", 30, 42)
    with pytest.raises(UserError, match=r"1_1\.png is 42x30 but its reference .*1\.png is 40x30"):
        sots(tmp_path).load(0, RNG)
    picture(tmp_path / "hazy" / "2_1.png")
    with pytest.raises(UserError, match=r"1 of the images in .* have no reference .*: 2_1\.png"):
        len(sots(tmp_path))


def test_its_holds_out_whole_scenes(tmp_path: Path) -> None:
    for scene in range(1, 13):
        picture(tmp_path / "clear" / f"{scene}.png", 16, 16)
        for k in (1, 2):
            picture(tmp_path / "hazy" / f"{scene}_{k}_0.9{k}179.png", 16, 16)

    def part(name: str) -> PairedByName:
        return PairedByName(
            name="its",
            domain="haze",
            root=tmp_path,
            roots=["."],
            input="hazy",
            target="clear",
            pair=r"(?P<target>.+?)_\d+_[\d.]+",
            part=name,
            held_out=3,
        )

    scenes = {name: {target.stem for _, target in part(name).files} for name in ("train", "val")}
    assert len(scenes["val"]) == 3
    assert len(scenes["train"]) == 9
    assert not scenes["val"] & scenes["train"]
    assert len(part("val")) + len(part("train")) == len(part("all")) == 24


def test_unpaired_images_and_other_suffixes(tmp_path: Path) -> None:
    picture(tmp_path / "b.bmp")
    picture(tmp_path / "a.tiff")
    (tmp_path / "notes.txt").write_text("no image")
    images = Images(name="mine", domain="any", root=str(tmp_path), roots=["input", "."])
    assert [images.load(i, RNG)["name"] for i in range(len(images))] == ["a", "b"]
    assert "target" not in images.load(0, RNG)


def test_degraded_sets_draw_from_the_given_generator() -> None:
    class Clean:
        def __len__(self) -> int:
            return 1

        def load(self, index: int) -> dict[str, Any]:
            return {"target": np.zeros((4, 4, 3), np.float32), "name": "x"}

    def noise(sample: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        return sample | {"input": sample["target"] + rng.random((4, 4, 3), np.float32)}

    images = Degraded("made", "noise", Clean(), noise)
    first, second = (images.load(0, np.random.default_rng(s))["input"] for s in (1, 2))
    np.testing.assert_array_equal(first, images.load(0, np.random.default_rng(1))["input"])
    assert not np.array_equal(first, second)


def test_images_of_8_and_16_bit_and_awkward_names(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 65536, (5, 7, 3)).astype(np.uint16)
    file = tmp_path / "ein Bild [1]=ü,x.png"
    file.write_bytes(cv2.imencode(".png", pixels[..., ::-1])[1].tobytes())
    np.testing.assert_allclose(read_image(file), pixels / 65535, atol=1e-7)
    write_image(file, np.full((2, 2, 3), 0.5, np.float32))
    np.testing.assert_allclose(read_image(file), 128 / 255, atol=1e-7)  # halves round up
    file.write_bytes(b"no picture")
    with pytest.raises(UserError, match="not an image"):
        read_image(file)
    with pytest.raises(UserError, match="cannot be read"):
        read_image(tmp_path / "absent.png")


def test_a_missing_split_names_its_own_homes_and_the_nearest_name(tmp_path: Path) -> None:
    why = str(card("rain1400", tmp_path, split="train").why_missing())
    for part in ("The train split of the set rain1400", "rainy_image_dataset", "Rain12600", "Download"):
        assert part in why
    with pytest.raises(UserError, match=r"no split 'tset'; did you mean 'test'\?"):
        card("rain1400", tmp_path, split="tset")
    with pytest.raises(UserError, match=r"splits\.test\.inptu of the set x cannot be set; did you mean 'input'\?"):
        sots(tmp_path, name="x", splits={"test": {"inptu": "a"}})
    with pytest.raises(UserError, match=r"layouts\[0\]\.root"):
        sots(tmp_path, layouts=[{"root": "/"}]).why_missing()
    with pytest.raises(UserError, match="must be all, train or val"):
        sots(tmp_path, part="half")


def test_the_first_layout_that_is_there_is_taken_whole(tmp_path: Path) -> None:
    layouts = [{"input": "a", "pair": "(?P<target>.+)_a"}, {"input": "b"}]
    picture(tmp_path / "gt" / "1.png", 16, 16)
    picture(tmp_path / "b" / "1_2.png", 16, 16)
    made = sots(tmp_path, roots=["."], layouts=layouts)
    assert [pair.key for pair in made.chosen] == ["1_2"]
    assert made.pair == "(?P<target>.+)_\\d+", "nothing is left of the layout before"


def test_target_names_are_filled_from_the_groups_of_the_rule(tmp_path: Path) -> None:
    picture(tmp_path / "one" / "7-x.png", 16, 16)
    picture(tmp_path / "one" / "clean-7.png", 16, 16)
    rule = {"roots": ["one"], "input": ".", "target": ".", "pair": r"(?P<number>\d+)-x"}
    made = sots(tmp_path, **rule, target_name="clean-{number}")
    assert [pair.scene for pair in made.chosen] == ["clean-7"]
    with pytest.raises(UserError, match=r"asks for 'scene', but the pair rule .* has no such group"):
        len(sots(tmp_path, **rule, target_name="{scene}"))
    picture(tmp_path / "one" / "clean-7.bmp", 16, 16)
    with pytest.raises(UserError, match=r"clean-7\.bmp and .*clean-7\.png have one name"):
        len(sots(tmp_path, **rule, target_name="clean-{number}"))


def test_frames_of_a_video_are_held_out_together(tmp_path: Path) -> None:
    for video in "abcd":
        for frame in (1, 2, 3):
            for kind in ("blur", "sharp"):
                picture(tmp_path / "GoPro/train" / video / kind / f"{frame}.png", 16, 16)
    train, val = (card("gopro", tmp_path, split="train", part=part, held_out=1) for part in ("train", "val"))
    assert (len(train), len(val)) == (9, 3)
    assert len({pair.scene for pair in val.chosen}) == 1
    assert {pair.scene for pair in val.chosen}.isdisjoint(pair.scene for pair in train.chosen)


def listed(root: Path, text: str) -> PairedFromList:
    (root / "list.txt").write_text(text, encoding="utf-8")
    return PairedFromList(name="l", domain="any", root=root, roots=["."], list_file="list.txt")


def test_lists_with_spaces_links_and_empty_lines(tmp_path: Path) -> None:
    image = picture(tmp_path / "elsewhere" / "x.png", 16, 16)
    (tmp_path / "a b").symlink_to(tmp_path / "elsewhere")
    picture(tmp_path / "c d.png", 16, 16)
    made = listed(tmp_path, "\ufeff/a b/x.png   c d.png  \n\nc d.png\ta b/x.png\n")
    assert [pair.key for pair in made.chosen] == ["a b/x", "c d"]
    np.testing.assert_array_equal(np.round(made.load(0, RNG)["input"] * 255), image)


def test_lists_that_name_absent_files_or_leave_the_root(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 16, 16)
    with pytest.raises(
        UserError, match=r"2 of the files that .*list\.txt names are not in .*: gone\.png, e/f\.png; complete"
    ):
        len(listed(tmp_path, "a.png gone.png\ne/f.png a.png\n"))
    for path in ("../a.png", "b/../../a.png", "/../a.png"):
        with pytest.raises(UserError, match=r"Line 2 of .* names .*\.\./a\.png, which lies outside"):
            len(listed(tmp_path, f"a.png a.png\na.png {path}\n"))
    with pytest.raises(UserError, match=r"Line 1 of .* holds no two paths of images: 'a\.png'"):
        len(listed(tmp_path, "a.png\n"))
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        len(PairedFromList(name="l", domain="any", root=tmp_path, roots=["."], list_file="list.txt"))
    with pytest.raises(CannotRun, match="is empty"):
        len(listed(tmp_path, "\n"))


def test_files_of_an_odd_width_are_no_two_images(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 8, 9)
    with pytest.raises(UserError, match="9 pixels wide, which is odd"):
        SideBySidePairs(name="h", domain="any", root=tmp_path, roots=["."], images=".").load(0, RNG)


def test_depth_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 8, 10)
    images = Clean(name="c", domain="clean", root=tmp_path, roots=["."], depth="d")
    (tmp_path / "d").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        images.load(0)
    for depth, why in (
        (np.ones((8, 8)), "is 8x8, but its image 10x8"),
        (np.zeros((8, 10)), "not positive"),
        (np.full((8, 10), np.nan), "not positive"),
    ):
        np.save(tmp_path / "d" / "a.npy", depth)
        with pytest.raises(UserError, match=why):
            images.load(0)
    np.save(tmp_path / "d" / "a.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(UserError, match="cannot be read"):
        images.load(0)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_an_image_that_is_cut_short_is_refused_wherever_it_ends(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    write(file, pixels("a", 40, 60))
    whole = file.read_bytes()
    for kept in (len(whole) - 2, len(whole) * 3 // 4, len(whole) // 2, 40):
        file.write_bytes(whole[:kept])
        with pytest.raises(UserError, match=rf"is cut short \({kept} bytes"):
            read_image(file)
    file.write_bytes(whole + b"\0" * 100)  # what some cameras append does no harm
    assert read_image(file).shape == (40, 60, 3)
    file.write_bytes(b"")
    with pytest.raises(UserError, match="not an image"):
        read_image(file)


def test_a_thumbnail_does_not_hide_that_the_end_is_missing(tmp_path: Path) -> None:
    small, file = tmp_path / "small.jpg", tmp_path / "a.jpg"
    write(small, pixels("s", 8, 8))
    write(file, pixels("a", 40, 60))
    thumbnail, whole = small.read_bytes(), file.read_bytes()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    file.write_bytes(whole[:2] + segment + whole[2:])
    assert read_image(file).shape == (40, 60, 3)
    file.write_bytes((whole[:2] + segment + whole[2:])[:-50])
    with pytest.raises(UserError, match="cut short"):
        read_image(file)


def test_grey_and_16_bit_images_keep_their_values(tmp_path: Path) -> None:
    grey = RNG.integers(0, 65536, (5, 7)).astype(np.uint16)
    for stored, highest in ((grey, 65535), ((grey >> 8).astype(np.uint8), 255)):
        write(tmp_path / "grey.png", stored)
        read = read_image(tmp_path / "grey.png")
        np.testing.assert_allclose(read, np.repeat(stored[..., None] / highest, 3, -1), atol=1e-7)
    colour = RNG.integers(0, 256, (5, 7, 4)).astype(np.uint8)
    write(tmp_path / "clear.png", colour)
    np.testing.assert_allclose(read_image(tmp_path / "clear.png"), colour[..., :3] / 255, atol=1e-7)


def test_links_hidden_files_and_folders_with_an_images_name(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 8, 8)
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "c.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "d.png").mkdir()
    (tmp_path / ".e.png").write_bytes(b"")
    (tmp_path / "png").write_bytes(b"")
    assert [file.name for file in list_images(tmp_path)] == ["a.png", "b.png", "c.png"]
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), read_image(tmp_path / "b.png"))
    with pytest.raises(UserError, match="No such file"):
        read_image(tmp_path / "c.png")
    assert list_images(tmp_path / "nowhere") == list_images(tmp_path / "a.png") == []


def test_stars_stand_for_parts_of_a_path(tmp_path: Path) -> None:
    for name in ("x/one/a/1.png", "x/two/b/2.png", "x/two/a/3.png"):
        picture(tmp_path / name, 8, 8)
    assert [key for key, _ in folders(tmp_path, "x/*/a")] == ["one", "two"]
    assert [key for key, _ in images(tmp_path, "x/*/?")] == ["one/a/1", "two/a/3", "two/b/2"]
    assert [key for key, _ in images(tmp_path, ["x/one/a", "x/two/b"])] == ["1", "2"]
    assert folders(tmp_path / "nowhere", "*") == []


def test_a_hundred_thousand_names_are_paired_by_reading_each_folder_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    for folder in ("hazy", "gt"):
        (tmp_path / folder).mkdir()
    calls = []
    listing = {
        "hazy": [f"{i}_{k}.png" for i in range(10000) for k in range(10)],
        "gt": [f"{i}.png" for i in range(10000)],
    }

    def read(folder: Path) -> list[str]:
        calls.append(folder.name)
        return listing[folder.name]

    monkeypatch.setattr(file_index, "image_names", read)
    assert len(sots(tmp_path, roots=["."])) == 100000
    assert sorted(calls) == ["gt", "hazy"]


def test_nothing_is_written_below_the_root(tmp_path: Path) -> None:
    picture(tmp_path / "gt" / "1.png", 16, 16)
    picture(tmp_path / "hazy" / "1_1.png", 16, 16)
    before = sorted(tmp_path.rglob("*"))
    for folder in (tmp_path, tmp_path / "gt", tmp_path / "hazy"):
        folder.chmod(0o555)
    try:
        assert sots(tmp_path).load(0, RNG)["name"] == "1_1"
        assert sorted(tmp_path.rglob("*")) == before
    finally:
        for folder in (tmp_path, tmp_path / "gt", tmp_path / "hazy"):
            folder.chmod(0o755)


def test_photographs_of_ones_own_may_lie_in_folders(tmp_path: Path) -> None:
    for place in ("a.png", "summer/b.png", "winter/c.png"):
        picture(tmp_path / "photographs" / place)
    found = card("photographs", tmp_path)
    assert [found.name_of(index) for index in range(len(found))] == ["a", "summer/b", "winter/c"]
