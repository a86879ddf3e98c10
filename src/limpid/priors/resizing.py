"""Resampling as MATLAB's `imresize` does it: Lanczos and bicubic with antialiasing, and nearest."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def lanczos(x: Tensor, size: tuple[int, int], scale: float) -> Tensor:
    """`x` `(..., H, W)` resampled to `size` with Lanczos' kernel of three lobes, edges mirrored.

    Args:
        x: any range; values may leave it near edges.
        size: height and width of the result.
        scale: of both sides; below 1 the kernel is widened against aliasing.
    """
    return _resampled(x, size, (scale, scale), _lanczos, 3)


def bicubic(x: Tensor, size: tuple[int, int], scale: float | None = None) -> Tensor:
    """`x` `(..., H, W)` resampled to `size` with Keys' cubic kernel (a = -0.5), edges mirrored.

    Args:
        x: any range; values may leave it near edges.
        size: height and width of the result.
        scale: of both sides, by which the kernel is widened against aliasing; None is each side's own, from what it was
            to `size`.
    """
    own = (size[0] / x.shape[-2], size[1] / x.shape[-1])
    return _resampled(x, size, own if scale is None else (scale, scale), _cubic, 2)


def nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The pixels of `x` `(..., H, W)` nearest to the centres of `size` equal cells; of two equally near the later."""
    for dim, length in ((-2, size[0]), (-1, size[1])):
        centres = (torch.arange(length, dtype=torch.float64) + 0.5) * (x.shape[dim] / length) - 0.5
        index = (centres + 0.5).floor().long().clamp(0, x.shape[dim] - 1)
        x = x.index_select(dim, index.to(x.device))
    return x


def _resampled(
    x: Tensor, size: tuple[int, int], scales: tuple[float, float], kernel: Callable[[Tensor], Tensor], reach: int
) -> Tensor:
    """`x` `(..., H, W)` resampled to `size` with a `kernel` that is 0 beyond `reach`."""
    for dim, length, scale in ((-2, size[0], scales[0]), (-1, size[1], scales[1])):
        index, weights = _taps(x.shape[dim], length, scale, kernel, reach)
        index, weights = index.to(x.device), weights.to(x)
        shape = (-1, *(1,) * (-1 - dim))
        # One tap at a time, so that no more memory is needed than for a few images.
        total = x.index_select(dim, index[:, 0]) * weights[:, 0].view(shape)
        for tap in range(1, index.shape[1]):
            total.addcmul_(x.index_select(dim, index[:, tap]), weights[:, tap].view(shape))
        x = total
    return x


def _taps(
    before: int, length: int, scale: float, kernel: Callable[[Tensor], Tensor], reach: int
) -> tuple[Tensor, Tensor]:
    """Which samples each new one is made of, and their weights: `(length, taps)` each."""
    narrow = min(scale, 1.0)
    centres = (torch.arange(length, dtype=torch.float64) + 0.5) / scale - 0.5
    first = (centres - reach / narrow).floor().long()
    index = first[:, None] + torch.arange(math.ceil(2 * reach / narrow) + 2)
    weights = kernel(narrow * (centres[:, None] - index))
    weights = weights / weights.sum(1, keepdim=True)
    index = index % (2 * before)
    used = weights.abs().amax(0) > 0  # the outermost taps may be of no weight
    return torch.where(index < before, index, 2 * before - 1 - index)[:, used], weights[:, used]


def _lanczos(distance: Tensor) -> Tensor:
    return torch.sinc(distance) * torch.sinc(distance / 3) * (distance.abs() < 3)


def _cubic(distance: Tensor) -> Tensor:
    d = distance.abs()
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return torch.where(d <= 1, near, far * (d <= 2))
