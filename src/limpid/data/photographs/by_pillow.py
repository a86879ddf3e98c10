"""JPEG, PNG, WebP, BMP, GIF, AVIF and JPEG 2000: by Pillow, and by imagecodecs where they have more than 8 bits."""

from __future__ import annotations

import io
import threading
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
_OPENING = threading.Lock()  # the limit is Pillow's, for all threads


def opened(file: BinaryIO, kind: str) -> Image.Image:
    """The picture in `file`, of which only the header has been read."""
    with _OPENING:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours has a sentence
        try:
            return Image.open(file, formats=_NAMES[kind])
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def size(file: BinaryIO, kind: str) -> tuple[int, int]:
    """Width and height as the header of `file` says."""
    if kind == "JPEG":
        return containers.jpeg_frame(file)[:2]
    file.seek(0)
    return opened(file, kind).size


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
    image = opened(io.BytesIO(data), kind)
    if bits > 8:
        stored = _deep(image, data, kind, bits)
    else:
        stored = _of_8_bit(image)
        if kind == "PNG" and stored.alpha is not None and data[25] == 0:
            stored.alpha = codecs().png_decode(data)[..., 1]  # Pillow compares what it has scaled with what it has not
    info = image.info
    exif_block = info.get("exif") or _hex(info.get("Raw profile type exif"))
    stored.xmp = _bytes(info.get("xmp"))
    stored.lossless = kind not in ("JPEG", "AVIF") and (kind != "WEBP" or containers.is_lossless_webp(data))
    if kind == "PNG":
        exif_block = exif_block or containers.png_exif(data)  # it may lie behind the pixels
        stored.colour_chunks = containers.colour_chunks(data)
    if kind == "JPEG2000":
        exif_block, stored.xmp, stored.profile = containers.jp2_metadata(data)
    if kind == "AVIF":  # Pillow says in EXIF how the container turns the picture, and loses other things for it
        turned, _ = exif.read(exif_block)
        stored.turn = 1 if turned is None else turned.orientation()
        exif_block = avif.exif_of(data)
    _add_exif(stored, exif_block)
    count = getattr(image, "n_frames", 1)
    if count > 1 and kind in _ANIMATED:
        stored.notes.append(f"has {count} frames, of which only the first was read")
    return stored


def frames(file: BinaryIO, kind: str) -> Iterator[Pixels]:
    """Every frame, `(H, W, 3)` float32 RGB in [0, 1]."""
    file.seek(0)
    image = opened(file, kind)
    for number in range(getattr(image, "n_frames", 1)):
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
