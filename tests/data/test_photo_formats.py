"""What phones, scanners and photo programs write besides: read as another library reads it, and by sets alike."""

from __future__ import annotations

import io
import struct
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.data.photo_files import camera_block, chunk, encoded, every_format, picture, png, saved
from tests.data.photo_files import tiff as tiff_of

from limpid.data.image_io import read_image
from limpid.data.photo_io import (
    FORMATS,
    READABLE,
    Photograph,
    frames,
    kind_of,
    read_photograph,
    refuse_output,
    size_of,
    write_photograph,
    written_suffix,
)
from limpid.data.photographs import by_pillow, tiff
from limpid.errors import CannotRun, UserError

EIGHT, SIXTEEN = picture(), picture(levels=65535)
EVERY = every_format()
UNIT = EIGHT / np.float32(255)


def read(path: Path, data: bytes) -> Photograph:
    """The photograph, after a look whether sets see the same pixels."""
    path.write_bytes(data)
    photograph = read_photograph(path)
    np.testing.assert_array_equal(read_image(path), photograph.pixels)
    return photograph


def decoded(data: bytes) -> NDArray[np.float32]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) / np.float32(255)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_pngs_of_every_depth(tmp_path: Path, bits: int) -> None:
    values = np.random.default_rng(0).integers(0, 2**bits, (10, 13))
    values[0, :2] = 0, 1
    photograph = read(tmp_path / "a.png", png(values, bits, 0, chunk(b"tRNS", struct.pack(">H", 1))))
    assert photograph.grey
    np.testing.assert_array_equal(photograph.pixels[..., 0], (values / np.float32(2**bits - 1)).astype(np.float32))
    np.testing.assert_array_equal(photograph.alpha, np.where(values == 1, 0, photograph.levels))
    turned = read(tmp_path / "b.png", png(values, bits, 0, after=chunk(b"eXIf", camera_block(6))))
    np.testing.assert_array_equal(turned.pixels, np.rot90(photograph.pixels, -1))


@pytest.mark.parametrize("bits", [8, 16])
def test_colour_pngs_with_all_that_stands_before_their_pixels(tmp_path: Path, bits: int) -> None:
    pixels = EIGHT if bits == 8 else SIXTEEN
    unit = pixels / np.float32(2**bits - 1)
    key = chunk(b"tRNS", struct.pack(">HHH", *map(int, pixels[0, 0])))
    photograph = read(tmp_path / "a.png", png(pixels, bits, 2, chunk(b"gAMA", struct.pack(">I", 100000)) + key))
    np.testing.assert_array_equal(photograph.pixels, unit)
    np.testing.assert_array_equal(photograph.alpha == 0, (pixels == pixels[0, 0]).all(-1))
    with_alpha = read(tmp_path / "b.png", png(pixels[..., :2], bits, 4))
    np.testing.assert_array_equal(with_alpha.pixels, np.repeat(unit[..., :1], 3, axis=2))
    np.testing.assert_array_equal(with_alpha.alpha, pixels[..., 1])
    colours = chunk(b"cICP", bytes([9, 16, 0, 1])) + chunk(b"gAMA", struct.pack(">I", 100000))
    meant = read(tmp_path / "c.png", png(pixels, bits, 2, colours))
    write_photograph(tmp_path / "d.png", meant.pixels, meant)
    again = read_photograph(tmp_path / "d.png")
    assert again.colour_chunks == colours, "how colours are meant is kept"
    np.testing.assert_array_equal(again.pixels, unit)


@pytest.mark.parametrize(
    "key", [b"tEXtRaw profile type exif\0", b"tEXtRaw profile type APP1\0", b"iTXtRaw profile type exif\0\0\0\0\0"]
)
def test_exif_that_is_a_text_in_a_png_turns_it(tmp_path: Path, key: bytes) -> None:
    block = b"Exif\0\0" + camera_block(8)
    text = key[4:] + b"\nexif\n%8d\n" % len(block) + block.hex().encode()
    photograph = read(tmp_path / "a.png", png(EIGHT, 8, 2, chunk(key[:4], text)))
    np.testing.assert_array_equal(photograph.pixels, np.rot90(UNIT))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_png_whose_checksum_does_not_fit_is_refused(tmp_path: Path, bits: int) -> None:
    data = bytearray(png(EIGHT if bits == 8 else SIXTEEN, bits, 2))
    data[data.index(b"IEND") - 7] ^= 1  # of the checksum of its pixels
    (tmp_path / "a.png").write_bytes(data)
    for reader in (read_photograph, read_image):
        with pytest.raises(UserError, match="a.png"):
            reader(tmp_path / "a.png")


