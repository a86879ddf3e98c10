"""A change that was made to a reduced image, carried to the image at full size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

#: So many rows of the full image are made at a time, to need little memory besides the image.
ROWS = 256


def carried(x: Tensor, small: Tensor, restored: Tensor, radius: int, epsilon: float) -> Tensor:
    """What `restored` is to `small`, made of `x`: the restored image at full size, not clamped.

    In each window of the reduced image the restored one is a linear function of it, by channel, as haze and dust are
    where depth hardly changes: ``J = (I - A) / t + A``. The functions' coefficients are enlarged, and applied to the
    full image, so that its detail stays and nothing is blurred (the fast guided filter, He & Sun, arXiv 1505.00996,
    with each channel for its own guide).

    Args:
        x: `(N, C, H, W)`, the image at full size.
        small: `(N, C, h, w)`, the same reduced.
        restored: what was made of `small`, of its shape.
        radius: of the windows, in pixels of the reduced image.
        epsilon: variance of a window, in squares of [0, 1], below which it counts as flat and is only shifted.
    """
    mean, target = _box(small, radius), _box(restored, radius)
    covariance = _box(small * restored, radius) - mean * target
    variance = (_box(small * small, radius) - mean * mean).clamp(min=0)
    slope = covariance / (variance + epsilon)
    slope, offset = _box(slope, radius), _box(target - slope * mean, radius)
    result = torch.empty_like(x)
    for top in range(0, x.shape[-2], ROWS):
        rows = slice(top, min(top + ROWS, x.shape[-2]))
        band = enlarged_rows(slope, rows, x.shape) * x[..., rows, :]
        result[..., rows, :] = band.add_(enlarged_rows(offset, rows, x.shape))
    return result


def _box(x: Tensor, radius: int) -> Tensor:
    """The mean of the window around each pixel, as far as it lies in the image."""
    return F.avg_pool2d(x, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)


def enlarged_rows(x: Tensor, rows: slice, shape: torch.Size) -> Tensor:
    """The `rows` of `x` `(N, C, h, w)` enlarged bilinearly to a `shape` `(N, C, H, W)`."""
    height = x.shape[-2]
    places = (torch.arange(rows.start, rows.stop, device=x.device) + 0.5) * (height / shape[-2]) - 0.5
    places = places.clamp(0, height - 1)
    above = places.floor().long()
    below = (above + 1).clamp(max=height - 1)
    share = (places - above).view(-1, 1).to(x.dtype)
    band = torch.lerp(x[..., above, :], x[..., below, :], share)
    return F.interpolate(band, (rows.stop - rows.start, shape[-1]), mode="bilinear", align_corners=False)
