"""CIEDE2000, the colour difference of CIE 142-2001, averaged over an image.

Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula: implementation notes, supplementary test data, and
mathematical observations", 2005: the equation numbers are theirs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limpid.metrics import images
from limpid.metrics.filters import sum_over_strips

# sRGB primaries (IEC 61966-2-1) to CIE XYZ, and the white D65 of the 2 degree observer, as scikit-image has them.
_XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE = (0.95047, 1.0, 1.08883)


def ciede2000(restored: Tensor, reference: Tensor) -> Tensor:
    """Mean CIEDE2000 difference of two sRGB images under D65.

    Args:
        restored: `(N, 3, H, W)`, floating point in [0, 1] or uint8.
        reference: the same shape.

    Returns:
        `(N,)` float64; lower is better, about one is just noticeable.

    Raises:
        UserError: the shapes or types do not fit.
    """
    images.check_pair(restored, reference)
    images.check_colour(restored, "CIEDE2000")

    def difference(one: Tensor, other: Tensor) -> Tensor:
        pair = torch.stack([images.unit_range(some).transpose(0, 1) for some in (one, other)], dim=1)
        first, second = lab(pair).unbind(1)
        return delta_e(first, second).sum((1, 2))

    return sum_over_strips(difference, restored, reference) / restored[0, 0].numel()


def lab(rgb: Tensor) -> Tensor:
    """CIE L*a*b* of sRGB in [0, 1]: `(3, ...)` to `(3, ...)`, L* in 0..100."""
    linear = torch.where(rgb > 0.04045, _power((rgb + 0.055).div_(1.055), 2.4), rgb / 12.92)
    matrix = rgb.new_tensor(_XYZ_FROM_RGB) / rgb.new_tensor(_WHITE)[:, None]
    xyz = (matrix @ linear.flatten(1)).view(rgb.shape)
    x, y, z = torch.where(xyz > 0.008856, _power(xyz.clamp_min(0.008856), 1 / 3), (7.787 * xyz).add_(16 / 116))
    return torch.stack([(116 * y).sub_(16), (x - y).mul_(500), (y - z).mul_(200)])


def _power(base: Tensor, exponent: float) -> Tensor:
    """`base ** exponent` of positive numbers; on CPUs PyTorch's own takes half as long again."""
    return base.log().mul_(exponent).exp_()


def delta_e(first: Tensor, second: Tensor) -> Tensor:
    """The CIEDE2000 difference of two L*a*b* colours, `(3, ...)` each, with k_L = k_C = k_H = 1: `(...)`."""
    (L1, a1, b1), (L2, a2, b2) = first, second
    mean_chroma = (torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2  # eq. 2-3
    G = 0.5 * (1 - _saturation(mean_chroma))  # eq. 4
    a1, a2 = (1 + G) * a1, (1 + G) * a2  # eq. 5
    C1, C2 = torch.hypot(a1, b1), torch.hypot(a2, b2)  # eq. 6
    h1, h2 = (torch.atan2(b, a).remainder(2 * math.pi) for a, b in ((a1, b1), (a2, b2)))  # eq. 7

    grey = C1 * C2 == 0
    turn = h2 - h1
    turn = torch.where(turn.abs() > math.pi, turn - 2 * math.pi * turn.sign(), turn)  # eq. 10: the shorter way round
    turn = torch.where(grey, 0, turn)
    dL = L2 - L1  # eq. 8
    dC = C2 - C1  # eq. 9
    dH = 2 * (C1 * C2).sqrt() * torch.sin(turn / 2)  # eq. 11
    L, C = (L1 + L2) / 2, (C1 + C2) / 2  # eq. 12-13
    h = torch.where(grey, h1 + h2, h1 + turn / 2)  # eq. 14

    T = torch.ones_like(h)  # eq. 15
    for weight, multiple, degrees in (-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63):
        T.add_((multiple * h).add_(math.radians(degrees)).cos_(), alpha=weight)
    around_blue = (torch.rad2deg(h) % 360 - 275) / 25
    rotation = torch.sin(math.radians(60) * torch.exp(-(around_blue**2)))  # eq. 16, 21
    from_middle = (L - 50) ** 2
    S_L = 1 + 0.015 * from_middle / (20 + from_middle).sqrt()  # eq. 18
    S_C, S_H = 1 + 0.045 * C, 1 + 0.015 * C * T  # eq. 19-20
    dL = dL / S_L
    dC = dC / S_C
    dH = dH / S_H
    R_T = -2 * _saturation(C) * rotation  # eq. 17, 21
    return (dL**2 + dC**2 + dH**2 + R_T * dC * dH).clamp_min(0).sqrt()  # eq. 22


def _saturation(chroma: Tensor) -> Tensor:
    """`sqrt(C⁷ / (C⁷ + 25⁷))`."""
    ratio = chroma / 25
    seventh = ratio.square().mul_(ratio).square().mul_(ratio)
    return (seventh / (seventh + 1)).sqrt()