@pytest.mark.filterwarnings("error")
def test_limits_and_warnings_of_pillow_are_as_other_threads_left_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"a.{name}" for name in EVERY]
    for path, data in zip(paths, EVERY.values(), strict=True):
        path.write_bytes(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    seen, filters, limits = [], list(warnings.filters), set()
    with ThreadPoolExecutor(4) as pool:
        reading = [pool.submit(read_photograph, path) for path in paths * 4]
        while not all(one.done() for one in reading):
            limits.add(Image.MAX_IMAGE_PIXELS)
            seen += [True] if list(warnings.filters) != filters else []
    assert [one.result().pixels.size for one in reading] == [12 * 16 * 3] * len(reading)
    assert limits == {10}
    assert not seen


def test_jpegs_of_every_kind(tmp_path: Path) -> None:
    image = Image.fromarray(EIGHT)
    for settings in ({}, {"progressive": True}, {"subsampling": 0}, {"keep_rgb": True}):
        data = saved(image, "JPEG", quality=95, **settings)
        for name in ("a.jpg", "a.jfif", "a.jpe"):
            np.testing.assert_array_equal(read(tmp_path / name, data).pixels, decoded(data))
    grey = saved(image.convert("L"), "JPEG")
    assert read(tmp_path / "a.jpg", grey).grey
    inks = read(tmp_path / "a.jpg", saved(image.convert("CMYK"), "JPEG", quality=100, subsampling=0))
    np.testing.assert_allclose(inks.pixels, UNIT, atol=4 / 255)
    assert inks.notes[0].endswith("holds print colours without a profile, and was converted as if inks were ideal.")
    deep = imagecodecs.jpeg8_encode(SIXTEEN >> 4, level=100, bitspersample=12, subsampling="444")
    photograph = read(tmp_path / "a.jpg", deep)
    assert photograph.levels == 65535
    np.testing.assert_allclose(photograph.pixels, SIXTEEN / 65535, atol=0.02)


def test_a_phones_preview_and_gain_map_are_not_the_picture(tmp_path: Path) -> None:
    image = Image.fromarray(EIGHT)
    data = saved(image, "MPO", save_all=True, append_images=[image.resize((8, 6))])
    for name in ("IMG_1.jpg", "IMG_1.mpo"):
        photograph = read(tmp_path / name, data)
        np.testing.assert_array_equal(photograph.pixels, decoded(data))
        assert photograph.notes == ()
    assert kind_of(tmp_path / "IMG_1.mpo") == "JPEG"
    assert written_suffix(tmp_path / "IMG_1.mpo") == ".jpg"


@pytest.mark.parametrize(("name", "form"), [("a.gif", "GIF"), ("a.png", "PNG"), ("a.webp", "WEBP")])
def test_animations_give_their_first_frame_or_all(tmp_path: Path, name: str, form: str) -> None:
    first = Image.fromarray(EIGHT).quantize(40)
    second = first.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    lossless = {"lossless": True} if form == "WEBP" else {}
    images = [image if form == "GIF" else image.convert("RGB") for image in (first, second)]
    photograph = read(tmp_path / name, saved(images[0], form, save_all=True, append_images=images[1:], **lossless))
    wanted = [np.asarray(image.convert("RGB")) / np.float32(255) for image in (first, second)]
    np.testing.assert_array_equal(photograph.pixels, wanted[0])
    assert photograph.notes == (f"{tmp_path / name} has 2 frames, of which only the first was read.",)
    for found, one in zip(frames(tmp_path / name), wanted, strict=True):
        np.testing.assert_array_equal(found, one)
    (tmp_path / "still.tif").write_bytes(encoded(EIGHT, "TIFF"))
    [still] = frames(tmp_path / "still.tif")
    np.testing.assert_array_equal(still, UNIT)


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_avif(tmp_path: Path, bits: int) -> None:
    smooth = picture(64, 64, 65535)
    data = imagecodecs.avif_encode(smooth >> (16 - bits), bitspersample=bits, level=100)
    photograph = read(tmp_path / "a.avif", data)
    stored = imagecodecs.avif_decode(data)
    np.testing.assert_allclose(photograph.pixels, stored / (2**bits - 1), atol=1 / 65535)
    assert np.abs(photograph.pixels - smooth / 65535).mean() < 0.01
    assert photograph.levels == 65535


def test_colours_beyond_srgb_are_noted(tmp_path: Path) -> None:
    data = encoded(EIGHT, "AVIF")
    at = data.find(b"colrnclx") + 8
    assert read(tmp_path / "a.avif", data).notes == ()
    photograph = read(tmp_path / "a.avif", data[:at] + struct.pack(">HH", 9, 16) + data[at + 4 :])
    assert "colours of a wider space or for HDR" in photograph.notes[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_turned_as_its_container_says(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    reference = encoded(EIGHT, "PNG", exif=exif)
    data = encoded(EIGHT, "AVIF", quality=100, subsampling="4:4:4", exif=exif)  # which takes it out of `exif`
    photograph = read(tmp_path / "a.avif", data)
    np.testing.assert_allclose(photograph.pixels, read(tmp_path / "a.png", reference).pixels, atol=6 / 255)


@pytest.mark.parametrize("name", ["a.jp2", "a.j2k"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg_2000_of_every_depth(tmp_path: Path, name: str, channels: int, bits: int) -> None:
    pixels = (SIXTEEN >> (16 - bits)).astype(np.uint8 if bits == 8 else np.uint16)
    values = np.dstack([pixels, pixels[..., 1]])[..., {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]]
    data = imagecodecs.jpeg2k_encode(
        np.ascontiguousarray(values.squeeze()), level=0, reversible=True, codecformat=name[2:], bitspersample=bits
    )
    photograph = read(tmp_path / name, data)
    colours = pixels / np.float32(2**bits - 1)
    wanted = np.repeat(colours[..., :1], 3, axis=2) if channels < 3 else colours
    np.testing.assert_allclose(photograph.pixels, wanted, atol=1 / 65535)
    assert photograph.grey == (channels < 3)
    assert (photograph.alpha is None) == (channels in (1, 3))


def test_print_colours_of_16_bits_in_a_jpeg_2000_are_refused(tmp_path: Path) -> None:
    four = np.dstack([SIXTEEN, SIXTEEN[..., 0]])
    data = imagecodecs.jpeg2k_encode(four, level=0, reversible=True, codecformat="jp2", mct=False)
    at = data.index(b"colr") + 7
    (tmp_path / "a.jp2").write_bytes(data[:at] + struct.pack(">I", 12) + data[at + 4 :])  # CMYK
    for reader in (read_photograph, read_image):
        with pytest.raises(UserError, match="a.jp2: It holds print colours"):
            reader(tmp_path / "a.jp2")


def test_heic_is_read_upright(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[274] = 6
    smooth = picture(64, 96)
    for mode, pixels in (("RGB", smooth), ("RGB;16", picture(64, 96, 65535))):
        file = io.BytesIO()
        heif.from_bytes(mode, (96, 64), pixels.tobytes()).save(file, quality=-1, exif=exif.tobytes())
        photograph = read(tmp_path / "a.heic", file.getvalue())
        assert photograph.pixels.shape == (96, 64, 3)
        upright = np.rot90(pixels, -1) / np.float32(np.iinfo(pixels.dtype).max)
        assert np.abs(photograph.pixels - upright).mean() < 0.01
        assert photograph.levels == np.iinfo(pixels.dtype).max
    assert kind_of(tmp_path / "a.heic") == "HEIC"
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.heic").read_bytes())
    assert read_photograph(tmp_path / "b.jpg").pixels.shape == (96, 64, 3), "phones send HEIC under other names"
    cover = np.full((64, 96, 1), 128, np.uint8)
    file = io.BytesIO()
    multiplied = np.dstack([np.round(smooth * (128 / 255)).astype(np.uint8), cover])
    heif.from_bytes("RGBa", (96, 64), multiplied.tobytes()).save(file, quality=-1, chroma=444)
    photograph = read(tmp_path / "a.heic", file.getvalue())
    assert np.abs(photograph.pixels - smooth / np.float32(255)).mean() < 0.01, "colours that alpha had multiplied"
    white = np.full((64, 96, 4), 65535, np.uint16)
    file = io.BytesIO()
    heif.from_bytes("RGBA;16", (96, 64), white.tobytes()).save(file, quality=-1)  # of 10 bits
    photograph = read(tmp_path / "a.heic", file.getvalue())
    assert photograph.pixels.min() == 1
    assert photograph.alpha is not None
    assert photograph.alpha.min() == 65535


@pytest.mark.parametrize("suffix", [".avif", ".jp2", ".jfif", ".jpe"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_the_newer_formats_are_written(tmp_path: Path, suffix: str, mode: str) -> None:
    alpha = EIGHT[..., 2] if mode == "RGBA" else None
    pixels = np.repeat(UNIT[..., :1], 3, axis=2) if mode == "L" else UNIT
    like = Photograph(pixels, 65535, mode == "L", alpha, None, None)
    write_photograph(tmp_path / f"a{suffix}", pixels, like, quality=100)
    again = read_photograph(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(again.pixels, pixels, atol=0.5 / 65535 if suffix == ".jp2" else 6 / 255)
    assert (again.alpha is not None) == (mode == "RGBA" and FORMATS[suffix] != "JPEG")
    assert again.levels == (65535 if suffix == ".jp2" else 255)


def test_the_same_pixels_give_the_same_bytes(tmp_path: Path) -> None:
    like = Photograph(UNIT, 65535, False, EIGHT[..., 2], None, b"Exif\0\0" + camera_block())
    for suffix in FORMATS:
        for name in ("a", "b"):
            write_photograph(tmp_path / f"{name}{suffix}", UNIT, like, processed_by="Limpid")
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize(("suffix", "width"), [(".webp", 16384), (".jpg", 65501), (".avif", 32769), (".png", 1000001)])
def test_a_side_over_the_formats_limit_is_refused_before_work(tmp_path: Path, suffix: str, width: int) -> None:
    longest = np.zeros((2, width - 1, 3), np.float32)
    write_photograph(tmp_path / f"a{suffix}", longest, Photograph(longest, 255, False, None, None, None))
    assert read_photograph(tmp_path / f"a{suffix}").pixels.shape == longest.shape
    assert read_image(tmp_path / f"a{suffix}").shape == longest.shape
    for size in ((width, 10), (10, width)):
        with pytest.raises(UserError, match=rf"a\{suffix} cannot be written: .* holds {width - 1} at most; write TIFF"):
            refuse_output(tmp_path / f"a{suffix}", *size)
    with pytest.raises(UserError, match=r"a\.gif cannot be written: there is no writer for \.gif; take one of"):
        refuse_output(tmp_path / "a.gif", 10, 10)


def test_the_kind_of_a_file_is_in_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(encoded(EIGHT, "PNG"))
    assert kind_of(tmp_path / "a.heic") == "PNG"
    np.testing.assert_array_equal(read_photograph(tmp_path / "a.heic").pixels, UNIT)
    for other in (b"", b"\xff", b"8BPS" + bytes(99), b"P6 2 2 255\n" + bytes(12), b"<svg/>", b"\xff\x0a" + bytes(99)):
        (tmp_path / "b.png").write_bytes(other)
        assert kind_of(tmp_path / "b.png") is None
        for reader in (read_photograph, read_image, size_of):
            with pytest.raises(UserError, match=r"b\.png is not an image that can be read"):
                reader(tmp_path / "b.png")
    assert kind_of(tmp_path / "nowhere.png") is None
    assert set(FORMATS) < set(READABLE)
    assert {written_suffix(Path(f"a{suffix}")) for suffix in READABLE} <= set(FORMATS)


def test_opencv_reads_what_sets_leave_to_it_as_pillow_does(tmp_path: Path) -> None:
    """Training reads thousands of plain files, whose values must stay what they were."""
    files: dict[str, Any] = {
        "a.png": encoded(EIGHT, "PNG"),
        "a.jpg": encoded(EIGHT, "JPEG", quality=80),
        "a.bmp": encoded(EIGHT, "BMP"),
        "a.webp": encoded(EIGHT, "WEBP", quality=80),
    }
    for name, data in files.items():
        before = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        assert before is not None
        wanted = np.ascontiguousarray(before[..., ::-1]).astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(read(tmp_path / name, data).pixels, wanted)


@pytest.mark.parametrize("name", EVERY)
def test_a_large_picture_is_refused_by_its_header(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"a.{name}"
    path.write_bytes(EVERY[name])
    for reader in (by_pillow, tiff):
        monkeypatch.setattr(reader, "decode", None)
    with pytest.raises(UserError, match=r"has 16x12 pixels, more than 0.0001 megapixels; .* set megapixels=1\."):
        read_photograph(path, megapixels=0.0001)


@pytest.mark.parametrize(
    ("missing", "name", "sentence"),
    [
        ("pillow_heif", "a.heic", r"a\.heic is a HEIC file, .* pip install 'limpid\[heic\]'"),
        ("rawpy", "a.dng", r"a\.dng is a camera's RAW file, .* pip install 'limpid\[raw\]'"),
        ("imagecodecs", "a.jp2", r"a\.jp2: This kind of file needs imagecodecs"),
    ],
)
def test_what_is_not_installed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, name: str, sentence: str
) -> None:
    raw = tiff_of(SIXTEEN[..., 0], photometric=32803)
    heads = {"a.heic": b"\0\0\0\x18ftypheic" + bytes(99), "a.dng": raw, "a.jp2": EVERY["deep.jp2"]}
    (tmp_path / name).write_bytes(heads[name])
    monkeypatch.setitem(sys.modules, missing, None)
    for reader in (read_photograph, read_image):
        with pytest.raises(CannotRun, match=sentence):
            reader(tmp_path / name)
    if missing == "imagecodecs":
        with pytest.raises(CannotRun, match=r"b\.jp2: This kind of file needs imagecodecs"):
            write_photograph(tmp_path / "b.jp2", UNIT, Photograph(UNIT, 255, False, None, None, None))
