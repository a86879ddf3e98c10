"""The one kind of array that scenes are made of, and its resizing."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def vector(values: Sequence[float] | Sequence[Sequence[float]]) -> Array:
    """Numbers as a float32 array."""
    return np.array(values, np.float32)


def resized(field: Array, height: int, width: int, method: int = cv2.INTER_LINEAR) -> Array:
    """A map (H, W) or image (H, W, 3) at another size; `method` is one of OpenCV's interpolations."""
    return np.asarray(cv2.resize(field, (width, height), interpolation=method), np.float32)
