"""Edge modulation: an unsharp mask that fades out in black and in white (wmcp, section 3.2)."""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor


def edge_modulation(image: Tensor, gain: float = 0.25, index: float = 0.5) -> Tensor:
    """Add modulated edges of the luminosity to every channel (wmcp, equations 18 to 21).

    The kernel of equation 19 sums to 0, so a constant image comes back as it is.

    Args:
        image: the dehazed J, `(3, H, W)` in [0, 1].
        gain: lambda, the share of the modulated edges that is added.
        index: Y, the luminosity at which edges are kept most.

    Returns:
        `(3, H, W)`, held to [0, 1].
    """
    luminosity = channel_luminosity(image)
    edges = 8 * luminosity - _eight_neighbours(luminosity)
    modulated = edges * (index - (luminosity - index).abs())
    return (image + gain * modulated).clamp(0, 1)


def channel_luminosity(image: Tensor) -> Tensor:
    """The mean of the channels, weighted by their means over the image (wmcp, equation 18): `(1, H, W)`."""
    means = image.mean((1, 2), keepdim=True)
    total = means.sum()
    weights = means / total if total > 0 else torch.full_like(means, 1 / 3)  # a black image has no weights
    return (weights * image).sum(0, keepdim=True)


def _eight_neighbours(plane: Tensor) -> Tensor:
    """The sum of the eight neighbours of each pixel of `(1, H, W)`; the border is repeated outwards."""
    padded = F.pad(plane[None], (1, 1, 1, 1), mode="replicate")[0]
    height, width = plane.shape[1:]
    shifts = [shift for shift in product(range(3), repeat=2) if shift != (1, 1)]
    return torch.stack([padded[:, y : y + height, x : x + width] for y, x in shifts]).sum(0)
