"""Two restorations of an image as one: each pixel takes most of that which keeps more of the hazy image's looks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

#: Rows that make luminance and two chromatic channels of R, G, B (RefineDNet, section III-D).
CHANNELS = ((0.299, 0.587, 0.114), (0.30, 0.04, -0.35), (0.34, -0.6, 0.17))
#: The constants that keep quotients of gradients and of chromatic channels stable, of values in 0..255.
GRADIENT_CONSTANT, COLOUR_CONSTANT = 160.0, 130.0
#: The power of the likeness of gradients.
GRADIENT_POWER = 0.4

_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


def fused(hazy: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The mean of two restorations, weighted in each pixel by how like the hazy image they are there.

    RefineDNet (Zhao et al., TIP 2021, section III-D): the weights are a softmax of two likenesses.

    Args:
        hazy: `(N, 3, H, W)` in [0, 1].
        first: of the same shape and range.
        second: likewise.
    """
    looks = _looks(hazy)
    likenesses = torch.stack([likeness(looks, _looks(image)) for image in (first, second)])
    weights = likenesses.softmax(0)
    return weights[0] * first + weights[1] * second


def likeness(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> Tensor:
    """``S_M S_N S_V^0.4`` of each pixel, `(N, 1, H, W)`, from what `_looks` gives of two images."""
    gradients, colours = (
        _alike(a, b, c) for a, b, c in zip(one, other, (GRADIENT_CONSTANT, COLOUR_CONSTANT), strict=True)
    )
    return colours.prod(1, keepdim=True) * gradients**GRADIENT_POWER


def _alike(one: Tensor, other: Tensor, constant: float) -> Tensor:
    return (2 * one * other + constant) / (one.square() + other.square() + constant)


def _looks(image: Tensor) -> tuple[Tensor, Tensor]:
    """The size of the luminance's gradient, `(N, 1, H, W)`, and both chromatic channels `(N, 2, H, W)`."""
    channels = F.conv2d(255 * image, image.new_tensor(CHANNELS).view(3, 3, 1, 1))
    across = image.new_tensor(_SOBEL)
    kernels = torch.stack([across, across.T]).unsqueeze(1)
    slopes = F.conv2d(F.pad(channels[:, :1], (1, 1, 1, 1), mode="reflect"), kernels)
    return slopes.square().sum(1, keepdim=True).sqrt(), channels[:, 1:]
