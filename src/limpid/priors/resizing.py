"""Resampling as MATLAB's `imresize` does it: Lanczos with antialiasing, and nearest."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def lanczos(x: Tensor, size: tuple[int, int], scale: float) -> Tensor:
    """`x` `(..., H, W)` resampled to `size` with Lanczos' kernel of three lobes, edges mirrored.

    Args:
        x: any range; values may leave it near edges.
        size: height and width of the result.
        scale: of both sides; below 1 the kernel is widened against aliasing.
    """
    for dim, length in ((-2, size[0]), (-1, size[1])):
        index, weights = _taps(x.shape[dim], length, scale)
        index, weights = index.to(x.device), weights.to(x)
        shape = (-1, *(1,) * (-1 - dim))
        # One tap at a time, so that no more memory is needed than for a few images.
        total = x.index_select(dim, index[:, 0]) * weights[:, 0].view(shape)
        for tap in range(1, index.shape[1]):
            total.addcmul_(x.index_select(dim, index[:, tap]), weights[:, tap].view(shape))
        x = total
    return x


def nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The pixels of `x` `(..., H, W)` nearest to the centres of `size` equal cells; of two equally near the later."""
    for dim, length in ((-2, size[0]), (-1, size[1])):
        centres = (torch.arange(length, dtype=torch.float64) + 0.5) * (x.shape[dim] / length) - 0.5
        index = (centres + 0.5).floor().long().clamp(0, x.shape[dim] - 1)
        x = x.index_select(dim, index.to(x.device))
    return x


def _taps(before: int, length: int, scale: float) -> tuple[Tensor, Tensor]:
    """Which samples each new one is made of, and their weights: `(length, taps)` each."""
    narrow = min(scale, 1.0)
    centres = (torch.arange(length, dtype=torch.float64) + 0.5) / scale - 0.5
    first = (centres - 3 / narrow).floor().long()
    index = first[:, None] + torch.arange(math.ceil(6 / narrow) + 2)
    distance = narrow * (centres[:, None] - index)
    weights = torch.sinc(distance) * torch.sinc(distance / 3) * (distance.abs() < 3)
    weights = weights / weights.sum(1, keepdim=True)
    index = index % (2 * before)
    used = weights.abs().amax(0) > 0  # the outermost taps may be of no weight
    return torch.where(index < before, index, 2 * before - 1 - index)[:, used], weights[:, used]
