"""Structural similarity in the presets that papers use, one value per image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Preset:
    """How one public code computes SSIM.

    Attributes:
        window: side of the window in pixels.
        sigma: of a Gaussian window; None for a uniform one.
        padding: zeros added around the image before windows are taken; without, only whole windows count.
        unbiased: whether covariances divide by n - 1.
        data_range: L in the two constants.
    """

    window: int
    sigma: float | None = None
    padding: int = 0
    unbiased: bool = False
    data_range: float = 1.0


PRESETS = {
    "skimage7": Preset(window=7, unbiased=True),
    "zero_pad": Preset(window=11, sigma=1.5, padding=5),
}


def ssim(restored: Tensor, reference: Tensor, preset: str = "skimage7") -> Tensor:
    """Mean structural similarity of each image, averaged over channels.

    Args:
        restored: `(N, C, H, W)` in [0, 1]; values outside are clamped.
        reference: the same shape.
        preset: a name in `PRESETS`.

    Returns:
        `(N,)` float64.
    """
    p = PRESETS[preset]
    x, y = restored.double().clamp(0, 1), reference.double().clamp(0, 1)
    n, c = x.shape[:2]
    stack = torch.cat([x, y, x * x, y * y, x * y]).flatten(0, 1)[:, None]
    mean_x, mean_y, xx, yy, xy = _smooth(stack, p).unflatten(0, (5, n, c)).squeeze(3)
    bias = p.window**2 / (p.window**2 - 1) if p.unbiased else 1.0
    var_x, var_y, cov = (bias * (a - b) for a, b in ((xx, mean_x**2), (yy, mean_y**2), (xy, mean_x * mean_y)))
    c1, c2 = (0.01 * p.data_range) ** 2, (0.03 * p.data_range) ** 2
    score = ((2 * mean_x * mean_y + c1) * (2 * cov + c2)) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return score.mean(dim=(1, 2, 3))


def _smooth(images: Tensor, p: Preset) -> Tensor:
    """The windowed mean of `(M, 1, H, W)`, the window applied to rows, then columns."""
    offsets = torch.arange(p.window, dtype=images.dtype, device=images.device) - (p.window - 1) / 2
    weights = torch.ones_like(offsets) if p.sigma is None else torch.exp(-(offsets**2) / (2 * p.sigma**2))
    weights = weights / weights.sum()
    rows = F.conv2d(images, weights.view(1, 1, -1, 1), padding=(p.padding, 0))
    return F.conv2d(rows, weights.view(1, 1, 1, -1), padding=(0, p.padding))
