"""Windows over images, separable and differentiable, and sums over images in pieces that fit a CPU's cache."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F


def gaussian(size: int, sigma: float) -> list[float]:
    """A Gaussian of `size` samples that sums to one."""
    x = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    window = torch.exp(-(x**2) / (2 * sigma**2))
    return (window / window.sum()).tolist()


def correlate(images: Tensor, weights: list[float], dim: int, stride: int = 1) -> Tensor:
    """Weighted sum of neighbours along `dim`, only where the window lies inside ("valid").

    Shifted sums, because torch's float64 convolution on CPUs unfolds the image and is many times slower.
    """
    span = (images.shape[dim] - len(weights)) // stride * stride + 1

    def shifted(by: int) -> Tensor:
        return images.narrow(dim, by, span).unfold(dim, 1, stride).squeeze(-1)

    total = shifted(0) * weights[0]
    for shift, weight in enumerate(weights[1:], start=1):
        total.add_(shifted(shift), alpha=weight)
    return total


def gaussian_mean(images: Tensor, size: int, sigma: float) -> Tensor:
    """Gaussian mean over each window that lies inside: `(..., H - size + 1, W - size + 1)`."""
    weights = gaussian(size, sigma)
    return correlate(correlate(images, weights, -2), weights, -1)


def box_mean(images: Tensor, size: int) -> Tensor:
    """Plain mean over each window that lies inside: `(..., H - size + 1, W - size + 1)`."""
    return _box_sum(_box_sum(images, size, -2), size, -1) / size**2


def _box_sum(images: Tensor, size: int, dim: int) -> Tensor:
    """Running sums, put together from those over 1, 2, 4, ... neighbours: few additions and little rounding."""
    length = images.shape[dim] - size + 1
    powers = [1 << bit for bit in range(size.bit_length())]
    blocks = [images]
    for half, _ in pairwise(powers):
        block = blocks[-1]
        rest = block.shape[dim] - half
        blocks.append(block.narrow(dim, 0, rest) + block.narrow(dim, half, rest))
    total, offset = None, 0
    for width, block in zip(powers, blocks, strict=True):
        if size & width:
            piece = block.narrow(dim, offset, length)
            total = piece if total is None else total + piece
            offset += width
    assert total is not None
    return total


def pad(images: Tensor, margin: int, mode: str) -> Tensor:
    """`(N, C, H, W)` with `margin` pixels added on every side; `zero` or `replicate`."""
    return F.pad(images, (margin,) * 4, mode="constant" if mode == "zero" else mode)


def pad_symmetric(images: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Mirrored along `dim` with the edge pixel repeated (MATLAB's `symmetric`), however small the image."""
    size = images.shape[dim]
    index = torch.arange(-before, size + after, device=images.device) % (2 * size)
    return images.index_select(dim, torch.where(index < size, index, 2 * size - 1 - index))


def _keys_cubic(x: Tensor, a: float = -0.5) -> Tensor:
    """The cubic convolution kernel of Keys 1981, eq. 15 (a = -1/2)."""
    x = x.abs()
    inner, outer = (a + 2) * x**3 - (a + 3) * x**2 + 1, a * (x**3 - 5 * x**2 + 8 * x - 4)
    return torch.where(x <= 1, inner, torch.where(x < 2, outer, torch.zeros_like(x)))


def half_size(images: Tensor, *, whole_levels: bool = False) -> Tensor:
    """MATLAB's `imresize(image, 0.5)`: Keys' cubic stretched by two against aliasing, along H, then W.

    Args:
        images: `(..., H, W)`.
        whole_levels: round to 0..255 after each of the two passes, as for uint8 images.

    Returns:
        `(..., ceil(H / 2), ceil(W / 2))`.
    """
    distances = torch.arange(-3.5, 4.0, dtype=torch.float64)  # of eight neighbours to the new pixel's centre
    kernel = _keys_cubic(distances / 2)
    weights: list[float] = (kernel / kernel.sum()).tolist()
    for dim in (-2, -1):
        images = correlate(pad_symmetric(images, dim, 3, 3 + images.shape[dim] % 2), weights, dim, stride=2)
        if whole_levels:
            images = torch.floor(images + 0.5).clamp(0, 255)
    return images


def sum_over_strips(
    function: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, *, overlap: int = 0, values: int = 1 << 16
) -> Tensor:
    """A sum over each image's pixels, `(N,)`, taken in pieces that stay in a CPU's cache.

    A piece is a few small images, or a strip of rows of one large image. Other devices get all images at once.

    Args:
        function: from two pieces `(n, C, h, W)` to their sums, `(n,)`.
        x: `(N, C, H, W)`.
        y: the same shape.
        overlap: rows that two strips share: a window's size less one.
        values: about how many values a piece has.
    """
    count, channels, height, width = x.shape
    together = max(1, values // (channels * height * width)) if x.device.type == "cpu" else count
    rows = height if together > 1 or x.device.type != "cpu" else max(2 * overlap + 1, values // (channels * width))
    sums = []
    for some_x, some_y in zip(x.split(together), y.split(together), strict=True):
        tops = range(0, height - overlap, rows)
        parts = [(slice(None), slice(None), slice(top, top + rows + overlap)) for top in tops]
        sums.append(torch.stack([function(some_x[part], some_y[part]) for part in parts]).sum(0))
    return torch.cat(sums)
