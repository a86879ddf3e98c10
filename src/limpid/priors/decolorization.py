"""A grey image that keeps the contrast of a colour one: the weights of its channels are chosen for it.

Liu, Liu, Xie, Wang & Liang, "GcsDecolor: Gradient correlation similarity for efficient contrast preserving
decolorization", IEEE TIP 24(9), 2015; its second form, which tries the weights of a grid.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limpid.priors.resizing import nearest

#: The image is looked at reduced to about this many pixels on a side.
_SIDE = 64
#: Differences of colour below this, of a largest of 1, count as none.
_LEAST = 0.05
_LARGEST = 1.41
_STEADY = 0.25


def grey_weights(image: Tensor, seed: int) -> Tensor:
    """The weights of red, green and blue, `(3,)` in tenths with the sum 1, whose grey image keeps most contrast.

    Pairs of pixels are compared: random ones of the image reduced to about 64 x 64, and neighbours of the same reduced
    to half. The weights are those of the 66 with tenths whose grey differences resemble the differences of each
    channel most.

    Args:
        image: `(3, H, W)` in [0, 1].
        seed: of the random pairs.
    """
    height, width = image.shape[1:]
    factor = _SIDE / math.sqrt(height * width)
    small = nearest(image, (max(1, round(height * factor)), max(1, round(width * factor))))
    half = nearest(small, (math.ceil(small.shape[1] / 2), math.ceil(small.shape[2] / 2)))
    pixels = small.flatten(1)
    order = torch.randperm(pixels.shape[1], generator=torch.Generator().manual_seed(seed)).to(image.device)
    differences = torch.cat(
        [
            pixels - pixels[:, order],
            (half[:, :, :-1] - half[:, :, 1:]).flatten(1),
            (half[:, :-1] - half[:, 1:]).flatten(1),
        ],
        dim=1,
    ).double()
    differences = differences[:, differences.norm(dim=0) / _LARGEST >= _LEAST]
    weights = _grid().to(differences)
    grey = (weights @ differences).abs()[:, None]
    channels = differences.abs() + _STEADY
    # Summed, not averaged: without contrast all weights are equally good, and the first is taken.
    similarity = (grey * channels / (grey**2 + channels**2)).sum((1, 2))
    return weights[similarity.argmax()].to(image)


def _grid() -> Tensor:
    """The 66 weights in tenths, ordered by red, then by green: `(66, 3)`."""
    tenths = [(red, green) for red in range(11) for green in range(11 - red)]
    return torch.tensor([(red / 10, green / 10, (10 - red - green) / 10) for red, green in tenths])
