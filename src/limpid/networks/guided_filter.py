"""The guided filter of networks, in tensors `(N, C, H, W)`; windows are cut at the image's border."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

#: From this radius on running sums are faster than pooling.
_LARGE = 64


def guided_filter(guide: Tensor, source: Tensor, radius: int, epsilon: float) -> Tensor:
    """Smooth `source` with the edges of `guide` (He et al., TPAMI 2013, equations 5, 6 and 8).

    Means are over the window's pixels inside the image.

    Args:
        guide: `(N, 1, H, W)`.
        source: `(N, 1, H, W)`.
        radius: of the window in pixels.
        epsilon: variance of the guide below which a window counts as flat.
    """
    slope, offset = linear_coefficients(guide, source, radius, epsilon)
    return slope * guide + offset


def fast_guided_filter(guide: Tensor, source: Tensor, radius: int, epsilon: float, subsampling: int) -> Tensor:
    """The guided filter with coefficients from a smaller image (He and Sun, arXiv 1505.00996, algorithm 2).

    Guide and source are reduced by taking the nearest pixels; the mean coefficients are enlarged bilinearly.

    Args:
        guide: `(N, 1, H, W)`.
        source: `(N, C, H, W)`; its channels are filtered one after the other.
        radius: of the window, in pixels of the full image.
        epsilon: variance of the guide below which a window counts as flat.
        subsampling: how many times smaller the image is that coefficients are taken of; sides are rounded up.
    """
    size = [-(-side // subsampling) for side in guide.shape[-2:]]
    small_guide, small_source = (F.interpolate(x, size, mode="nearest-exact") for x in (guide, source))
    filtered = []
    for channel in small_source.split(1, 1):
        pair = linear_coefficients(small_guide, channel, max(1, round(radius / subsampling)), epsilon)
        slope, offset = (F.interpolate(part, guide.shape[-2:], mode="bilinear") for part in pair)
        filtered.append(torch.addcmul(offset, slope, guide))
    return torch.cat(filtered, 1)


def linear_coefficients(guide: Tensor, source: Tensor, radius: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """Means over the windows that hold a pixel of the a and b of ``source = a guide + b``; see `guided_filter`."""
    if radius >= _LARGE:
        return _of_running_sums(guide, source, radius, epsilon)
    planes = torch.cat([guide, source, guide * source, guide * guide], 1)
    mean_guide, mean_source, mean_product, mean_square = box_mean(planes, radius).split(1, 1)
    slope = (mean_product - mean_guide * mean_source) / (mean_square - mean_guide**2 + epsilon)
    offset = mean_source - slope * mean_guide
    mean_slope, mean_offset = box_mean(torch.cat([slope, offset], 1), radius).split(1, 1)
    return mean_slope, mean_offset


def _of_running_sums(guide: Tensor, source: Tensor, radius: int, epsilon: float) -> tuple[Tensor, Tensor]:
    """`linear_coefficients`, plane by plane, so that few planes of float64 are held at once."""
    mean_guide, mean_source = box_mean(guide, radius), box_mean(source, radius)
    slope = box_mean(guide * source, radius) - mean_guide * mean_source
    slope = slope / (box_mean(guide * guide, radius) - mean_guide**2 + epsilon)
    offset = mean_source - slope * mean_guide
    return box_mean(slope, radius), box_mean(offset, radius)


def box_mean(values: Tensor, radius: int) -> Tensor:
    """The mean of the ``(2 radius + 1)^2`` window around each pixel of `values`, of its pixels inside the image."""
    if radius >= _LARGE:
        return _running_mean(_running_mean(values.double(), radius, -1), radius, -2).to(values.dtype)
    side = 2 * radius + 1
    columns = F.avg_pool2d(values, (side, 1), stride=1, padding=(radius, 0), count_include_pad=False)
    return F.avg_pool2d(columns, (1, side), stride=1, padding=(0, radius), count_include_pad=False)


def _running_mean(values: Tensor, radius: int, dim: int) -> Tensor:
    """The mean of ``2 radius + 1`` values around each along `dim`, of those inside."""
    length = values.shape[dim]
    places = torch.arange(length, device=values.device)
    first, last = (places - radius).clamp(min=0), (places + radius).clamp(max=length - 1)
    sums = F.pad(values.cumsum(dim), (1, 0) if dim == -1 else (0, 0, 1, 0))
    counts = (last - first + 1).to(values.dtype)
    total = sums.index_select(dim, last + 1).sub_(sums.index_select(dim, first))
    return total.div_(counts if dim == -1 else counts.unsqueeze(-1))
