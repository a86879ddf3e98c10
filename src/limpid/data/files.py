"""Image files on disk: which there are, and their pixels as float32 RGB in [0, 1]."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from limpid.errors import UserError

#: What counts as an image.
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})


def list_images(folder: Path) -> list[Path]:
    """The image files directly in `folder`, sorted by name; an empty list where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))


def read_image(path: Path) -> NDArray[np.float32]:
    """The picture at `path` as `(H, W, 3)` float32 RGB in [0, 1]; 8 or 16 bit, EXIF orientation applied.

    Raises:
        UserError: the file cannot be read as an image.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the file and its permissions.") from error
    # Decoding from memory rather than cv2.imread, which cannot open every path that the file system can.
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) if data.size else None
    if pixels is None:
        raise UserError(f"{path} is not an image that can be read; replace or remove it.")
    highest = {"uint8": 255, "uint16": 65535}.get(pixels.dtype.name, 1)
    return np.ascontiguousarray(pixels[..., ::-1]).astype(np.float32) / np.float32(highest)


def write_image(path: Path, pixels: NDArray[np.float32]) -> None:
    """Write `(H, W, 3)` RGB in [0, 1] as an 8-bit PNG (values outside are clipped, halves round up)."""
    eight_bit = np.floor(np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    encoded = cv2.imencode(".png", np.ascontiguousarray(eight_bit[..., ::-1]))[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded.tobytes())
