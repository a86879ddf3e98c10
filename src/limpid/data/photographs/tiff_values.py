"""The samples of a TIFF as samples of 8 or 16 bits, or as values in [0, 1]: only where their range is agreed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NEAR = 1 / 255  # resampling goes a little beyond the ends


class NoAgreedRangeError(ValueError):
    """What values mean black and white cannot be known; the message says what there is."""


def agreed(values: NDArray[Any], bits: int, bounds: tuple[float, float] | None) -> NDArray[Any]:
    """The same samples as uint8, uint16, or float32 in [0, 1].

    Unsigned whole numbers of up to 16 bits are parts of their highest value. All others are what `bounds` says, where
    it says something round; without it, floats are values in [0, 1], and whole numbers of 32 bits are parts of their
    highest value where they reach its upper half.

    Args:
        values: of any type that TIFF knows.
        bits: of a sample, where fewer are used than the type has.
        bounds: the tags SMinSampleValue and SMaxSampleValue, or None.

    Raises:
        NoAgreedRangeError: otherwise.
    """
    kind = values.dtype.kind
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if kind == "u" and bits <= 16:
        return _whole(values, bits)
    if kind not in "uif" or values.size == 0:
        raise NoAgreedRangeError(f"samples of the type {values.dtype}")
    least, most = float(values.min()), float(values.max())
    if not np.isfinite([least, most]).all():
        raise NoAgreedRangeError("floating-point samples of which some are no finite numbers")
    span = _round(bounds)
    if span is not None and span[0] <= least and most <= span[1]:
        return _parts(values, *span)
    if kind == "f" and least >= -_NEAR and most <= 1 + _NEAR:
        return _parts(values, 0.0, 1.0)
    if kind == "u" and most >= 2.0 ** (bits - 1):
        return _parts(values, 0.0, 2.0**bits - 1)
    words = {"f": "floating-point samples", "i": f"signed samples of {bits} bits", "u": f"samples of {bits} bits"}[kind]
    raise NoAgreedRangeError(
        f"{words} from {least:g} to {most:g}, and nothing says which of them is black and which is white"
    )


def _whole(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Whole numbers of 8 or 16 bits; what has fewer is spread over them, halves rounded up."""
    if bits in (8, 16) and values.dtype.itemsize * 8 == bits:
        return values.astype(np.dtype(f"u{bits // 8}"), copy=False)
    highest, target = 2**bits - 1, 255 if bits <= 8 else 65535
    wide = np.minimum(values, highest).astype(np.uint32) * np.uint32(target) + np.uint32(highest // 2)
    wide //= np.uint32(highest)
    return wide.astype(np.uint8 if bits <= 8 else np.uint16)


def _round(bounds: tuple[float, float] | None) -> tuple[float, float] | None:
    """Bounds that state a range, such as 0 to 255; others are only the darkest and brightest of the picture's."""
    if bounds is None:
        return None
    least, most = bounds
    powers = [2.0**bits - 1 for bits in (1, *range(7, 17), 23, 24, 31, 32)]
    return bounds if most in powers and least in (0.0, -most - 1) else None


def _parts(values: NDArray[Any], least: float, most: float) -> NDArray[np.float32]:
    """Values from `least` to `most` as float32 from 0 to 1; row by row, to need little memory."""
    parts: NDArray[np.float32] = np.empty(values.shape, np.float32)
    for row, line in zip(parts, values, strict=True):
        row[...] = np.clip((line.astype(np.float64) - least) / (most - least), 0, 1)
    return parts


def bounds_of(least: object, most: object) -> tuple[float, float] | None:
    """The bounds that two tags give, each one number or one for each channel, all alike; None where they do not."""
    ends = []
    for found in (least, most):
        several = found if isinstance(found, Sequence) and not isinstance(found, (str, bytes)) else [found]
        numbers = {float(value) for value in several if isinstance(value, (int, float))}
        if len(numbers) != 1:
            return None
        ends.append(numbers.pop())
    return ends[0], ends[1]
