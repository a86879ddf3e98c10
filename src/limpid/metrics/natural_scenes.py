"""Natural scene statistics that NIQE, BRISQUE and PIQE share: normalised luminance and its generalised Gaussian fits.

The fits match moments (Sharifi and Leon-Garcia 1995; Lasmar et al. 2009): the shape is looked up in a table of the
ratio that it determines, with the step of LIVE's releases.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from limpid.metrics.filters import gaussian_mean, pad


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
    padded = pad(levels, window // 2, border)
    mean, mean_square = gaussian_mean(torch.cat([padded, padded * padded]), window, sigma).chunk(2)
    deviation = (mean_square - mean * mean).abs().sqrt()
    return (levels - mean) / (deviation + 1)


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


def symmetric_fit(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Shape and variance of a generalised Gaussian for each row of `(..., n)` samples.

    LIVE looks up the inverse ratio E[x²] / E|x|², in which another shape can be the nearest.
    """
    shapes, ratios = _shapes(samples.device)
    variance = samples.square().mean(-1)
    inverse = variance / samples.abs().mean(-1).square()
    return shapes[len(shapes) - 1 - _nearest(inverse, (1 / ratios).flip(0))], variance


def asymmetric_fit(samples: Tensor) -> AsymmetricFit:
    """An asymmetric generalised Gaussian for each row of `(..., n)` samples; NaN where one side has no sample."""
    shapes, ratios = _shapes(samples.device)
    squares = samples.square()
    left, right = (((squares * side).sum(-1) / side.sum(-1)).sqrt() for side in (samples < 0, samples > 0))
    balance = left / right
    ratio = samples.abs().mean(-1).square() / squares.mean(-1)
    ratio = ratio * (balance**3 + 1) * (balance + 1) / (balance**2 + 1).square()
    shape = shapes[_nearest(ratio, ratios)]
    mean = (right - left) * gamma_ratio(shape, 2, 1) * gamma_ratio(shape, 1, 3).sqrt()
    return AsymmetricFit(shape, left, right, mean)
