"""Natural scene statistics that NIQE, BRISQUE and PIQE share: normalised luminance and its generalised Gaussian fits.

The fits match moments (Sharifi and Leon-Garcia 1995; Lasmar et al. 2009): the shape is looked up in a table of the
ratio that it determines, with the step of LIVE's releases.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from limpid.metrics.filters import gaussian_mean, map_strips, pad


def normalised_luminance(levels: Tensor, *, border: str, window: int = 7, sigma: float = 7 / 6) -> Tensor:
    """Mean-subtracted, contrast-normalised coefficients (Mittal et al. 2012, eq. 1-3, with C = 1).

    Args:
        levels: grey levels `(N, 1, H, W)`, 0..255.
        border: `replicate` or `zero`.
        window: side of the Gaussian window in pixels.
        sigma: of the window, in pixels.

    Returns:
        The same shape.
    """
    margin = window // 2

    def strip(part: Tensor) -> Tensor:
        mean, mean_square = gaussian_mean(torch.stack([part, part * part]), window, sigma)
        deviation = (mean_square - mean * mean).abs_().sqrt_()
        return (part[..., margin:-margin, margin:-margin] - mean).div_(deviation.add_(1))

    return map_strips(strip, pad(levels, margin, border), overlap=2 * margin)


class AsymmetricFit(NamedTuple):
    """An asymmetric generalised Gaussian: its shape, the standard deviation of each side, and its mean."""

    shape: Tensor
    left: Tensor
    right: Tensor
    mean: Tensor


def gamma_ratio(shape: Tensor, a: float, b: float) -> Tensor:
    """`Γ(a / shape) / Γ(b / shape)`."""
    return (torch.lgamma(a / shape) - torch.lgamma(b / shape)).exp()


@cache
def _shapes(device: torch.device, least: float = 0.2, most: float = 10.0, step: float = 0.001) -> tuple[Tensor, Tensor]:
    """The shapes that are tried, and E|x|² / E[x²] of each, which grows with the shape."""
    shapes = torch.arange(round((most - least) / step) + 1, dtype=torch.float64, device=device) * step + least
    return shapes, gamma_ratio(shapes, 2, 1) * gamma_ratio(shapes, 2, 3)


def _nearest(wanted: Tensor, table: Tensor) -> Tensor:
    """Index of the nearest value of an ascending `table`; zero where `wanted` is NaN, as MATLAB's `min` has it."""
    above = torch.searchsorted(table, wanted.contiguous()).clamp(1, len(table) - 1)
    below = above - 1
    index = torch.where(table[above] - wanted < wanted - table[below], above, below)
    return torch.where(wanted.isnan(), 0, index)


def moments(samples: Tensor) -> Tensor:
    """The sums `(..., 6)` from which each row of `(..., n)` samples is fitted; they add up over pieces.

    They are n; how many samples are negative and positive; the sums of these two's squares; the sum of all magnitudes.
    """
    left, right = samples.clamp_max(0), samples.clamp_min(0)
    sums = [
        (samples < 0).sum(-1, dtype=torch.int32),
        (samples > 0).sum(-1, dtype=torch.int32),
        torch.linalg.vecdot(left, left),
        torch.linalg.vecdot(right, right),
        right.sum(-1) - left.sum(-1),
    ]
    return torch.stack([torch.full_like(sums[-1], samples.shape[-1]), *sums], dim=-1)


def symmetric_fit(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Shape and variance of a generalised Gaussian for each row of `(..., n)` samples."""
    return symmetric_fit_of(moments(samples))


def symmetric_fit_of(moments: Tensor) -> tuple[Tensor, Tensor]:
    """The same from the samples' `moments`.

    LIVE looks up the inverse ratio E[x²] / E|x|², in which another shape can be the nearest.
    """
    shapes, ratios = _shapes(moments.device)
    count, _, _, left, right, magnitude = moments.unbind(-1)
    variance = (left + right) / count
    inverse = variance / (magnitude / count).square()
    return shapes[len(shapes) - 1 - _nearest(inverse, (1 / ratios).flip(0))], variance


def asymmetric_fit(samples: Tensor) -> AsymmetricFit:
    """An asymmetric generalised Gaussian for each row of `(..., n)` samples; NaN where one side has no sample."""
    return asymmetric_fit_of(moments(samples))


def asymmetric_fit_of(moments: Tensor) -> AsymmetricFit:
    """The same from the samples' `moments`."""
    shapes, ratios = _shapes(moments.device)
    count, count_left, count_right, square_left, square_right, magnitude = moments.unbind(-1)
    left, right = (square_left / count_left).sqrt(), (square_right / count_right).sqrt()
    balance = left / right
    ratio = (magnitude / count).square() / ((square_left + square_right) / count)
    ratio = ratio * (balance**3 + 1) * (balance + 1) / (balance**2 + 1).square()
    shape = shapes[_nearest(ratio, ratios)]
    mean = (right - left) * gamma_ratio(shape, 2, 1) * gamma_ratio(shape, 1, 3).sqrt()
    return AsymmetricFit(shape, left, right, mean)
