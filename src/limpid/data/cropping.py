"""Windows of samples, and their values: what is kept in a cache has the levels of the file until it is cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from limpid.data.degradations.operators import current
from limpid.data.degradations.scaling import imresize
from limpid.errors import UserError

if TYPE_CHECKING:
    from limpid.data.datasets.base import Sample


def random_crop(sample: Sample, size: int, rng: np.random.Generator) -> Sample:
    """The same random `size` x `size` window of every image and map in the sample.

    Args:
        sample: `input`, or `target` where nothing was degraded yet, and maps of the same size.
        size: side of the window in pixels.
        rng: source of its first row and first column, in this order.

    Raises:
        UserError: the image is smaller than the window.
    """
    height, width = current(sample).shape[:2]
    if height < size or width < size:
        raise UserError(
            f"Image {sample['name']} is {width}x{height}, smaller than the training crop of {size}; "
            f"set data.crop={min(height, width)} or less."
        )
    top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    window = (slice(top, top + size), slice(left, left + size))
    return {k: v[window] if isinstance(v, np.ndarray) and v.ndim >= 2 else v for k, v in sample.items()}


class ResizedCrop(TypedDict):
    """What windows are drawn before they are resized.

    Attributes:
        area: range of a window's share of the image's area, drawn uniformly.
        ratio: range of its width divided by its height, drawn uniformly, then turned over every second time.
    """

    area: Sequence[float]
    ratio: Sequence[float]


def random_resized_crop(sample: Sample, size: int, window: ResizedCrop, rng: np.random.Generator) -> Sample:
    """A random window of every image and map in the sample, resampled bicubically to `size` x `size`.

    So SPANet's release cuts. Where ten windows in a row do not fit, it is the largest square in the middle.

    Args:
        sample: `input`, or `target` where nothing was degraded yet, in [0, 1], and maps of the same size.
        size: side of the result in pixels.
        window: which windows are drawn.
        rng: source of area, ratio, turn, first row and first column, in this order.
    """
    height, width = current(sample).shape[:2]
    top, left, rows, columns = _window(height, width, window, rng)
    cut = (slice(top, top + rows), slice(left, left + columns))
    resized = dict(sample)
    for key, value in sample.items():
        if isinstance(value, np.ndarray) and value.ndim >= 2:
            part = imresize(value[cut], size=(size, size))
            shares = value.ndim == 3 or key == "transmission"  # other maps may be in metres
            resized[key] = np.clip(part, 0, 1) if shares else part
    return resized


def _window(height: int, width: int, window: ResizedCrop, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """The first row, first column, height and width of a drawn window."""
    (least, most), (narrowest, widest) = window["area"], window["ratio"]
    for _ in range(10):
        area, ratio = rng.uniform(least, most) * height * width, rng.uniform(narrowest, widest)
        columns, rows = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if rng.random() < 0.5:
            columns, rows = rows, columns
        if columns <= width and rows <= height:
            return int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1)), rows, columns
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side, side


def in_unit_range(sample: Sample) -> Sample:
    """The sample with its images of 8 and 16 bit divided by 255 and 65535, as float32; others are as they were."""
    highest = {"uint8": np.float32(255), "uint16": np.float32(65535)}
    return {
        k: v.astype(np.float32) / highest[v.dtype.name] if isinstance(v, np.ndarray) and v.dtype.name in highest else v
        for k, v in sample.items()
    }
