"""XYDeblur: one decoder reads the features upright and turned, so that it serves both directions of blur."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limpid.networks.padding import pad_to_multiple
from limpid.networks.residual import ResBlock
from limpid.ranges import Channels, Layers


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[ResBlock(channels) for _ in range(count)])


class SharedDecoder(nn.Module):
    """From three levels of features to a residual image of the finest level's size."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_blocks(f * channels, blocks) for f in (4, 2, 1))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * f * channels, f * channels, 4, stride=2, padding=1) for f in (2, 1)
        )
        self.merge = nn.ModuleList(nn.Conv2d(2 * f * channels, f * channels, 1) for f in (2, 1))
        self.tail = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The residual `(N, 3, H, W)`; `features` are `(N, C, H, W)`, then twice and four times the channels."""
        x = self.blocks[0](features[2])
        for up, merge, skip, blocks in zip(
            self.up, self.merge, (features[1], features[0]), self.blocks[1:], strict=True
        ):
            x = blocks(merge(torch.cat([up(x).relu(), skip], 1)).relu())
        residual: Tensor = self.tail(x)
        return residual


class XYDeblur(nn.Module):
    """XYDeblur (Ji et al., CVPR 2022): 4,918,627 parameters.

    An encoder of three levels; its features are decoded as they are and turned by 90 degrees with the same weights.
    The first residual, the second turned back, and the input are summed.

    Args:
        channels: of the finest level; the coarser ones have twice and four times as many.
        blocks: residual blocks in each level of the encoder and of the decoder.
    """

    def __init__(self, channels: Channels = 32, blocks: Layers = 6) -> None:
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=1 + (i > 0), padding=1)
            for i, (a, b) in enumerate(zip([3, *widths], widths, strict=False))
        )
        self.blocks = nn.ModuleList(_blocks(c, blocks) for c in widths)
        self.decoder = SharedDecoder(channels, blocks)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape; it is not clamped."""
        height, width = x.shape[-2:]
        padded = features = pad_to_multiple(x, 4)
        levels: list[Tensor] = []
        for conv, blocks in zip(self.convs, self.blocks, strict=True):
            features = blocks(conv(features).relu())
            levels.append(features)
        upright = self.decoder(levels)
        turned = self.decoder([level.rot90(1, (2, 3)) for level in levels]).rot90(-1, (2, 3))
        restored: Tensor = upright + turned + padded
        return restored[..., :height, :width]
