"""Photographs of every kind come back as they were: samples, depth, alpha, profile, EXIF, orientation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from limpid.data.photo_io import Photograph, read_photograph, write_photograph
from limpid.errors import UserError

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKE, ORIENTATION = 271, 274


def samples(*shape: int, levels: int = 255) -> NDArray[Any]:
    values = np.random.default_rng(0).integers(0, levels + 1, shape)
    return values.astype(np.uint16 if levels == 65535 else np.uint8)


def exif(orientation: int = 1) -> Image.Exif:
    block = Image.Exif()
    block[MAKE], block[ORIENTATION] = "Camera", orientation
    return block


def as_read(path: Path) -> NDArray[Any]:
    """The samples in the file, read by another library than the one under test where that is possible."""
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF", ".bmp", ".webp"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_8_bit_files_come_back_exactly(tmp_path: Path, suffix: str, mode: str) -> None:
    if suffix == ".webp" and mode == "L":
        pytest.skip("WebP has no grey")
    if suffix == ".bmp" and mode == "RGBA":
        pytest.skip("what Pillow writes there does not say that it is alpha; see below")
    values = samples(20, 31, *([len(mode)] if len(mode) > 1 else []))
    image = Image.fromarray(values)
    source, target = tmp_path / f"a{suffix}", tmp_path / "deep" / "er" / f"b{suffix}"
    lossless = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    image.save(source, icc_profile=PROFILE if mode != "L" else None, **lossless)
    photograph = read_photograph(source)
    assert photograph.grey == (mode == "L")
    assert photograph.levels == 255
    write_photograph(target, photograph.pixels, photograph)
    again = Image.open(target)
    assert again.mode == mode
    np.testing.assert_array_equal(np.asarray(again), values)
    if mode != "L" and suffix != ".bmp":
        assert again.info["icc_profile"] == PROFILE


def test_a_bitmap_keeps_its_alpha(tmp_path: Path) -> None:
    values = samples(9, 12, 4)
    cv2.imwrite(str(tmp_path / "a.bmp"), values)
    photograph = read_photograph(tmp_path / "a.bmp")
    write_photograph(tmp_path / "b.bmp", photograph.pixels, photograph)
    np.testing.assert_array_equal(as_read(tmp_path / "b.bmp"), values)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_files_keep_every_level(tmp_path: Path, suffix: str, channels: int) -> None:
    values = samples(40, 50, *([channels] if channels > 1 else []), levels=65535)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), values)
    photograph = read_photograph(tmp_path / f"a{suffix}")
    assert (photograph.levels, photograph.grey) == (65535, channels == 1)
    write_photograph(tmp_path / f"b{suffix}", photograph.pixels, photograph)
    back = as_read(tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(back, values)
    assert len(np.unique(back)) > 256


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_files_keep_profile_and_maker(tmp_path: Path, suffix: str) -> None:
    pixels = np.random.default_rng(0).random((8, 9, 3), np.float32)
    like = Photograph(pixels, 65535, False, None, PROFILE, exif().tobytes())
    write_photograph(tmp_path / f"a{suffix}", pixels, like)
    again = read_photograph(tmp_path / f"a{suffix}")
    assert again.profile == PROFILE
    assert Image.open(tmp_path / f"a{suffix}").getexif()[MAKE] == "Camera"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
def test_a_turned_photograph_is_put_upright_once(tmp_path: Path, orientation: int, suffix: str) -> None:
    """All eight: the stored picture is the upright one put through the inverse of what the tag asks for."""
    upright = np.zeros((40, 64), np.uint8)
    upright[:16, :16], upright[24:, 40:] = 255, 120  # two different corners
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    source, target = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    Image.fromarray(np.ascontiguousarray(turned)).save(source, exif=exif(orientation), quality=100)
    photograph = read_photograph(source)
    assert np.abs(photograph.pixels[..., 0] * 255 - upright).max() < 6
    write_photograph(target, photograph.pixels, photograph)
    written = Image.open(target)
    assert written.size == (64, 40)
    assert written.getexif().get(ORIENTATION, 1) == 1
    assert written.getexif()[MAKE] == "Camera"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bit_is_turned_as_8_bit_is(tmp_path: Path, orientation: int) -> None:
    values = samples(11, 17, 3)
    Image.fromarray(values).save(tmp_path / "a.png", exif=exif(orientation))
    wide = values.astype(np.uint16)[..., ::-1] * 257
    block = exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    kinds, blocks = [cv2.IMAGE_METADATA_EXIF], [np.frombuffer(block, np.uint8)[None]]
    (tmp_path / "b.png").write_bytes(cv2.imencodeWithMetadata(".png", wide, kinds, blocks)[1].tobytes())
    np.testing.assert_allclose(
        read_photograph(tmp_path / "b.png").pixels, read_photograph(tmp_path / "a.png").pixels, atol=1e-7
    )


def test_palettes_and_transparent_colours_become_colour_and_alpha(tmp_path: Path) -> None:
    image = Image.new("P", (6, 4), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "a.png", transparency=0)
    photograph = read_photograph(tmp_path / "a.png")
    np.testing.assert_allclose(photograph.pixels[1, 1] * 255, [200, 100, 50], atol=1e-4)
    assert photograph.alpha is not None
    assert photograph.alpha[0, 0] == 0
    assert (photograph.alpha == 255).sum() == 23


def test_black_and_white_is_grey_and_print_colours_become_rgb(tmp_path: Path) -> None:
    Image.new("1", (5, 5), 1).save(tmp_path / "a.png")
    assert read_photograph(tmp_path / "a.png").grey
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "b.jpg", icc_profile=PROFILE)
    photograph = read_photograph(tmp_path / "b.jpg")
    np.testing.assert_allclose(photograph.pixels[8, 8] * 255, [255, 0, 0], atol=3)
    assert photograph.profile is None, "the profile of another colour space would spoil the result"


def test_jpeg_and_lossy_webp_lose_little(tmp_path: Path) -> None:
    smooth = np.linspace(0, 1, 64, dtype=np.float32)[None, :, None] * np.ones((48, 1, 3), np.float32)
    for suffix in (".jpg", ".jpeg", ".webp"):
        like = Photograph(smooth, 255, False, None, PROFILE, None, lossless=False)
        write_photograph(tmp_path / f"a{suffix}", smooth, like)
        again = read_photograph(tmp_path / f"a{suffix}")
        assert np.abs(again.pixels - smooth).max() < 4 / 255
        assert not again.lossless
        assert again.profile == PROFILE


def test_another_suffix_holds_what_it_can(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((16, 16, 3), np.float32)
    alpha = samples(16, 16, levels=65535)
    like = Photograph(pixels, 65535, False, alpha, None, None)
    write_photograph(tmp_path / "a.jpg", pixels, like)
    assert Image.open(tmp_path / "a.jpg").mode == "RGB"
    write_photograph(tmp_path / "a.webp", pixels, like)
    kept = read_photograph(tmp_path / "a.webp").alpha
    assert kept is not None
    assert np.abs(kept * 257.0 - alpha).max() <= 128.5


def test_values_outside_are_clipped_and_halves_round_up(tmp_path: Path) -> None:
    pixels = np.array([[[-1, 2, 0.5 / 255], [1.49999 / 255, 1.5 / 255, 1]]], np.float32)
    write_photograph(tmp_path / "a.png", pixels, Photograph(pixels, 255, False, None, None, None))
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[[0, 255, 1], [1, 2, 255]]]


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"no\.png is not an image"):
        read_photograph(tmp_path / "no.png")
    Image.fromarray(samples(64, 64, 3)).save(tmp_path / "cut.png")
    data = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"cut\.png is cut short or damaged"):
        read_photograph(tmp_path / "cut.png")
    cv2.imwrite(str(tmp_path / "cut16.png"), samples(64, 64, 3, levels=65535))
    data = (tmp_path / "cut16.png").read_bytes()
    (tmp_path / "cut16.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"cut16\.png is cut short"):
        read_photograph(tmp_path / "cut16.png")
    with pytest.raises(UserError, match="cannot be read"):
        read_photograph(tmp_path / "absent.png")
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 255)]
    frames[0].save(tmp_path / "pages.tiff", save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match="holds 2 pictures"):
        read_photograph(tmp_path / "pages.tiff")
    cv2.imwrite(str(tmp_path / "float.tiff"), np.full((8, 8), 200, np.float32))
    with pytest.raises(UserError, match=r"samples from 200 to 200, and nothing says .* save it as 8 or 16 bit"):
        read_photograph(tmp_path / "float.tiff")


def test_too_large_a_picture_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    Image.new("1", (3000, 2000)).save(tmp_path / "bomb.png")
    with pytest.raises(UserError, match=r"3000x2000 pixels, more than 5 megapixels; .* set megapixels=6"):
        read_photograph(tmp_path / "bomb.png", megapixels=5)


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), np.float32)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_photograph(tmp_path / "file" / "a.png", pixels, Photograph(pixels, 255, False, None, None, None))
    (tmp_path / "a.png").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_photograph(tmp_path / "a.png", pixels, Photograph(pixels, 255, False, None, None, None))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "file"]
