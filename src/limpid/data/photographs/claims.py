"""Whether a file can hold the pixels that its header claims: decoders make room for them, and fill what is missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from limpid.data.photographs import containers
from limpid.errors import UserError

#: Claims of no more pixels than these cost no memory to speak of, and are left to the decoders.
_HARMLESS = 16_000_000
#: The most bytes that one of deflate stands for: a repetition of 258 takes two bits at least.
_DEFLATE = 1032
#: The most pixels that one byte of a GIF stands for: a code of 12 bits is a row of its dictionary of 4096.
_LZW = 4096 * 8 // 12
#: Formats without such a bound can say "all the same" in a few bytes. No photograph, and no drawing, comes near this.
_OTHERS = 20_000
#: The first marker of JPEG frames in arithmetic coding, which has no least number of bits for a block.
_ARITHMETIC = 0xC9
#: Samples of a pixel in a PNG, by its colour type.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def refuse_hollow(path: Path, file: BinaryIO, kind: str, width: int, height: int) -> None:
    """Refuse to decode more pixels than a file has bytes for.

    Args:
        path: its name, for the sentence.
        file: the whole file; where it is read is not kept.
        kind: its format, as `kind_of_head` names it.
        width: what its header claims.
        height: likewise.

    Raises:
        UserError: it is too short.
    """
    if width * height <= _HARMLESS:
        return
    length = file.seek(0, os.SEEK_END)
    if length < _least_bytes(file, kind, width, height):
        raise UserError(
            f"{path} is cut short or damaged (it claims {width}x{height} pixels, which {length} bytes cannot hold); "
            "replace or remove it."
        )


def _least_bytes(file: BinaryIO, kind: str, width: int, height: int) -> float:
    """The fewest bytes that a file of this kind takes for so many pixels."""
    pixels = width * height
    if kind == "JPEG" and not _is_arithmetic(file):
        return pixels / 64 / 8  # a block of 8 x 8 has one bit at least, even in a progressive file
    if kind == "PNG":
        file.seek(24)
        bits, colour_type = file.read(2)
        return pixels * bits * _SAMPLES.get(colour_type, 1) / 8 / _DEFLATE
    return pixels / (_LZW if kind == "GIF" else _OTHERS)


def _is_arithmetic(file: BinaryIO) -> bool:
    file.seek(0)
    marker = next((found for found, _ in containers.segments(file.read()) if found in containers.FRAMES), 0)
    return marker >= _ARITHMETIC
