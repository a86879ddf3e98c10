"""EPDN: an image translated at two scales, then enhanced twice."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.padding import pad_to_multiple
from limpid.networks.patchgan import gaussian_weights
from limpid.networks.pyramid_pooling import PyramidPooling
from limpid.networks.resnet_generator import ResidualBlock, conv_layers, doubling_layers, halving_layers
from limpid.ranges import Channels, Layers, NonNegativeFloat


class EPDNOutput(NamedTuple):
    """What EPDN returns.

    Attributes:
        restored: the dehazed image, `(N, 3, H, W)` in [0, 1].
        translated: what went into the enhancers, which the discriminator judges; of the same shape and range.
    """

    restored: Tensor
    translated: Tensor


class Enhancer(nn.Module):
    """Two convolutions and pyramid pooling, from two images to one (EPDN, section 3.3).

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(6, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.pooling = PyramidPooling(channels)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """An image in [-1, 1] from two `(N, 3, H, W)`, sides of 32 or more."""
        features = F.leaky_relu(self.first(torch.cat([one, other], 1)), 0.2, inplace=True)
        enhanced: Tensor = self.pooling(F.leaky_relu(self.second(features), 0.2, inplace=True))
        return enhanced


class EPDN(nn.Module):
    """Enhanced pix2pix dehazing network (Qu et al., CVPR 2019): 17,378,849 parameters.

    A generator at half the size and one at full size, which takes its features (pix2pixHD), make an image; two
    enhancers refine it, the first with the hazy image beside it. Images are padded to multiples of 32 inside.

    Args:
        channels: of the first layer at half the size; the generator at full size begins with half as many.
        halvings: how often the generator at half the size halves its image.
        coarse_blocks: its residual blocks.
        fine_blocks: residual blocks of the generator at full size.
        enhancer_channels: of the enhancers' features.
        weight_std: deviation of the initial weights.
    """

    def __init__(
        self,
        channels: Channels = 32,
        halvings: Layers = 4,
        coarse_blocks: Layers = 3,
        fine_blocks: Layers = 3,
        enhancer_channels: Channels = 20,
        weight_std: NonNegativeFloat = 0.02,
    ) -> None:
        super().__init__()
        widths = [channels * 2**i for i in range(halvings + 1)]
        coarse = [*conv_layers(3, channels, 7), nn.ReLU(inplace=True)]
        for narrow, wide in itertools.pairwise(widths):
            coarse += halving_layers(narrow, wide)
        coarse += [ResidualBlock(widths[-1]) for _ in range(coarse_blocks)]
        for wide, narrow in itertools.pairwise(reversed(widths)):
            coarse += doubling_layers(wide, narrow)
        self.coarse = nn.Sequential(*coarse)
        half = channels // 2
        self.fine_down = nn.Sequential(*conv_layers(3, half, 7), nn.ReLU(inplace=True), *halving_layers(half, channels))
        self.fine_up = nn.Sequential(
            *(ResidualBlock(channels) for _ in range(fine_blocks)),
            *doubling_layers(channels, half),
            *conv_layers(half, 3, 7, norm="none"),
            nn.Tanh(),
        )
        self.enhancers = nn.ModuleList([Enhancer(enhancer_channels) for _ in range(2)])
        self.multiple = max(32, 2 ** (halvings + 1))
        gaussian_weights(self, weight_std)

    def forward(self, x: Tensor) -> EPDNOutput:
        """The dehazed image of `x`, `(N, 3, H, W)` in [0, 1], and the translated one; inside they are in [-1, 1]."""
        height, width = x.shape[-2:]
        # a reflection by one pixel at the smallest size needs two pixels there
        hazy = 2 * pad_to_multiple(x, self.multiple, least=2 * self.multiple) - 1
        half = F.avg_pool2d(hazy, 3, stride=2, padding=1, count_include_pad=False)
        translated = self.fine_up(self.fine_down(hazy) + self.coarse(half))
        first, second = self.enhancers
        enhanced = second(translated, first(translated, hazy))
        images = ((image[..., :height, :width] + 1) / 2 for image in (enhanced, translated))
        return EPDNOutput(*images)
