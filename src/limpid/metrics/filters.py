"""Windows over images, separable and differentiable, and sums over images in pieces that fit a CPU's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# The C library keeps freed memory, up to twice the largest block freed so far, and hands the rest back to the system.
# So one large block is freed here: otherwise the temporaries of every strip would be page faults, half of the time.
torch.empty(1 << 24, dtype=torch.uint8)


def plain(*images: Tensor) -> bool:
    """Whether NumPy and OpenCV may read the images: on the CPU, and outside a gradient's graph."""
    return not any(image.requires_grad or image.device.type != "cpu" for image in images)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: to share work of microseconds takes longer than to do it, far longer on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def gaussian(size: int, sigma: float) -> list[float]:
    """A Gaussian of `size` samples that sums to one."""
    x = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    window = torch.exp(-(x**2) / (2 * sigma**2))
    return (window / window.sum()).tolist()


def correlate(images: Tensor, weights: list[float], dim: int, stride: int = 1) -> Tensor:
    """Weighted sum of neighbours along `dim`, only where the window lies inside ("valid").

    Shifted sums, because torch's float64 convolution on CPUs unfolds the image and is many times slower.
    """
    count = (images.shape[dim] - len(weights)) // stride + 1
    # Every stride-th value, put together once, so that the sums run over neighbours in memory.
    phases = [images] if stride == 1 else [_every(images, dim, first, stride) for first in range(stride)]

    def shifted(by: int) -> Tensor:
        return phases[by % stride].narrow(dim, by // stride, count)

    total = shifted(0) * weights[0]
    for shift, weight in enumerate(weights[1:], start=1):
        total.add_(shifted(shift), alpha=weight)
    return total


def _every(images: Tensor, dim: int, first: int, step: int) -> Tensor:
    """Each `step`-th slice along `dim`, from the `first`."""
    return images.movedim(dim, 0)[first::step].movedim(0, dim).contiguous()


def gaussian_mean(images: Tensor, size: int, sigma: float) -> Tensor:
    """Gaussian mean over each window that lies inside: `(..., H - size + 1, W - size + 1)`."""
    weights = gaussian(size, sigma)
    if plain(images):
        return _filtered(images, weights)
    return correlate(correlate(images, weights, -2), weights, -1)


def box_mean(images: Tensor, size: int) -> Tensor:
    """Plain mean over each window that lies inside: `(..., H - size + 1, W - size + 1)`."""
    if plain(images):
        return _filtered(images, [1 / size] * size)
    return _box_sum(_box_sum(images, size, -2), size, -1) / size**2


def _filtered(images: Tensor, weights: list[float]) -> Tensor:
    """Both passes of a separable window, several times faster than `correlate`, where NumPy may read the images."""
    height, width = images.shape[-2:]
    size = len(weights)
    before = len(weights) // 2
    window = np.array(weights)
    # OpenCV filters one tall image of all planes; rows whose window reaches into another plane are cut off.
    tall = cv2.sepFilter2D(images.reshape(-1, width).numpy(), -1, window, window)
    planes = torch.from_numpy(tall).view(images.shape)
    return planes.narrow(-2, before, height - size + 1).narrow(-1, before, width - size + 1)


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


@one_thread()
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


@one_thread()
def map_strips(
    function: Callable[[Tensor], Tensor], images: Tensor, *, overlap: int = 0, values: int = 1 << 16
) -> Tensor:
    """`function` of `(..., H, W)` images, in strips of rows that stay in a CPU's cache; other devices get the whole.

    Args:
        function: what is local but for `overlap`: `h` rows of it depend on `h + overlap` rows of the images.
        images: `(..., H, W)`.
        overlap: rows that two strips share: a window's size less one.
        values: about how many values a strip has.
    """
    height = images.shape[-2]
    rows = max(1, values * height // max(1, images.numel())) if images.device.type == "cpu" else height
    tops = range(0, height - overlap, max(rows, 4 * overlap))
    strips = (images[..., top : top + max(rows, 4 * overlap) + overlap, :] for top in tops)
    return torch.cat([function(strip) for strip in strips], dim=-2)
