"""JPEG, PNG, WebP, BMP, GIF, AVIF and JPEG 2000: by Pillow, and by imagecodecs where they have more than 8 bits."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limpid.data.photographs import avif, colours, containers, exif
from limpid.data.photographs.codecs import codecs
from limpid.data.photographs.photograph import Pixels, Stored, in_unit_range, to_16_bit

#: What Pillow calls the formats, and no other of its many readers is asked.
_NAMES = {
    "JPEG": ("JPEG", "MPO"),
    "PNG": ("PNG",),
    "WEBP": ("WEBP",),
    "BMP": ("BMP",),
    "GIF": ("GIF",),
    "AVIF": ("AVIF",),
    "JPEG2000": ("JPEG2000",),
}
#: The formats whose further pictures are frames; those in a JPEG are previews and gain maps.
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
_OPENING = threading.Lock()  # the limit and the warnings are Pillow's and Python's, for all threads


def opened(file: BinaryIO, kind: str) -> Image.Image:
    """The picture in `file`, of which only the header has been read."""
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of EXIF that is odd, which is read elsewhere
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours has a sentence
        try:
            return Image.open(file, formats=_NAMES[kind])
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def size(file: BinaryIO, kind: str) -> tuple[int, int]:
    """Width and height as the header of `file` says."""
    if kind == "JPEG":
        return containers.jpeg_frame(file)[:2]
    return opened(_content(file, kind), kind).size


def _content(file: BinaryIO, kind: str) -> BinaryIO:
    """The file from its beginning, without what could keep its picture from being read."""
    file.seek(0)
    return io.BytesIO(avif.without_exif(file.read())) if kind == "AVIF" else file


def decode(file: BinaryIO, kind: str) -> Stored:
    """What `file` stores."""
    file.seek(0)
    data = file.read()
    bits = containers.bits_of(data, kind)
    if bits > 8 and kind == "JPEG":  # which Pillow does not know at all
        if not containers.jpeg_ends(data):
            raise ValueError("its end is missing")
        stored = Stored(_of_bits(codecs().jpeg8_decode(data), bits), lossless=False)
        _add_exif(stored, containers.jpeg_exif(data))
        return stored
    content = avif.without_exif(data) if kind == "AVIF" else data
    image = opened(io.BytesIO(content), kind)
    if bits > 8:
        stored = _deep(image, content, kind, bits)
    else:
        stored = _of_8_bit(image)
        if kind == "PNG" and stored.alpha is not None and data[25] == 0:
            stored.alpha = codecs().png_decode(data)[..., 1]  # Pillow compares what it has scaled with what it has not
    stored.lossless = kind not in ("JPEG", "AVIF") and (kind != "WEBP" or containers.is_lossless_webp(data))
    _add_metadata(stored, image, data, kind)
    count = _frame_count(image, kind)
    if count > 1:
        stored.notes.append(f"has {count} frames, of which only the first was read")
    return stored


def _add_metadata(stored: Stored, image: Image.Image, data: bytes, kind: str) -> None:
    """EXIF, XMP, and what else a kind of file has of its own."""
    block = image.info.get("exif") or _hex(image.info.get("Raw profile type exif"))
    stored.xmp = _bytes(image.info.get("xmp"))
    if kind == "PNG":
        block = block or containers.png_exif(data)  # it may lie behind the pixels
        stored.colour_chunks = containers.colour_chunks(data)
    if kind == "JPEG2000":
        block, stored.xmp, stored.profile = containers.jp2_metadata(data)
    if kind == "AVIF":  # Pillow's is only how the container turns the picture
        turned, _ = exif.read(block)
        stored.turn = 1 if turned is None else turned.orientation()
        block = avif.exif_of(data)
        if stored.profile is None and containers.is_beyond_srgb(data):
            stored.notes.append(containers.BEYOND_SRGB)
    _add_exif(stored, block)


def is_animated(file: BinaryIO, kind: str) -> bool:
    """Whether there are several frames."""
    return kind in _ANIMATED and _frame_count(opened(_content(file, kind), kind), kind) > 1


def _frame_count(image: Image.Image, kind: str) -> int:
    return getattr(image, "n_frames", 1) if kind in _ANIMATED else 1


def frames(file: BinaryIO, kind: str) -> Iterator[Pixels]:
    """Every frame, `(H, W, 3)` float32 RGB in [0, 1]."""
    image = opened(_content(file, kind), kind)
    for number in range(_frame_count(image, kind)):
        image.seek(number)
        yield in_unit_range(np.asarray(image.convert("RGB")))


def _of_8_bit(image: Image.Image) -> Stored:
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        samples, note = colours.from_cmyk(np.asarray(image), profile)
        return Stored(samples, notes=[note] if note else [])
    has_alpha = image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info
    grey = image.mode in ("1", "L", "LA", "La")
    alpha = None
    if has_alpha:
        rgba = image.convert("RGBA")
        alpha = np.asarray(rgba.getchannel("A"))
    samples = np.asarray(image.convert("L" if grey else "RGB"))
    if image.mode in ("LAB", "YCbCr"):
        profile = None  # it describes the colours of a space that is left
    return Stored(samples, alpha, profile=profile)


def _deep(image: Image.Image, data: bytes, kind: str, bits: int) -> Stored:
    decoders = {"PNG": "png_decode", "AVIF": "avif_decode", "JPEG2000": "jpeg2k_decode"}
    decoded = getattr(codecs(), decoders[kind])(data)
    if decoded.ndim == 3 and decoded.shape[:2] != (image.height, image.width):
        raise ValueError("its planes differ in size")
    if not np.issubdtype(decoded.dtype, np.unsignedinteger):
        raise ValueError(f"its samples are {decoded.dtype}")
    samples = _of_bits(decoded, bits)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    alpha = samples[..., -1] if channels in (2, 4) else None
    if channels > 2:
        samples = samples[..., :3]
    elif channels == 2:
        samples = samples[..., 0]
    return Stored(
        samples.squeeze(2) if samples.ndim == 3 and samples.shape[2] == 1 else samples,
        alpha,
        profile=image.info.get("icc_profile"),
    )


def _of_bits(decoded: NDArray[Any], bits: int) -> NDArray[Any]:
    return decoded if decoded.dtype == np.uint8 or bits == 16 else to_16_bit(decoded, bits)


def _add_exif(stored: Stored, block: bytes | None) -> None:
    stored.exif, note = exif.read(block)
    stored.notes += [note] if note else []


def _hex(text: object) -> bytes | None:
    """EXIF as some programs write it into a PNG: hexadecimal, after three lines of heading."""
    if not isinstance(text, str):
        return None
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""  # damaged


def _bytes(value: object) -> bytes | None:
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else None
