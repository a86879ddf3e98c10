"""Image files on disk: which there are, and their pixels as float32 RGB in [0, 1]."""

from __future__ import annotations

import io
import os
from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from limpid.data.photographs import containers, exif
from limpid.data.photographs.claims import refuse_hollow
from limpid.data.photographs.formats import FORMATS, HEAD, kind_of_head
from limpid.data.photographs.photograph import upright
from limpid.data.photographs.reading import read_samples, size_of
from limpid.errors import UserError
from limpid.store.atomic_io import atomic_write

#: What counts as an image.
SUFFIXES = frozenset(FORMATS)

#: Images of more pixels than this are not decoded: a file of a few kilobytes can claim to hold billions.
MOST_PIXELS = 400_000_000

_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def image_names(folder: Path, suffixes: Collection[str] = SUFFIXES) -> list[str]:
    """The names of the image files directly in `folder`, sorted; an empty list where there is no such folder.

    Files whose name begins with a dot are left out, links are followed, and a link that leads nowhere is listed, so
    that it is missed when it is read.

    Args:
        folder: where they are.
        suffixes: what counts as an image.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if _is_image(entry.name, suffixes) and not entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}); check its permissions.") from error


def _is_image(name: str, suffixes: Collection[str]) -> bool:
    stem, _, suffix = name.rpartition(".")
    return bool(stem) and not name.startswith(".") and f".{suffix.lower()}" in suffixes


def list_images(folder: Path, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """The image files directly in `folder`, sorted by name, as `image_names` finds them."""
    return [folder / name for name in image_names(folder, suffixes)]


def read_image(path: Path) -> NDArray[np.float32]:
    """The picture at `path` as `(H, W, 3)` float32 RGB in [0, 1], EXIF orientation applied.

    8 bit are divided by 255, 16 bit by 65535. A grey image is converted: its three channels are alike. Of an image
    with transparency only the colours are taken. The pixels are those of `read_photograph`.

    Raises:
        UserError: the file cannot be read as an image, its end is missing, or its samples have no agreed range.
    """
    samples = decode(path, read_bytes(path))
    highest = {"uint8": 255, "uint16": 65535}.get(samples.dtype.name)
    if highest is None:
        return np.ascontiguousarray(samples, np.float32)
    return np.ascontiguousarray(samples).astype(np.float32) / np.float32(highest)


def read_bytes(path: Path) -> bytes:
    """The bytes of the file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the file and its permissions.") from error


def decode(path: Path, data: bytes) -> NDArray[np.generic]:
    """The upright picture of an encoded image, `(H, W, 3)` RGB as uint8, uint16, or float32 in [0, 1].

    OpenCV decodes what it and the reader of photographs decode alike, as it is faster: training reads thousands.

    Args:
        path: where the file is.
        data: its bytes.

    Raises:
        UserError: the bytes are no image, claim more than `MOST_PIXELS`, or their end is missing; OpenCV would fill
            the rest with grey.
    """
    if data and cut_short(data):
        raise UserError(f"{path} is cut short ({len(data)} bytes, and the end is missing); fetch it again.")
    plain = _is_plain(data)
    width, height = (claimed_size(data) if plain else None) or size_of(path)
    if width * height > MOST_PIXELS:
        raise UserError(
            f"{path} has {width}x{height} pixels, more than the {MOST_PIXELS // 10**6} megapixels that an image of a "
            "set may have; make it smaller or remove it."
        )
    if not plain:
        return read_samples(path, MOST_PIXELS / 1e6)
    refuse_hollow(path, io.BytesIO(data), kind_of_head(data[:HEAD]) or "", width, height)
    # Decoding from memory rather than cv2.imread, which cannot open every path that the file system can.
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _AS_STORED)
    except cv2.error:  # what it refuses to make room for
        pixels = None
    if pixels is None:
        raise UserError(f"{path} is not an image that can be read; replace or remove it.")
    found, _ = exif.read(_exif_block(data))
    return upright(pixels[..., ::-1], 1 if found is None else found.orientation())


def _is_plain(data: bytes) -> bool:
    """Whether OpenCV can be trusted with an image: PNG, WebP, and JPEG of 8 bits in grey or RGB."""
    kind = kind_of_head(data[:HEAD])
    if kind == "PNG":
        ends = [end for _, _, end in containers.chunks(data)]  # OpenCV makes room for what a length claims
        is_whole = not ends or ends[-1] + 4 <= len(data)
        return is_whole and not any(_is_odd(name, data[at : at + 32]) for name, at, _ in containers.chunks(data))
    if kind == "JPEG":
        _, _, bits, channels = containers.jpeg_frame(io.BytesIO(data))
        return bits == 8 and channels in (1, 3)
    return kind == "WEBP"


def _is_odd(name: bytes, body: bytes) -> bool:
    """Whether a PNG chunk is of an animation, or has EXIF as text."""
    return name == b"acTL" or (name in (b"tEXt", b"zTXt", b"iTXt") and body.startswith(b"Raw profile type "))


def _exif_block(data: bytes) -> bytes | None:
    finders = {"JPEG": containers.jpeg_exif, "PNG": containers.png_exif, "WEBP": containers.webp_exif}
    finder = finders.get(kind_of_head(data[:HEAD]) or "")
    return None if finder is None else finder(data)


def cut_short(data: bytes) -> bool:
    """Whether the end of a JPEG or PNG file is missing, as after a broken download; False for other formats."""
    if data.startswith(containers.PNG):
        end = data.rfind(b"IEND")  # some writers leave a few bytes behind the last chunk and its checksum
        return end < 0 or end + 8 > len(data)
    return data.startswith(containers.JPEG) and not containers.jpeg_ends(data)


def claimed_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a JPEG or PNG claims, before decoding; None of others."""
    if data.startswith(containers.PNG):
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return containers.jpeg_frame(io.BytesIO(data))[:2] if data.startswith(containers.JPEG) else None


def write_image(path: Path, pixels: NDArray[np.float32]) -> None:
    """Write `(H, W, 3)` RGB in [0, 1] as an 8-bit PNG (values outside are clipped, halves round up)."""
    eight_bit = np.floor(np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    encoded = cv2.imencode(".png", np.ascontiguousarray(eight_bit[..., ::-1]))[1]
    with atomic_write(path) as file:
        file.write_bytes(encoded.tobytes())
