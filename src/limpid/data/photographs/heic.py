"""HEIC, as phones write it, by pillow-heif."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from limpid.data.photographs import colours, containers, exif
from limpid.data.photographs.photograph import Stored, to_16_bit
from limpid.errors import CannotRun


def size(file: BinaryIO, name: str) -> tuple[int, int]:
    """Width and height as the header of `file` says."""
    width, height = _primary(file, name).size
    return width, height


def decode(file: BinaryIO, name: str) -> Stored:
    """What `file` stores of its main picture, which is upright already."""
    image = _primary(file, name)
    values = np.asarray(image)
    bits = int(image.info.get("bit_depth", 8))
    if values.dtype != np.uint8 and bits < 16:
        moved = 16 - bits if image.mode.endswith(";16") else 0  # up, so that white is not the highest number
        values = to_16_bit(values >> np.uint16(moved), bits)
    channels = 1 if values.ndim == 2 else values.shape[2]
    alpha = values[..., -1] if channels in (2, 4) else None
    samples = values if channels == 1 else values[..., : channels - (alpha is not None)]
    if alpha is not None and image.premultiplied_alpha:
        samples = colours.without_alpha(samples, alpha)
    samples = samples.reshape(*samples.shape[:2]) if channels in (1, 2) else samples
    block, note = exif.read(image.info.get("exif"))
    notes = [note] if note else []
    file.seek(0)
    if image.info.get("icc_profile") is None and containers.is_beyond_srgb(file.read()):
        notes.append(containers.BEYOND_SRGB)
    return Stored(
        samples,
        alpha,
        turn=1,
        profile=image.info.get("icc_profile"),
        exif=block,
        xmp=image.info.get("xmp"),
        lossless=False,
        notes=notes,
    )


def _primary(file: BinaryIO, name: str) -> Any:
    try:
        import pillow_heif  # an extra
    except ImportError as error:
        raise CannotRun(
            f"{name} is a HEIC file, which needs pillow-heif; install it with pip install 'limpid[heic]'."
        ) from error
    file.seek(0)
    found = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
    return found[found.primary_index]
