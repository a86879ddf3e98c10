"""How a player turns the frames of a video, from the display matrix of its container."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import VideoFrame


@dataclass(frozen=True)
class Orientation:
    """Whether frames change their axes, and are then mirrored left to right and upside down."""

    swaps_axes: bool = False
    mirrors_columns: bool = False
    mirrors_rows: bool = False

    def applied(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """`pixels` `(H, W, 3)` as players show them, contiguous."""
        if self.swaps_axes:
            pixels = pixels.swapaxes(0, 1)
        if self.mirrors_columns:
            pixels = pixels[:, ::-1]
        if self.mirrors_rows:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


def orientation_of(frame: VideoFrame) -> Orientation | None:
    """How `frame` is turned; None where it is by an angle between quarters, which pixels cannot follow.

    The matrix `[a b u; c d v; x y w]` of ISO/IEC 14496-12, 8.3.2 takes a point `(x, y)` with y downwards to
    `(a x + c y, b x + d y)`.
    """
    from av.sidedata.sidedata import Type

    data: Any = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    if data is None:
        return Orientation()
    a, b, _, c, d = struct.unpack("=9i", bytes(data))[:5]
    if b == c == 0 and a and d:
        return Orientation(False, a < 0, d < 0)
    if a == d == 0 and b and c:
        return Orientation(True, c < 0, b < 0)
    return None
