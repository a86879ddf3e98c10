"""Bicubic scaling as MATLAB's `imresize` does it, and the loss of resolution by scaling down and up again.

Keys, Cubic convolution interpolation for digital image processing, IEEE TASSP 1981, with a = -0.5. For scaling down the
cubic is stretched by 1 / scale, so that it does not alias.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from limpid.data.degradations.operators import Image, Sample, current
from limpid.errors import UserError


def cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic with a = -0.5, equation 15: 1 at 0, 0 at the other whole numbers and beyond +-2."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _resize_axis(image: NDArray[np.float64], length: int, scale: float, axis: int) -> NDArray[np.float64]:
    """`image` resampled along `axis` to `length` samples; edges are mirrored, the edge sample included."""
    image = np.moveaxis(image, axis, 0)
    before = image.shape[0]
    narrow = min(scale, 1.0)  # stretches the cubic against aliasing
    centre = (np.arange(length) + 0.5) / scale - 0.5
    taps = math.ceil(4 / narrow) + 2
    index = np.floor(centre - 2 / narrow).astype(int)[:, None] + np.arange(taps)
    weights = narrow * cubic(narrow * (centre[:, None] - index))
    weights /= weights.sum(axis=1, keepdims=True)
    index = index % (2 * before)
    index = np.where(index < before, index, 2 * before - 1 - index)
    resized = np.zeros((length, *image.shape[1:]))
    for tap in range(taps):
        resized += weights[:, tap].reshape(-1, *[1] * (image.ndim - 1)) * image[index[:, tap]]
    return np.moveaxis(resized, 0, axis)


def imresize(image: Image, scale: float | None = None, size: tuple[int, int] | None = None) -> Image:
    """The image or map resampled bicubically with antialiasing; values may leave [0, 1] near edges.

    Args:
        image: `(H, W)` or `(H, W, C)`.
        scale: factor on both sides, above 0; the new sides are rounded up, as MATLAB does.
        size: (height, width) instead of the factor.

    Returns:
        float32 of the new size.
    """
    height, width = image.shape[:2]
    if size is None:
        assert scale is not None
        size, scales = (math.ceil(height * scale), math.ceil(width * scale)), (scale, scale)
    else:
        scales = (size[0] / height, size[1] / width)
    if size == (height, width):
        return image.astype(np.float32)
    resized = image.astype(np.float64)
    for axis in (0, 1):
        resized = _resize_axis(resized, size[axis], scales[axis], axis)
    return resized.astype(np.float32)


class LowResolution:
    """Scales the image down and up again to its size, so that fine detail is lost.

    Args:
        factors: by how much the sides shrink, each above 1; one is drawn, all alike.

    Raises:
        UserError: no factor is given, or one is not above 1.
    """

    def __init__(self, factors: Sequence[float] = (2.0, 3.0, 4.0)) -> None:
        self.factors = [float(factor) for factor in factors]
        if not self.factors or min(self.factors) <= 1:
            raise UserError(f"The low resolution's factors are {list(factors)}, but each must be above 1.")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with `input` scaled down and up, clipped to [0, 1], and `factor`; draws the factor."""
        factor = self.factors[rng.integers(len(self.factors))]
        image = current(sample)
        small = imresize(image, 1 / factor)
        return sample | {"input": np.clip(imresize(small, size=image.shape[:2]), 0, 1), "factor": factor}
