"""White Gaussian noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from limpid.data.degradations.operators import Image, Sample, checked_range, current
from limpid.ranges import NonNegativeFloat


def add_gaussian_noise(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """The image plus independent normal numbers per pixel and channel, clipped to [0, 1].

    Args:
        image: of any shape, in [0, 1].
        sigma: standard deviation in grey levels of 0..255, as the field gives it.
        rng: source of one float32 normal number per value of the image, in its order.
    """
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image + noise * np.float32(sigma / 255), 0, 1)


class Noise:
    """White Gaussian noise of a drawn strength.

    Args:
        sigma: range of the standard deviation in grey levels of 0..255, drawn uniformly.

    Raises:
        UserError: the range is not one.
    """

    def __init__(self, sigma: Sequence[NonNegativeFloat] = (0.0, 50.0)) -> None:
        self.sigma = checked_range("noise", "sigma", sigma)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with noise on `input`, and `noise_sigma`; draws sigma, then the noise."""
        sigma = float(rng.uniform(*self.sigma))
        return sample | {"input": add_gaussian_noise(current(sample), sigma, rng), "noise_sigma": sigma}


class HalfNormalNoise:
    """White Gaussian noise whose strength is drawn from half a normal distribution, as DeepDeblur's release draws it.

    Args:
        scale: standard deviation of the normal number whose absolute value is the noise's standard deviation, in grey
            levels of 0..255.

    Raises:
        UserError: the scale is negative.
    """

    def __init__(self, scale: NonNegativeFloat = 2.0) -> None:
        self.scale, _ = checked_range("noise", "scale", (scale, scale))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with noise on `input`, and `noise_sigma`; draws sigma, then the noise."""
        sigma = abs(float(rng.normal())) * self.scale
        return sample | {"input": add_gaussian_noise(current(sample), sigma, rng), "noise_sigma": sigma}
