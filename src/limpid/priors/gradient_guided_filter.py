"""The guided filter in the domain of gradients, which keeps edges that the plain one blurs.

Kou, Chen, Wen & Li, "Gradient domain guided image filtering", IEEE TIP 24(11), 2015, as the code of MOF has it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limpid.priors.filters import box_mean
from limpid.priors.resizing import lanczos


def half_size_gradient_guided_filter(guide: Tensor, source: Tensor, radius: int, epsilon: float) -> Tensor:
    """Smooth `source` with the edges of a grey `guide`; the lines are fitted at half size and enlarged.

    Args:
        guide: `(1, H, W)`, grey, usually in [0, 1].
        source: `(1, H, W)`, what is smoothed.
        radius: of the window, in pixels at half size; in an image that is smaller than twice as wide at half size,
            as large as fits.
        epsilon: variance of the guide, in its squared units, below which a window counts as flat.
    """
    height, width = guide.shape[-2:]
    small = (math.ceil(height / 2), math.ceil(width / 2))
    if min(small) < 2 * radius:
        radius = max(1, min(small) // 2 - 1)
    slope, offset = _lines(lanczos(guide, small, 0.5), lanczos(source, small, 0.5), radius, epsilon)
    slope, offset = (lanczos(plane, (2 * small[0], 2 * small[1]), 2.0) for plane in (slope, offset))
    return slope[..., :height, :width] * guide + offset[..., :height, :width]


def _lines(guide: Tensor, source: Tensor, radius: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """Means over the windows that hold a pixel of the a and b of `source = a guide + b`."""
    g, p = guide.double(), source.double()
    mean_g, mean_p = box_mean(g, radius), box_mean(p, radius)
    variance = (box_mean(g * g, radius) - mean_g**2).clamp(min=0)
    near = (box_mean(g * g, 1) - box_mean(g, 1) ** 2).clamp(min=0)
    edge = (near * variance).sqrt()
    steady = ((0.01 * (p.amax() - p.amin())) ** 2).clamp(min=1e-24)  # an even image has edges of weight 1
    mean = edge.mean()
    weight = (edge + steady) / (mean + steady)
    # nearly 0 in flat parts and 1 on edges, whose slope it draws to 1
    gamma = torch.sigmoid(4 * (edge - mean) / (mean - edge.amin()).clamp(min=1e-12))
    weight = epsilon / weight
    slope = (box_mean(g * p, radius) - mean_g * mean_p + gamma * weight) / (variance + weight)
    offset = mean_p - slope * mean_g
    return box_mean(slope, radius).to(source.dtype), box_mean(offset, radius).to(source.dtype)
