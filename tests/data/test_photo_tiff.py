"""Every kind of TIFF is read as the picture it means, by `predict` and by sets alike, or refused with a sentence."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin
from tests.data.photo_files import directory, picture, png, saved, tiff

from limpid.data.image_io import read_image
from limpid.data.photo_io import Photograph, kind_of, read_photograph, size_of, write_photograph
from limpid.data.photographs.photograph import upright
from limpid.errors import UserError

EIGHT, SIXTEEN = picture(), picture(levels=65535)
ALPHA = {255: picture()[..., 2] * 2, 65535: picture(levels=65535)[..., 2] * 2}


def read(folder: Path, data: bytes) -> Photograph:
    """The photograph, after a look whether sets see the same pixels."""
    path = folder / "a.tif"
    path.write_bytes(data)
    photograph = read_photograph(path)
    np.testing.assert_array_equal(read_image(path), photograph.pixels)
    return photograph


def in_unit_range(values: NDArray[Any]) -> NDArray[np.float32]:
    return values / np.float32(np.iinfo(values.dtype).max)


@pytest.mark.parametrize("pixels", [EIGHT, SIXTEEN], ids=["8", "16"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"compression": "lzw"},
        {"compression": "zlib", "predictor": True},
        {"compression": "packbits"},
        {"compression": "zstd", "byteorder": ">"},
        {"compression": "jpeg2000", "compressionargs": {"level": 0, "reversible": True}},
        {"rowsperstrip": 7, "compression": "zlib"},
        {"tile": (16, 16)},
        {"tile": (16, 32), "compression": "lzw", "predictor": True},
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "tile": (16, 16), "compression": "zlib"},
    ],
    ids=str,
)
def test_however_the_samples_are_packed(tmp_path: Path, pixels: NDArray[Any], settings: dict[str, Any]) -> None:
    stored = pixels.transpose(2, 0, 1) if "planarconfig" in settings else pixels
    photograph = read(tmp_path, tiff(np.ascontiguousarray(stored), **settings))
    np.testing.assert_array_equal(photograph.pixels, in_unit_range(pixels))
    assert (photograph.levels, photograph.grey, photograph.alpha) == (np.iinfo(pixels.dtype).max, False, None)
    assert photograph.notes == ()


@pytest.mark.parametrize("pixels", [EIGHT, SIXTEEN], ids=["8", "16"])
def test_grey_of_which_zero_is_white_is_no_negative(tmp_path: Path, pixels: NDArray[Any]) -> None:
    grey = pixels[..., 0]
    photograph = read(tmp_path, tiff(np.iinfo(grey.dtype).max - grey, photometric="miniswhite", compression="lzw"))
    assert photograph.grey
    np.testing.assert_array_equal(photograph.pixels[..., 1], in_unit_range(grey))


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_samples_of_few_bits_reach_from_black_to_white(tmp_path: Path, bits: int, photometric: str) -> None:
    values = np.random.default_rng(0).integers(0, 2**bits, (16, 20)).astype(np.uint8 if bits < 8 else np.uint16)
    values[0, :2] = 0, 2**bits - 1
    stored = values.astype(bool) if bits == 1 else values
    photograph = read(tmp_path, tiff(stored, photometric=photometric, bitspersample=bits))
    parts = values / np.float32(2**bits - 1)
    wanted = 1 - parts if photometric == "miniswhite" else parts
    np.testing.assert_allclose(photograph.pixels[..., 0], wanted, atol=1 / 65535)
    assert photograph.levels == (255 if bits < 8 else 65535)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_floats_in_the_unit_range_are_read_and_others_refused(tmp_path: Path, kind: str) -> None:
    values = in_unit_range(SIXTEEN).astype(kind)
    photograph = read(tmp_path, tiff(values, compression="zlib", predictor=True))
    np.testing.assert_allclose(photograph.pixels, values.astype(np.float32), atol=1e-7)
    assert photograph.levels == 65535
    unfit = {"255": values * 255, "nan": np.where(values > values.mean(), np.nan, values), "above": values * 2}
    for wrong in unfit.values():
        with pytest.raises(UserError, match=r"floating-point samples .*; save it as 8 or 16 bit, or as floating"):
            read(tmp_path, tiff(wrong.astype(kind)))


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "u4"])
def test_whole_numbers_without_an_agreed_range_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UserError, match=r"a\.tif has .*samples of .* bits from .* and nothing says which"):
        read(tmp_path, tiff((EIGHT // 2).astype(kind)))


def test_whole_numbers_of_a_stated_range_are_read(tmp_path: Path) -> None:
    """SMinSampleValue and SMaxSampleValue state it where they are round; else they describe one picture only."""

    def stating(pixels: NDArray[Any], kind: str, least: float, most: float) -> bytes:
        return tiff(pixels, extratags=[(340, kind, 3, [least] * 3, True), (341, kind, 3, [most] * 3, True)])

    half = (SIXTEEN // 2).astype(np.int16)
    np.testing.assert_allclose(read(tmp_path, stating(half, "h", 0, 32767)).pixels, half / 32767, atol=1e-6)
    whole = (SIXTEEN.astype(np.int32) - 32768).astype(np.int16)
    np.testing.assert_allclose(
        read(tmp_path, stating(whole, "h", -32768, 32767)).pixels, in_unit_range(SIXTEEN), atol=1e-6
    )
    floats = EIGHT.astype(np.float32)
    np.testing.assert_allclose(read(tmp_path, stating(floats, "d", 0, 255)).pixels, in_unit_range(EIGHT), atol=1e-6)
    with pytest.raises(UserError, match="nothing says"):
        read(tmp_path, stating(floats, "d", float(floats.min()), float(floats.max())))
    all_of_32_bits = SIXTEEN.astype(np.uint32) * np.uint32(65537)
    np.testing.assert_allclose(read(tmp_path, tiff(all_of_32_bits)).pixels, in_unit_range(SIXTEEN), atol=1e-6)


@pytest.mark.parametrize("pixels", [EIGHT, SIXTEEN], ids=["8", "16"])
def test_alpha_is_kept_and_colours_are_freed_of_it(tmp_path: Path, pixels: NDArray[Any]) -> None:
    highest = np.iinfo(pixels.dtype).max
    alpha = np.maximum(ALPHA[highest], highest // 4)
    for meaning in ("unassalpha", "unspecified"):
        for settings in ({}, {"planarconfig": "separate"}):
            stored = np.dstack([pixels, alpha])
            stored = stored.transpose(2, 0, 1) if settings else stored
            photograph = read(tmp_path, tiff(stored, extrasamples=[meaning], **settings))
            np.testing.assert_array_equal(photograph.pixels, in_unit_range(pixels))
            np.testing.assert_array_equal(photograph.alpha, alpha)
    multiplied = np.round(pixels.astype(float) * alpha[..., None] / highest).astype(pixels.dtype)
    photograph = read(tmp_path, tiff(np.dstack([multiplied, alpha]), extrasamples=["assocalpha"]))
    np.testing.assert_allclose(photograph.pixels, in_unit_range(pixels), atol=3 / highest)
    np.testing.assert_array_equal(photograph.alpha, alpha)
    other = pixels[..., 1]
    photograph = read(tmp_path, tiff(np.dstack([pixels, other, alpha]), extrasamples=["unspecified", "unassalpha"]))
    np.testing.assert_array_equal(photograph.alpha, alpha)
    assert photograph.notes == (
        f"{tmp_path / 'a.tif'} has 2 channels beside its colours, of which one was taken for alpha.",
    )


def test_a_palette_is_of_16_bits_or_of_8_by_old_writers(tmp_path: Path) -> None:
    for highest in (65535, 255):
        palette = np.random.default_rng(0).integers(0, highest + 1, (3, 256)).astype(np.uint16)
        photograph = read(tmp_path, tiff(EIGHT[..., 0], photometric="palette", colormap=palette))
        wanted = palette >> (8 if highest == 65535 else 0)
        np.testing.assert_array_equal(photograph.pixels, (wanted.T[EIGHT[..., 0]] / np.float32(255)))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_palette_of_few_colours(tmp_path: Path, bits: int) -> None:
    indices = np.random.default_rng(0).integers(0, 2**bits, (24, 33)).astype(np.uint8)
    colours = np.random.default_rng(1).integers(0, 256, (2**bits, 3))
    per_byte = 8 // bits
    padded = np.pad(indices, ((0, 0), (0, -33 % per_byte))).reshape(24, -1, per_byte)
    packed = (padded << np.arange(8 - bits, -1, -bits)).sum(2).astype(np.uint8).tobytes()
    short, long = (lambda value: struct.pack("<H", value)), (lambda value: struct.pack("<I", value))
    tags = [(256, 33), (257, 24), (258, bits), (259, 1), (262, 3), (277, 1), (278, 24)]
    entries = [(tag, 3, 1, short(value)) for tag, value in tags]
    entries += [(273, 4, 1, long(8)), (279, 4, 1, long(len(packed)))]
    entries += [(320, 3, 3 * 2**bits, (colours.T * 257).astype("<u2").tobytes())]
    at = 8 + len(packed)
    photograph = read(tmp_path, b"II*\0" + long(at) + packed + directory(at, *entries))
    np.testing.assert_array_equal(photograph.pixels, colours[indices].astype(np.float32) / np.float32(255))
    deeper = [(258, 3, 3, short(8) + short(8) + short(16)) if entry[0] == 258 else entry for entry in entries]
    deeper = [(277, 3, 1, short(3)) if entry[0] == 277 else entry for entry in deeper]
    (tmp_path / "b.tif").write_bytes(b"II*\0" + long(at) + packed + directory(at, *deeper))
    with pytest.raises(UserError, match="b.tif has channels of different depths"):
        read_photograph(tmp_path / "b.tif")


@pytest.mark.parametrize("pixels", [EIGHT, SIXTEEN], ids=["8", "16"])
def test_inks_without_a_profile_are_taken_for_ideal_ones(tmp_path: Path, pixels: NDArray[Any]) -> None:
    highest = np.iinfo(pixels.dtype).max
    inks = np.dstack([pixels, pixels[..., 2]])
    photograph = read(tmp_path, tiff(inks, photometric="separated"))
    wanted = (1 - inks[..., :3] / highest) * (1 - inks[..., 3:] / highest)
    np.testing.assert_allclose(photograph.pixels, wanted, atol=0.51 / highest)
    assert photograph.notes[0].endswith("was converted as if inks were ideal.")


def test_luma_and_differences_in_a_jpeg_are_colours(tmp_path: Path) -> None:
    smooth = picture(64, 64)
    for data in (tiff(smooth, compression="jpeg"), saved(Image.fromarray(smooth), "TIFF", compression="jpeg")):
        photograph = read(tmp_path, data)
        np.testing.assert_array_equal(
            photograph.pixels, in_unit_range(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
        )
        assert not photograph.lossless


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_lab_is_what_lab_is(tmp_path: Path, kind: type) -> None:
    """Grey has no a* and b*; red has those of the profile's own conversion."""
    red = np.full((8, 8, 3), (200, 40, 30), np.uint8)
    conversion = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(Image.fromarray(red), *conversion, outputMode="LAB")
    assert lab is not None
    values = np.asarray(lab).astype(np.int32)
    values[..., 1:] -= np.where(values[..., 1:] > 127, 256, 0)  # a* and b* are signed
    scale = 1 if kind == np.uint8 else 256
    stored = np.stack(
        [values[..., 0] * (65535 / 255 if scale > 1 else 1), *np.moveaxis(values[..., 1:] * scale, -1, 0)]
    )
    samples = np.moveaxis(stored, 0, -1).astype(np.int64).astype(kind)
    photograph = read(tmp_path, tiff(samples, photometric="cielab"))
    np.testing.assert_allclose(photograph.pixels[0, 0] * 255, [200, 40, 30], atol=2)


