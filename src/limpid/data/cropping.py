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


class ResizedCrop(TypedDict, total=False):
    """What windows are drawn before they are resized: by `area` and `ratio`, or by `scales`.

    Attributes:
        area: range of a window's share of the image's area, drawn uniformly.
        ratio: range of its width divided by its height, drawn uniformly, then turned over every second time.
        scales: factors of the image's size, at most 1, one of which is drawn: a square window is cut that has the
            crop's size once the image is scaled by it.
    """

    area: Sequence[float]
    ratio: Sequence[float]
    scales: Sequence[float]


def random_resized_crop(sample: Sample, size: int, window: ResizedCrop, rng: np.random.Generator) -> Sample:
    """A random window of every image and map in the sample, resampled bicubically to `size` x `size`.

    By area and ratio SPANet's release cuts; where ten windows in a row do not fit, it is the largest square in the
    middle. By scales DehazeFlow's release does; scales are left out at which the image is smaller than the window.

    Args:
        sample: `input`, or `target` where nothing was degraded yet, in [0, 1], and maps of the same size.
        size: side of the result in pixels.
        window: which windows are drawn.
        rng: source of area, ratio, turn, first row and first column, in this order; or of scale, row and column.

    Raises:
        UserError: `window` is neither area and ratio nor scales, or the image is smaller than every window.
    """
    if set(window) != {"scales"} and set(window) != {"area", "ratio"}:
        raise UserError(
            f"data.resized_crop names {', '.join(window) or 'nothing'}, but it must name area and ratio, or scales."
        )
    if "scales" in window:
        return _scaled_crop(sample, size, window, rng)
    height, width = current(sample).shape[:2]
    top, left, rows, columns = _window(height, width, window, rng)
    return _resampled(sample, (size, size), (slice(top, top + rows), slice(left, left + columns)))


def _scaled_crop(sample: Sample, size: int, window: ResizedCrop, rng: np.random.Generator) -> Sample:
    """A random window of every image and map that is `size` x `size` at one of the scales, resampled to that."""
    scales = window["scales"]
    if not scales or not all(0 < scale <= 1 for scale in scales):
        raise UserError(
            f"data.resized_crop.scales is {list(scales)}, but it must name factors above 0 and up to 1, such as "
            "[0.5, 0.7, 1.0]."
        )
    sides = [round(size / scale) for scale in scales]
    shortest = min(current(sample).shape[:2])
    fitting = [side for side in sides if side <= shortest] or [min(sides)]  # the smallest is refused in a sentence
    cut = random_crop(sample, fitting[int(rng.integers(len(fitting)))], rng)
    if current(cut).shape[0] == size:
        return cut
    return _resampled(cut, (size, size), (slice(None), slice(None)))


class Resize(TypedDict, total=False):
    """The size that whole images are brought to; a side that is not named follows the other.

    Attributes:
        height: in pixels.
        width: in pixels.
        least: pixels that the shorter side has at least.
        multiple: both sides are rounded to the nearest multiple of it.
    """

    height: int
    width: int
    least: int
    multiple: int


def resized(sample: Sample, to: Resize) -> Sample:
    """The sample with every image and map resampled bicubically, with antialiasing.

    Args:
        sample: `input`, or `target` where nothing was degraded yet, in [0, 1], and maps of the same size.
        to: the size; see `Resize`.

    Raises:
        UserError: `to` names something else, or a number below 1.
    """
    unknown = set(to) - set(Resize.__annotations__)
    if unknown or not all(isinstance(value, int) and value >= 1 for value in to.values()):
        raise UserError(
            f"data.resize is {dict(to)}, but it may only name {', '.join(Resize.__annotations__)}, each in whole "
            "pixels; leave the others out."
        )
    height, width = current(sample).shape[:2]
    rows = to.get("height", height * to.get("width", width) / width)
    columns = to.get("width", width * to.get("height", height) / height)
    enlarged = max(1.0, to.get("least", 1) / min(rows, columns))
    multiple = to.get("multiple", 1)
    size = [max(1, math.floor(side * enlarged / multiple + 0.5)) * multiple for side in (rows, columns)]
    return _resampled(sample, (size[0], size[1]), (slice(None), slice(None)))


def _resampled(sample: Sample, size: tuple[int, int], window: tuple[slice, slice]) -> Sample:
    """The sample with this window of every image and map at another size."""
    changed = dict(sample)
    for key, value in sample.items():
        if isinstance(value, np.ndarray) and value.ndim >= 2:
            part = imresize(value[window], size=size)
            shares = value.ndim == 3 or key == "transmission"  # other maps may be in metres
            changed[key] = np.clip(part, 0, 1) if shares else part
    return changed


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
