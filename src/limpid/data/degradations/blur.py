"""Gaussian blur, with the kernel of RL-Restore's data (Yu et al., CVPR 2018): 21 x 21, edges repeated."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from limpid.data.degradations.operators import Image, Sample, checked_range, current
from limpid.errors import UserError


def gaussian_kernel(sigma: float, size: int = 21) -> NDArray[np.float64]:
    """The samples of exp(-x^2 / (2 sigma^2)) at -(size-1)/2 .. (size-1)/2, scaled to the sum 1.

    Its outer product with itself is the two-dimensional kernel. For sigma above about size / 6 the kernel is
    visibly cut off, as in RL-Restore, where sigma is up to 5 and the size always 21.

    Args:
        sigma: standard deviation in pixels, not negative; 0 gives the unit impulse.
        size: number of samples, odd.
    """
    positions = np.arange(size) - (size - 1) / 2
    if sigma == 0:
        return (positions == 0).astype(np.float64)
    with np.errstate(over="ignore"):  # (x / sigma)^2 of a tiny sigma: the weight is 0 all the same
        weights = np.exp(-0.5 * (positions / sigma) ** 2)
    return weights / weights.sum()


def gaussian_blur(image: Image, sigma: float, size: int = 21) -> Image:
    """The image `(H, W, 3)` filtered with `gaussian_kernel` along both axes, edge pixels repeated outwards."""
    kernel = gaussian_kernel(sigma, size)
    return np.asarray(cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE), np.float32)


class Blur:
    """Gaussian blur of a drawn width.

    Args:
        sigma: range of the standard deviation in pixels, drawn uniformly. RL-Restore has [0, 5]; section 4.1 of
            FDR-Net prints [0, 10] for the same data.
        size: side of the kernel in pixels, odd.

    Raises:
        UserError: the range is not one, or the size is even or below 1.
    """

    def __init__(self, sigma: Sequence[float] = (0.0, 5.0), size: int = 21) -> None:
        self.sigma = checked_range("blur", "sigma", sigma)
        if size < 1 or size % 2 == 0:
            raise UserError(f"The blur's size is {size}, but it must be an odd number of pixels, such as 21.")
        self.size = size

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with `input` blurred and `blur_sigma`; draws sigma."""
        sigma = float(rng.uniform(*self.sigma))
        return sample | {"input": gaussian_blur(current(sample), sigma, self.size), "blur_sigma": sigma}
