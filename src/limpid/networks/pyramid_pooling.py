"""The pyramid pooling that DCPDN and EPDN end with: features at four coarser scales beside the features themselves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Sides of the windows of which means are taken, in pixels.
WINDOWS = (32, 16, 8, 4)


class PyramidPooling(nn.Module):
    """``tanh(conv([m_32, m_16, m_8, m_4, f]))``: an image of features f and of few channels for each size of window.

    Zhang and Patel, CVPR 2018, section 3.1.1. Each m_k is the mean over windows of k x k pixels, a 1x1 convolution and
    LeakyReLU, enlarged to f by repetition; of a side that is no multiple of k the rest is left out.

    Args:
        channels: of the features.
        channels_out: of the image.
        windows: sides of the windows.
        channels_each: of each size of window.
    """

    def __init__(
        self, channels: int = 20, channels_out: int = 3, windows: Sequence[int] = WINDOWS, channels_each: int = 1
    ) -> None:
        super().__init__()
        self.windows = tuple(windows)
        self.scales = nn.ModuleList([nn.Conv2d(channels, channels_each, 1) for _ in self.windows])
        self.refine = nn.Conv2d(channels + channels_each * len(self.windows), channels_out, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """The image `(N, channels_out, H, W)` in [-1, 1], from `features` `(N, C, H, W)`, sides of 32 or more."""
        size = features.shape[-2:]
        means: list[Tensor] = []
        for window, convolution in zip(self.windows, self.scales, strict=True):
            mean = F.leaky_relu(convolution(F.avg_pool2d(features, window)), 0.2)
            means.append(F.interpolate(mean, size, mode="nearest"))
        return torch.tanh(self.refine(torch.cat([*means, features], 1)))
