"""Sets of files in their publishers' layouts, made small here, and what is said when something is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from limpid import targets
from limpid.data.files import read_image, write_image
from limpid.data.sets import Degraded, Images, Pairs
from limpid.errors import CannotRun, UserError

RNG = np.random.default_rng(0)


def picture(path: Path, height: int = 30, width: int = 40) -> np.ndarray[Any, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (height, width, 3), np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, pixels[..., ::-1])[1].tobytes())
    return pixels


def sots(root: Path, **changes: Any) -> Pairs:
    import yaml

    from limpid.places import shipped

    card = yaml.safe_load((shipped("conf") / "set" / "sots_indoor.yaml").read_text())
    made: Pairs = targets.construct(card | {"root": str(root)} | changes, "set")
    return made


@pytest.mark.parametrize("home", ["RESIDE/SOTS/indoor", "SOTS/indoor", "indoor", "."])
def test_sots_as_published_is_cropped_to_the_middle(tmp_path: Path, home: str) -> None:
    reference = picture(tmp_path / home / "gt" / "1400.png", 50, 60)
    hazy = [picture(tmp_path / home / "hazy" / f"1400_{k}.png") for k in (1, 10, 2)]
    images = sots(tmp_path)
    assert images.missing() is None
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
    why = images.missing()
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

    def part(name: str) -> Pairs:
        return Pairs("its", "haze", str(tmp_path), ["."], "hazy", "clear", r"(?P<target>.+?)_\d+_[\d.]+", 0, name, 3)

    scenes = {name: {target.stem for _, target in part(name).files} for name in ("train", "val")}
    assert len(scenes["val"]) == 3
    assert len(scenes["train"]) == 9
    assert not scenes["val"] & scenes["train"]
    assert len(part("val")) + len(part("train")) == len(part("all")) == 24


def test_unpaired_images_and_other_suffixes(tmp_path: Path) -> None:
    picture(tmp_path / "b.bmp")
    picture(tmp_path / "a.tiff")
    (tmp_path / "notes.txt").write_text("no image")
    images = Images("mine", "any", str(tmp_path), ["input", "."])
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
