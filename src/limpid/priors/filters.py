"""The window operators that priors share: minimum, mean, guided filter and fast guided filter.

All of them act on the last two axes, `(..., H, W)`, whatever stands before; windows are cut at the image's
border, so that no pixel is invented. Cost is linear in the pixels and, but for the logarithm of the minimum's
window, independent of the window.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from limpid.errors import UserError

#: How many rows or columns of running sums are held at once.
_LINES = 256


def min_filter(x: Tensor, size: int, off_centre: bool = False) -> Tensor:
    """The smallest value of the `size` x `size` window around each pixel (a grey-scale erosion by a square).

    Args:
        x: `(..., H, W)`, any range.
        size: side of the window in pixels, odd; the window is cut at the border.
        off_centre: allow an even side too: such a window reaches one pixel further down and to the right.

    Raises:
        UserError: `size` is not a positive odd number, or not positive.
    """
    if size < 1 or (size % 2 == 0 and not off_centre):
        raise UserError(f"The window of a minimum filter must have an odd, positive size, not {size}.")
    return _running_min(_running_min(x, size, -1), size, -2)


def box_mean(x: Tensor, radius: int) -> Tensor:
    """The mean of the (2 radius + 1)^2 window around each pixel, over the pixels that lie inside the image.

    Running sums are kept in float64, since differences of long float32 sums lose the digits that a variance
    needs; the result has the dtype of `x`.
    """
    return _running_mean(_running_mean(x.double(), radius, -1), radius, -2).to(x.dtype)


def gaussian_filter(x: Tensor, size: int, deviation: float) -> Tensor:
    """The Gaussian mean of the `size` x `size` window around each pixel; beyond the border the nearest is repeated.

    Args:
        x: `(1, H, W)`, any range.
        size: side of the window in pixels, odd.
        deviation: standard deviation in pixels.
    """
    distance = torch.arange(size, dtype=torch.float64) - size // 2
    weights = torch.exp(-0.5 * (distance / deviation) ** 2)
    weights = weights / weights.sum()
    for dim, border in ((-1, (size // 2, size // 2, 0, 0)), (-2, (0, 0, size // 2, size // 2))):
        padded, length = F.pad(x[None], border, mode="replicate")[0], x.shape[dim]
        # Shift by shift: a convolution of one channel copies the image once for each weight.
        x = padded.narrow(dim, 0, length) * weights[0].item()
        for first, weight in enumerate(weights[1:].tolist(), 1):
            x.add_(padded.narrow(dim, first, length), alpha=weight)
    return x


def guided_filter(guide: Tensor, source: Tensor, radius: int, epsilon: float) -> Tensor:
    """Smooth `source` with the edges of a grey `guide` (He et al., TPAMI 2013, equations 5, 6 and 8).

    At the border every mean is taken over the pixels inside the image and divided by their number (the
    normalised box), so a constant `source` comes back unchanged.

    Args:
        guide: `(..., H, W)`, grey, usually in [0, 1].
        source: `(..., H, W)`, what is smoothed.
        radius: radius of the window in pixels.
        epsilon: variance of the guide, in its squared units, below which a window counts as flat.
    """
    return fast_guided_filter(guide, source, radius, epsilon, subsampling=1)


def fast_guided_filter(guide: Tensor, source: Tensor, radius: int, epsilon: float, subsampling: int = 4) -> Tensor:
    """The guided filter with coefficients from a smaller image (He & Sun, arXiv 1505.00996, algorithm 2).

    Guide and source are reduced bilinearly to ceil(H / s) x ceil(W / s), their windows to a radius of r / s
    (at least 1); the mean coefficients are enlarged bilinearly and applied to the full guide.

    Args:
        guide: `(..., H, W)`, grey, usually in [0, 1].
        source: `(..., H, W)`, what is smoothed.
        radius: radius r of the window, in pixels of the full image.
        epsilon: variance of the guide, in its squared units, below which a window counts as flat.
        subsampling: the factor s; 1 is the guided filter itself.
    """
    height, width = guide.shape[-2:]
    small = (math.ceil(height / subsampling), math.ceil(width / subsampling))
    radius = max(1, round(radius / subsampling))
    slope, offset = _linear_coefficients(_resize(guide, small), _resize(source, small), radius, epsilon)
    return _resize(slope, (height, width)) * guide + _resize(offset, (height, width))


def colour_guided_coefficients(guide: Tensor, source: Tensor, radius: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """Mean slopes `(3, H, W)` and offsets `(1, H, W)` of the guided filter with a colour guide.

    The smoothed source is ``(slope * guide).sum(0) + offset`` (He et al., TPAMI 2013, equations 14 to 16); enlarged,
    they smooth at the size of a larger guide.

    Args:
        guide: `(3, H, W)`, usually in [0, 1].
        source: `(1, H, W)`, what is smoothed.
        radius: of the window in pixels, cut at the border.
        epsilon: variance of the guide, in its squared units, below which a window counts as flat.
    """
    g, p = guide.double(), source.double()
    mean_g, mean_p = box_mean(g, radius), box_mean(p, radius)
    products = box_mean(torch.einsum("ihw,jhw->ijhw", g, g), radius)
    covariance = products - torch.einsum("ihw,jhw->ijhw", mean_g, mean_g)
    ridge = epsilon * torch.eye(3, dtype=g.dtype, device=g.device)
    with_source = box_mean(g * p, radius) - mean_g * mean_p
    slope = torch.linalg.solve(covariance.permute(2, 3, 0, 1) + ridge, with_source.permute(1, 2, 0)[..., None])
    slope = slope[..., 0].permute(2, 0, 1)
    offset = mean_p - (slope * mean_g).sum(0, keepdim=True)
    return box_mean(slope, radius).to(source.dtype), box_mean(offset, radius).to(source.dtype)


def _linear_coefficients(guide: Tensor, source: Tensor, radius: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """Means over the windows that hold a pixel of the a and b of `source = a guide + b`."""
    g = guide.double()
    mean_g, mean_p = box_mean(g, radius), box_mean(source.double(), radius)
    # Planes in float64 are large: few are held at once.
    a = box_mean(g * source, radius).sub_(mean_g * mean_p)
    a = a / box_mean(g.square(), radius).sub_(mean_g.square()).clamp_(min=0).add_(epsilon)
    del g
    b = mean_p.sub_(mean_g * a)
    del mean_g
    slope = box_mean(a, radius).to(source.dtype)
    del a
    return slope, box_mean(b, radius).to(source.dtype)


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, pixel areas aligned; the same tensor where the size stays."""
    if x.shape[-2:] == size:
        return x
    planes = x.reshape(-1, 1, *x.shape[-2:])
    return F.interpolate(planes, size, mode="bilinear", align_corners=False).view(*x.shape[:-2], *size)


