"""Channels that stand for the depth of haze: the dark channel and the weighted median channel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from limpid.priors.filters import min_filter

#: Products of the weighted median channel held at once, which bounds its memory (16 MB of float32 an array).
STRIP = 2**22


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
    order is the same, one exponential per pixel is left instead of one per neighbour, and a strip of rows at
    a time bounds the memory.

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
    _, height, width = image.shape
    # A constant image has no differences either: its weights are 1 whatever its variance is taken to be.
    variance = image.double().var(correction=0).clamp(min=1e-12)
    scale = float(-0.5 / variance)
    kept = _compass(patch).to(image.device) if neighbours == "compass" else None
    padded = F.pad(image[None], (patch // 2,) * 4, mode="replicate")[0]
    log_darkest = padded.amin(0).log()

    depth = image.new_empty(height, width)
    rows = max(1, STRIP // (width * patch**2))
    for top in range(0, height, rows):
        centre = image[:, top : top + rows]
        reach = slice(top, top + len(centre[0]) + patch - 1)
        log_weight = _squared_distance(centre, padded[:, reach], patch).mul_(scale)
        log_value = _windows(log_darkest[reach], patch)
        if kept is not None:
            log_weight, log_value = log_weight.flatten(2)[..., kept], log_value.flatten(2)[..., kept]
        depth[top : top + rows] = _STATISTICS[statistic](log_weight, log_value)
    return depth[None]


def _windows(plane: Tensor, patch: int) -> Tensor:
    """The patch around each pixel of a padded plane, as a view `(h, w, patch, patch)`."""
    return plane.unfold(0, patch, 1).unfold(1, patch, 1)


def _squared_distance(centre: Tensor, padded: Tensor, patch: int) -> Tensor:
    """Squared colour distances of each pixel to its neighbours, contiguous `(h, w, patch, patch)`."""
    shape = (*centre.shape[1:], patch, patch)
    total, difference = centre.new_zeros(shape), centre.new_empty(shape)
    for inner, outer in zip(centre, padded, strict=True):
        torch.sub(_windows(outer, patch), inner[..., None, None], out=difference)
        total.addcmul_(difference, difference)
    return total


def _compass(patch: int) -> Tensor:
    """Positions in a flattened patch of its centre and of the eight rays N, NE, E, SE, S, SW, W, NW."""
    offset = torch.arange(patch) - patch // 2
    y, x = torch.meshgrid(offset, offset, indexing="ij")
    return ((y == 0) | (x == 0) | (y.abs() == x.abs())).flatten().nonzero().squeeze(1)


def _median_of_products(log_weight: Tensor, log_value: Tensor) -> Tensor:
    """The middle of an odd number of products."""
    products = log_weight.add_(log_value).flatten(2)
    middle = products.shape[-1] // 2
    if products.device.type == "cpu":  # numpy's selection is vectorised, five times as fast as torch.kthvalue
        products.numpy().partition(middle, axis=-1)
        return products[..., middle].exp()
    return products.kthvalue(middle + 1, dim=-1).values.exp()


def _weighted_median(log_weight: Tensor, log_value: Tensor) -> Tensor:
    """The smallest value whose weight, with those of all smaller ones, is at least half of the sum."""
    value, order = log_value.flatten(2).sort(dim=-1)
    reached = log_weight.flatten(2).exp().gather(-1, order).double().cumsum(-1)
    half = torch.searchsorted(reached, reached[..., -1:] / 2).clamp(max=value.shape[-1] - 1)
    return value.gather(-1, half).squeeze(-1).exp()


def _largest_product(log_weight: Tensor, log_value: Tensor) -> Tensor:
    return log_weight.add_(log_value).flatten(2).amax(-1).exp()


_STATISTICS = {
    "median_of_products": _median_of_products,
    "weighted_median": _weighted_median,
    "max": _largest_product,
}
#: The readings of equation 13.
STATISTICS = tuple(_STATISTICS)
#: The readings of "eight major compass orientations" (wmcp, section 3.1).
NEIGHBOURS = ("patch", "compass")
