"""CBCS: colour balance and contrast for sandstorm images, as far as it is known.

Hua et al., IET Image Processing 16(14), 2022, page 3768. Its text and an official program were not at hand: the
steps are those of a program by others, which may lack some of the paper's.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limpid.priors.base import within
from limpid.ranges import Count, Share

#: Levels of the histograms: OpenCV equalises 8 bit.
_LEVELS = 256


class CBCS(nn.Module):
    """Balances the channels by their means, equalises the value tile by tile, and raises the saturation.

    The channels are balanced in double precision: in 8 bit, as in the program by others, their sum saturates. Hue,
    saturation and value are OpenCV's in single precision, and so is the equalisation, after which the value has 256
    levels; kornia, which keeps more of them, took 21 seconds and 2.7 GB for 12 megapixels.

    Args:
        tiles: rows and columns of tiles; fewer where an image has not two pixels for each.
        clip: share of a tile's pixels, beyond the least that there can be, to which a level of its histogram is cut, as
            MATLAB's `adapthisteq` takes it.

    Raises:
        UserError: a number is out of its range.
    """

    LIMITS = "Only part of its paper is known; bright skies turn cyan, and dim colours become strong."

    def __init__(self, tiles: Count = 8, clip: Share = 0.01) -> None:
        super().__init__()
        within("tiles", tiles, 1)
        within("clip", clip, 0, 1)
        self.tiles, self.clip = tiles, clip

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape and range; each image alone."""
        return torch.stack([self._restored(image) for image in x])

    def balanced(self, image: Tensor) -> Tensor:
        """`image` `(N, 3, H, W)` with green and blue raised to red, and then the channels' means made equal."""
        raised = self.raised(image)
        means = raised.mean((2, 3), keepdim=True)
        return raised * (means.mean(1, keepdim=True) / means.clamp(min=1e-12))

    def raised(self, image: Tensor) -> Tensor:
        """`image` `(N, 3, H, W)` with what its green and blue lack in the mean, in proportion to each pixel's light."""
        red, green, blue = image.mean((2, 3), keepdim=True).unbind(1)
        light = image.sum(1)
        total = (red + green + blue).clamp(min=1e-12)
        new_green = image[:, 1] + (red - green) / total * light
        new_blue = image[:, 2] + ((red + green) / 2 - blue) / total * light
        return torch.stack([image[:, 0], new_green, new_blue], 1)

    def _restored(self, image: Tensor) -> Tensor:
        balanced = self.balanced(image[None].double())[0].clamp_(0, 1)
        pixels = balanced.float().permute(1, 2, 0).contiguous().cpu().numpy()
        hsv: NDArray[np.float32] = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV), np.float32)
        saturation = hsv[..., 1]
        hsv[..., 1] = (saturation + 1 / (1 + np.exp(1 - saturation))) / 2
        hsv[..., 2] = self._equalized(hsv[..., 2])
        restored = torch.from_numpy(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
        return restored.permute(2, 0, 1).clamp_(0, 1).to(image)

    def _equalized(self, value: NDArray[np.float32]) -> NDArray[np.float32]:
        """`value` `(H, W)` in [0, 1], equalised tile by tile."""
        rows, columns = (min(self.tiles, math.ceil(side / 2)) for side in value.shape)
        pixels = math.ceil(value.shape[0] / rows) * math.ceil(value.shape[1] / columns)
        least = math.ceil(pixels / _LEVELS)
        most = least + round(self.clip * (pixels - least))
        # OpenCV takes the limit in mean levels and rounds down.
        equalizer = cv2.createCLAHE((most + 0.5) * _LEVELS / pixels, (columns, rows))
        levels = (value * (_LEVELS - 1)).round().astype(np.uint8)
        equalized: NDArray[np.float32] = equalizer.apply(levels).astype(np.float32) / np.float32(_LEVELS - 1)
        return equalized
