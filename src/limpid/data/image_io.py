"""Image files on disk: which there are, and their pixels as float32 RGB in [0, 1]."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.BmpImagePlugin import BmpImageFile
from PIL.TiffImagePlugin import TiffImageFile

from limpid.errors import UserError

#: What counts as an image.
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})

#: File signatures of the formats whose end can be found without decoding.
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
#: And of others that can claim any size, with what reads their headers.
_HEADERS = {b"II*\0": TiffImageFile, b"MM\0*": TiffImageFile, b"BM": BmpImageFile}
#: JPEG segments that tell the size: start of frame, in all its kinds.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

#: Images of more pixels than this are not decoded: a file of a few kilobytes can claim to hold billions.
MOST_PIXELS = 400_000_000


def image_names(folder: Path) -> list[str]:
    """The names of the image files directly in `folder`, sorted; an empty list where there is no such folder.

    Files whose name begins with a dot are left out, links are followed, and a link that leads nowhere is listed, so
    that it is missed when it is read.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if _is_image(entry.name) and not entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}); check its permissions.") from error


def _is_image(name: str) -> bool:
    stem, _, suffix = name.rpartition(".")
    return bool(stem) and not name.startswith(".") and f".{suffix.lower()}" in SUFFIXES


def list_images(folder: Path) -> list[Path]:
    """The image files directly in `folder`, sorted by name; an empty list where there is no such folder."""
    return [folder / name for name in image_names(folder)]


def read_image(path: Path) -> NDArray[np.float32]:
    """The picture at `path` as `(H, W, 3)` float32 RGB in [0, 1], EXIF orientation applied.

    8 bit are divided by 255, 16 bit by 65535. A grey image is converted: its three channels are alike. Of an image
    with transparency only the colours are taken.

    Raises:
        UserError: the file cannot be read as an image, or its end is missing.
    """
    pixels = decode(path, read_bytes(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    highest = {"uint8": 255, "uint16": 65535}.get(pixels.dtype.name, 1)
    return np.ascontiguousarray(pixels[..., ::-1]).astype(np.float32) / np.float32(highest)


def read_bytes(path: Path) -> bytes:
    """The bytes of the file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the file and its permissions.") from error


def decode(path: Path, data: bytes, flags: int) -> NDArray[np.generic]:
    """The pixels of an encoded image, `(H, W)` or `(H, W, channels)` in OpenCV's order, after `flags`.

    Args:
        path: for the sentence.
        data: the file's bytes.
        flags: of `cv2.imdecode`.

    Raises:
        UserError: the bytes are no image, claim more than `MOST_PIXELS`, or their end is missing; OpenCV would fill
            the rest with grey.
    """
    width, height = claimed_size(data)
    if width * height > MOST_PIXELS:
        raise UserError(
            f"{path} has {width}x{height} pixels, more than the {MOST_PIXELS // 10**6} megapixels that an image of a "
            "set may have; make it smaller or remove it."
        )
    # Decoding from memory rather than cv2.imread, which cannot open every path that the file system can.
    try:
        pixels = None if not data or cut_short(data) else cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # what it refuses to make room for, such as a tile of a gigabyte
        pixels = None
    if pixels is None:
        if data and cut_short(data):
            raise UserError(f"{path} is cut short ({len(data)} bytes, and the end is missing); fetch it again.")
        raise UserError(f"{path} is not an image that can be read; replace or remove it.")
    return pixels


def cut_short(data: bytes) -> bool:
    """Whether the end of a JPEG or PNG file is missing, as after a broken download; False for other formats."""
    if data.startswith(_PNG):
        end = data.rfind(b"IEND")  # some writers leave a few bytes behind the last chunk and its checksum
        return end < 0 or end + 8 > len(data)
    if not data.startswith(_JPEG):
        return False
    scan = next((at for marker, at in _segments(data) if marker == 0xDA), None)
    # The scan: pixels up to the end marker, which cannot occur inside them.
    return scan is None or data.find(b"\xff\xd9", scan) < 0


def claimed_size(data: bytes) -> tuple[int, int]:
    """Width and height that the header of an encoded image claims, before decoding; (0, 0) where none can be read.

    WebP is not looked at: it holds 268 megapixels at most.
    """
    if data.startswith(_PNG):
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data.startswith(_JPEG):
        frame = next((at for marker, at in _segments(data) if marker in _FRAMES), len(data))
        return int.from_bytes(data[frame + 7 : frame + 9], "big"), int.from_bytes(data[frame + 5 : frame + 7], "big")
    kind = next((kind for signature, kind in _HEADERS.items() if data.startswith(signature)), None)
    if kind is None:
        return 0, 0
    try:
        width, height = kind(io.BytesIO(data)).size
    except (OSError, SyntaxError, ValueError, KeyError):
        return 0, 0  # decoding will say so
    return width, height


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of each segment of a JPEG up to the first scan; a thumbnail inside one has its own."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == 0xFF:  # a filling byte
            at += 1
            continue
        yield data[at + 1], at
        if data[at + 1] == 0xDA:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def write_image(path: Path, pixels: NDArray[np.float32]) -> None:
    """Write `(H, W, 3)` RGB in [0, 1] as an 8-bit PNG (values outside are clipped, halves round up)."""
    eight_bit = np.floor(np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    encoded = cv2.imencode(".png", np.ascontiguousarray(eight_bit[..., ::-1]))[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded.tobytes())