@pytest.mark.parametrize("pixels", [EIGHT, SIXTEEN], ids=["8", "16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_upright_once(tmp_path: Path, pixels: NDArray[Any], orientation: int) -> None:
    turned = {1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1]}
    turned |= {5: lambda p: p.swapaxes(0, 1), 6: lambda p: np.rot90(p, -1)}
    turned |= {7: lambda p: p[::-1, ::-1].swapaxes(0, 1), 8: np.rot90}
    photograph = read(tmp_path, tiff(pixels, extratags=[(274, "H", 1, orientation, True)]))
    np.testing.assert_array_equal(photograph.pixels, turned[orientation](in_unit_range(pixels)))


def pages(*written: tuple[NDArray[Any], dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for pixels, settings in written:
            writer.write(pixels, **{"photometric": "rgb", **settings})
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_luma_and_differences_without_a_jpeg_are_turned_once(tmp_path: Path, orientation: int) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[274], tags[530] = orientation, (1, 1)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    settings = {"compression": "tiff_lzw", "tiffinfo": tags, "icc_profile": profile}
    photograph = read(tmp_path, saved(Image.fromarray(EIGHT).convert("YCbCr"), "TIFF", **settings))
    np.testing.assert_allclose(photograph.pixels, upright(EIGHT, orientation) / np.float32(255), atol=4 / 255)
    assert photograph.profile == profile, "it is of the red, green and blue that they stand for"


def test_a_channel_that_is_not_said_to_be_alpha_is_told(tmp_path: Path) -> None:
    four = np.dstack([EIGHT, EIGHT[..., 0]])
    photograph = read(tmp_path, tiff(four, extrasamples=["unspecified"]))
    np.testing.assert_array_equal(photograph.alpha, EIGHT[..., 0])
    assert "not said to be alpha, and was taken for it." in photograph.notes[0]
    empty = read(tmp_path, tiff(np.dstack([EIGHT, np.zeros_like(EIGHT[..., 0])]), extrasamples=["unspecified"]))
    assert empty.alpha is None
    assert empty.notes[0].endswith("is empty, which was left out.")
    five = np.dstack([four, EIGHT[..., 1]])
    photograph = read(tmp_path, tiff(five, photometric="separated", extrasamples=["unspecified"]))
    assert photograph.alpha is None
    assert any("none of which is said to be alpha" in note for note in photograph.notes)


def test_thumbnails_and_smaller_copies_are_no_pictures(tmp_path: Path) -> None:
    small, reduced = EIGHT[::4, ::4].copy(), {"subfiletype": 1}
    for data in (
        pages((EIGHT, {}), (small, reduced)),
        pages((small, reduced), (EIGHT, {})),
        pages((EIGHT, {"subifds": 2}), (small, reduced), (small, reduced)),
        pages((small, {"subifds": 1, **reduced}), (EIGHT, {})),
        pages((EIGHT, {}), (EIGHT[..., 0] > 99, {"photometric": "mask", "subfiletype": 4})),
    ):
        assert read(tmp_path, data).pixels.shape == EIGHT.shape
        assert size_of(tmp_path / "a.tif") == (33, 24)
        np.testing.assert_array_equal(read_photograph(tmp_path / "a.tif").pixels, in_unit_range(EIGHT))


def test_what_is_no_single_picture_is_refused(tmp_path: Path) -> None:
    for count in (2, 100):
        with pytest.raises(UserError, match=rf"a\.tif holds {count} pictures; split it"):
            read(tmp_path, pages(*[(EIGHT[:4, :4].copy(), {})] * count))
    volume = np.stack([EIGHT[:16, :16, 0]] * 4)
    with pytest.raises(UserError, match="volume of 4 layers"):
        read(tmp_path, tiff(volume, photometric="minisblack", volumetric=True, tile=(4, 16, 16)))
    with pytest.raises(UserError, match="5 channels that are not said to be red, green and blue"):
        read(tmp_path, tiff(np.dstack([EIGHT[..., 0]] * 5), photometric="minisblack", planarconfig="contig"))
    with pytest.raises(UserError, match="cut short or damaged"):
        read(tmp_path, tiff(SIXTEEN)[:-200])


def test_what_does_not_say_what_it_is_is_refused(tmp_path: Path) -> None:
    for settings in ({"photometric": "minisblack"}, {}):
        data = tiff(EIGHT[..., 0] if settings else EIGHT, **settings)
        at = data.find(struct.pack("<HHI", 262, 3, 1))
        with pytest.raises(UserError, match="does not say what its samples are"):
            read(tmp_path, data[:at] + struct.pack("<H", 60000) + data[at + 2 :])


def test_a_claim_that_its_bytes_cannot_hold_is_not_unpacked(tmp_path: Path) -> None:
    data = tiff(EIGHT, compression="zlib")
    width = data.find(struct.pack("<HHI", 256, 4, 1)) + 8
    claimed = data[:width] + struct.pack("<I", 100000) + data[width + 4 :]
    with pytest.raises(UserError, match="cut short or damaged"):
        read(tmp_path, claimed)


def test_a_tiff_under_the_name_of_a_raw_picture_is_a_tiff(tmp_path: Path) -> None:
    for name in ("a.dng", "a.nef"):
        (tmp_path / name).write_bytes(tiff(SIXTEEN, compression="zlib"))
        np.testing.assert_array_equal(read_photograph(tmp_path / name).pixels, SIXTEEN / np.float32(65535))


def test_a_raw_picture_under_any_name_is_developed(tmp_path: Path) -> None:
    """A mosaic of linear sRGB, in the camera's own white balance: LibRaw gives the colours back, coded as sRGB is."""
    pytest.importorskip("rawpy")
    linear = np.zeros((40, 60, 3))
    linear[:, :30], linear[:, 30:] = (0.2, 0.4, 0.1), (0.5, 0.5, 0.5)
    mosaic = np.empty(linear.shape[:2])
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = linear[row::2, column::2, channel]
    to_camera = [32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570]  # XYZ to linear sRGB
    tags = [
        (271, 2, None, "Cam", True),
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, bytes([0, 1, 1, 2]), True),
        (50706, 1, 4, bytes([1, 4, 0, 0]), True),
        (50708, 2, None, "Cam Made", True),
        (50721, 10, 9, [part for value in to_camera for part in (value, 10000)], True),
        (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),
        (50778, 3, 1, 21, True),
    ]
    data = tiff(np.round(mosaic * 65535).astype(np.uint16), photometric=32803, metadata=None, extratags=tags)
    for name in ("a.dng", "a.tif"):
        path = tmp_path / name
        path.write_bytes(data)
        assert size_of(path) == (60, 40)
        photograph = read_photograph(path)
        np.testing.assert_array_equal(read_image(path), photograph.pixels)
        for column, values in ((15, (0.2, 0.4, 0.1)), (45, (0.5, 0.5, 0.5))):
            coded = [1.055 * value ** (1 / 2.4) - 0.055 for value in values]
            np.testing.assert_allclose(photograph.pixels[20, column], coded, atol=2e-3)
        assert photograph.levels == 65535
        write_photograph(tmp_path / "b.tif", photograph.pixels, photograph)
        assert Image.open(tmp_path / "b.tif").getexif()[271] == "Cam"
    assert kind_of(tmp_path / "a.dng") == "RAW"


def test_a_png_of_16_bits_and_a_tiff_of_the_same_are_alike(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(SIXTEEN, 16, 2))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), read(tmp_path, tiff(SIXTEEN)).pixels)
