"""Channels that stand for the depth of haze: the dark channel and the weighted median channel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from limpid.priors.filters import min_filter

Array = NDArray[Any]

#: Products of the weighted median channel held at once: few enough to stay in a cache (4 MB of float32).
STRIP = 2**20


def dark_channel(image: Tensor, patch: int) -> Tensor:
    """The smallest colour value in the patch around each pixel (He et al. 2011; wmcp, equation 7).

    Args:
        image: `(3, H, W)`.
        patch: side of the square patch in pixels, odd; cut at the border.

    Returns:
        `(1, H, W)`.
    """
    return min_filter(image.amin(0, keepdim=True), patch)


def dark_channel_transmission(image: Tensor, airlight: Tensor, patch: int, omega: float) -> Tensor:
    """The transmission at which the dark channel of the clear image is zero (wmcp, equation 11).

    Args:
        image: `(3, H, W)` in [0, 1].
        airlight: `(3,)` in [0, 1]; a channel below one step of 8 bits counts as that step, never as zero.
        patch: side of the square patch in pixels, odd.
        omega: share of the haze that is removed.

    Returns:
        `(1, H, W)`, at most 1, in blocks of the patch; below 0 where the image is brighter than the airlight.
    """
    normalised = image / airlight.clamp(min=1 / 255).view(3, 1, 1)
    return 1 - omega * dark_channel(normalised, patch)


def weighted_median_channel(
    image: Tensor, patch: int, statistic: str = "median_of_products", neighbours: str = "patch"
) -> Tensor:
    """The weighted median channel of wmcp, equations 13 and 14: the depth of haze at each pixel.

    Every neighbour y of x weighs ``w = exp(-|I(x) - I(y)|^2 / (2 sigma^2))``, with |.| over the three colours
    and sigma the standard deviation of the whole image in its own scale.

    The products are compared by their logarithms, ``log min_c I(y) - |I(x) - I(y)|^2 / (2 sigma^2)``: the
    order is the same, and one exponential per pixel is left instead of one per neighbour. Strips of rows
    bound the memory; threads share them. It runs in numpy, on the CPU wherever `image` is: numpy selects a
    median several times as fast as torch.

    Args:
        image: `(3, H, W)` in [0, 1]; beyond its border the nearest pixel is repeated.
        patch: side of the square patch in pixels, odd.
        statistic: `median_of_products`, the plain median over y of ``w min_c I(y)``; `weighted_median`, the
            value of min_c I at which the sorted weights reach half of their sum; `max`, the largest product.
        neighbours: `patch`, all pixels of the patch; `compass`, those on the eight rays from its centre and
            the centre.

    Returns:
        `(1, H, W)` in [0, 1].
    """
    # A constant image has no differences either: its weights are 1 whatever its variance is taken to be.
    variance = image.double().var(correction=0).clamp(min=1e-12)
    scale = float(-0.5 / variance)
    kept = _compass(patch) if neighbours == "compass" else ...  # all of them
    padded = F.pad(image[None], (patch // 2,) * 4, mode="replicate")[0].float().cpu()
    colours = _windows(padded.numpy(), patch)
    log_values = _windows(padded.amin(0).log().numpy(), patch)

    height, width = image.shape[1:]
    depth = np.empty((height, width), np.float32)
    rows = max(1, STRIP // (width * patch**2))

    def fill(top: int) -> None:
        strip = slice(top, top + rows)
        log_weight = _squared_distance(colours[:, strip], patch // 2)
        log_weight *= scale
        shape = (*log_weight.shape[:2], -1)
        log_weight, log_value = log_weight[:, :, kept], log_values[strip][:, :, kept]
        depth[strip] = _STATISTICS[statistic](log_weight.reshape(shape), log_value.reshape(shape))

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(fill, range(0, height, rows)))
    return torch.from_numpy(depth).to(image)[None]


def _windows(planes: Array, patch: int) -> Array:
    """The patch around each pixel of padded planes, as a view `(..., H, W, patch, patch)`."""
    return np.lib.stride_tricks.sliding_window_view(planes, (patch, patch), axis=(-2, -1))


def _squared_distance(colours: Array, middle: int) -> Array:
    """Squared colour distances of patches `(3, h, w, patch, patch)` to their middles, over the colours."""
    total = np.zeros(colours.shape[1:], np.float32)
    for channel in colours:
        difference = channel - channel[..., middle, middle, None, None]
        difference *= difference
        total += difference
    return total


def _compass(patch: int) -> Array:
    """Which pixels of a patch are its centre or on the rays N, NE, E, SE, S, SW, W, NW: `(patch, patch)`."""
    y, x = np.indices((patch, patch)) - patch // 2
    return (y == 0) | (x == 0) | (abs(y) == abs(x))


def _median_of_products(log_weight: Array, log_value: Array) -> Array:
    """The middle of an odd number of products."""
    log_weight += log_value
    middle = log_weight.shape[-1] // 2
    log_weight.partition(middle, axis=-1)
    return np.exp(log_weight[..., middle])


def _weighted_median(log_weight: Array, log_value: Array) -> Array:
    """The smallest value whose weight, with those of all smaller ones, is at least half of the sum."""
    order = log_value.argsort(axis=-1)
    reached = np.take_along_axis(np.exp(log_weight, dtype=np.float64), order, -1).cumsum(-1)
    half = (reached >= reached[..., -1:] / 2).argmax(-1)[..., None]
    return np.exp(np.take_along_axis(log_value, np.take_along_axis(order, half, -1), -1)[..., 0])


def _largest_product(log_weight: Array, log_value: Array) -> Array:
    log_weight += log_value
    return np.exp(log_weight.max(-1))


_STATISTICS = {
    "median_of_products": _median_of_products,
    "weighted_median": _weighted_median,
    "max": _largest_product,
}
#: The readings of equation 13.
STATISTICS = tuple(_STATISTICS)
#: The readings of "eight major compass orientations" (wmcp, section 3.1).
NEIGHBOURS = ("patch", "compass")