def _running_min(x: Tensor, size: int, dim: int) -> Tensor:
    """Minimum of `size` neighbours along one axis: windows of 1, 2, 4, ... joined until two cover `size`."""
    border = ((size - 1) // 2, size // 2)
    x = F.pad(x, border if dim == -1 else (0, 0, *border), value=math.inf)
    length = 1
    while length < size:
        step = min(length, size - length)
        rest = x.shape[dim] - step
        x = torch.minimum(x.narrow(dim, 0, rest), x.narrow(dim, step, rest))
        length += step
    return x


def _running_mean(x: Tensor, radius: int, dim: int) -> Tensor:
    """Mean along one axis over the neighbours within `radius` and inside, a few lines at a time."""
    return torch.cat([_line_means(lines, radius, dim) for lines in x.split(_LINES, -3 - dim)], -3 - dim)


def _line_means(x: Tensor, radius: int, dim: int) -> Tensor:
    """`_running_mean` by differences of running sums."""
    length = x.shape[dim]
    before = F.pad(x.cumsum(dim), (1, 0) if dim == -1 else (0, 0, 1, 0))
    index = torch.arange(length, device=x.device)
    first, last = (index - radius).clamp(min=0), (index + radius + 1).clamp(max=length)
    count = (last - first).view(-1, *(1,) * (-1 - dim))
    return (before.index_select(dim, last) - before.index_select(dim, first)) / count
