"""A photograph: what a file stores, and the upright pixels that are made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limpid.data.photographs.exif import Exif

Pixels = NDArray[np.float32]
#: What a file holds: whole numbers of 8 or 16 bits.
Samples = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Photograph:
    """What a file holds, upright.

    Attributes:
        pixels: `(H, W, 3)` float32 RGB in [0, 1]; the three are alike in a grey photograph.
        levels: the highest value of the samples it is written with: 255, or 65535 where the file has more than 8 bits.
        grey: whether the file has a single channel of brightness.
        alpha: `(H, W)` whole numbers of 8 or 16 bits, or None; the colours are not multiplied by it.
        profile: the ICC colour profile, or None.
        exif: the EXIF block without what described the old file, or None.
        lossless: whether the file holds exactly these pixels (JPEG and most WebP files do not).
        notes: whole sentences on what of the file was left out.
        xmp: the XMP packet, or None.
        colour_chunks: chunks of a PNG that say how its colours are meant beside a profile, to be written before the
            pixels of another PNG.
    """

    pixels: Pixels
    levels: int
    grey: bool
    alpha: Samples | None
    profile: bytes | None
    exif: bytes | None
    lossless: bool = True
    notes: tuple[str, ...] = ()
    xmp: bytes | None = None
    colour_chunks: bytes = b""


@dataclass
class Stored:
    """What a decoder found in a file, as it is stored.

    Attributes:
        samples: `(H, W)` grey or `(H, W, 3)` RGB, uint8, uint16 or float32 in [0, 1], before it is turned upright.
        alpha: `(H, W)`, or None.
        turn: the EXIF orientation, 1 to 8; None where `exif` says it.
        profile: the ICC profile of these samples, or None.
        exif: what could be read of EXIF, or None.
        xmp: the XMP packet, or None.
        lossless: whether compression lost nothing.
        colour_chunks: as of `Photograph`.
        notes: the ends of sentences that begin with the file's name.
    """

    samples: NDArray[Any]
    alpha: Samples | None = None
    turn: int | None = None
    profile: bytes | None = None
    exif: Exif | None = None
    xmp: bytes | None = None
    lossless: bool = True
    colour_chunks: bytes = b""
    notes: list[str] = field(default_factory=list)


def upright(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Samples `(H, W, ...)` turned as the EXIF orientation 1 to 8 says (2, 4, 5 and 7 are mirrored)."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return samples


def in_unit_range(samples: NDArray[Any]) -> Pixels:
    """RGB samples as `(H, W, 3)` float32 in [0, 1]: a copy, in which a grey picture's three channels are alike."""
    height, width = samples.shape[:2]
    pixels = np.empty((height, width, 3), np.float32)
    pixels[...] = samples[..., None] if samples.ndim == 2 else samples
    if samples.dtype != np.float32:
        pixels /= np.float32(np.iinfo(samples.dtype).max)
    return pixels


def to_16_bit(values: NDArray[Any], bits: int) -> NDArray[np.uint16]:
    """Whole numbers of `bits` bits, 8 to 16, as numbers of 16 bits; halves round up."""
    highest = 2**bits - 1
    wide = values.astype(np.uint32)
    wide *= np.uint32(65535)
    wide += np.uint32(highest // 2)
    wide //= np.uint32(highest)
    return wide.astype(np.uint16)
