"""DRN: the enlarged image is refined in a U-Net whose decoder gives a picture at every scale."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from limpid.errors import UserError
from limpid.ranges import Channels, FiniteFloat, Layers, NonNegativeFloat, PositiveFloat


class Enlarged(NamedTuple):
    """What DRN gives; its loss supervises every scale.

    Attributes:
        restored: the image at the full scale, `(N, 3, scale H, scale W)`.
        smaller: the images at half of it, a quarter ... down to the input's size, largest first.
    """

    restored: Tensor
    smaller: tuple[Tensor, ...]


class MeanShift(nn.Conv2d):
    """Add `sign` times a colour to an image: a frozen 1x1 convolution, as published, so that it counts.

    The authors' release means to freeze it, but sets the flag on the module, where it does nothing.
    """

    def __init__(self, mean: Sequence[float], sign: int) -> None:
        super().__init__(3, 3, 1)
        assert self.bias is not None
        with torch.no_grad():
            self.weight.copy_(torch.eye(3).view(3, 3, 1, 1))
            self.bias.copy_(sign * torch.tensor(mean))
        self.requires_grad_(False)


class ChannelAttentionBlock(nn.Module):
    """RCAB: conv, ReLU, conv, one weight in (0, 1) per channel, skip (Zhang et al., RCAN, ECCV 2018)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.weight = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        inner = self.conv2(self.conv1(features).relu())
        refined: Tensor = self.weight(inner) * inner + features
        return refined


class DRN(nn.Module):
    """Dual Regression Network (Guo et al., CVPR 2020), the primal network; DRN-S has 16 channels and 30 blocks.

    The input is enlarged bicubically; every level of the encoder halves it and doubles the channels. A level of the
    decoder refines (`blocks` RCABs), doubles by a pixel shuffle, narrows (1x1) and is joined with the encoder's
    features of that size. A 3x3 tail gives an image at the input's scale and behind every level. At 4x it has
    4,804,065 parameters (rfd tables 1 and 2: 4.8M), 24 of them the frozen shifts by the mean colour; 606,378 at 2x.

    The network works on values up to `value_range`; images are scaled on the way in and out. The dual networks, which
    take the restored image back to the small one during training, are not part of it: the tables count without their
    1,728 parameters.

    Parts in order, and their names in the authors' release: `subtract_mean` (sub_mean), `head`, `down`, `up`
    (up_blocks: per level the blocks, the convolution of the upsampler, its shuffle, the 1x1 convolution), `tails`
    (tail; smallest scale first), `add_mean`. Of a block, `conv1`, `conv2` and `weight` are body.0, body.2 and
    body.3.conv_du.

    Args:
        scale: how many times the image is enlarged, a power of two.
        channels: channels of the finest level.
        blocks: RCABs per level.
        reduction: how much the channel attention narrows inside.
        slope: of LeakyReLU below zero, on the way down.
        mean: colour subtracted inside, in [0, 1]; that of DIV2K.
        value_range: what 1.0 becomes inside; 255 in the authors' release.

    Raises:
        UserError: the scale is not 2, 4, 8, ...
    """

    def __init__(
        self,
        scale: Layers = 4,
        channels: Channels = 16,
        blocks: Layers = 30,
        reduction: Layers = 16,
        slope: NonNegativeFloat = 0.2,
        mean: Sequence[FiniteFloat] = (0.4488, 0.4371, 0.4040),
        value_range: PositiveFloat = 255.0,
    ) -> None:
        super().__init__()
        levels = scale.bit_length() - 1
        if scale < 2 or scale != 2**levels:
            raise UserError(f"DRN enlarges by powers of two, and scale={scale} is none; use 2, 4 or 8.")
        self.scale, self.value_range = scale, value_range
        shift = [value_range * colour for colour in mean]
        width = [channels * 2**level for level in range(levels + 1)]
        self.enlarge = nn.Upsample(scale_factor=scale, mode="bicubic", align_corners=False)
        self.subtract_mean = MeanShift(shift, -1)
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(fine, fine, 3, stride=2, padding=1, bias=False),
                nn.LeakyReLU(slope),
                nn.Conv2d(fine, coarse, 3, padding=1, bias=False),
            )
            for fine, coarse in pairwise(width)
        )
        self.up = nn.ModuleList()
        entering = width[levels]
        for fine in reversed(width[:levels]):
            self.up.append(
                nn.Sequential(
                    *[ChannelAttentionBlock(entering, reduction) for _ in range(blocks)],
                    nn.Conv2d(entering, 4 * entering, 3, padding=1),
                    nn.PixelShuffle(2),
                    nn.Conv2d(entering, fine, 1),
                )
            )
            entering = 2 * fine  # joined with the encoder's features
        tails = [width[levels], *[2 * fine for fine in reversed(width[:levels])]]
        self.tails = nn.ModuleList(nn.Conv2d(entering, 3, 3, padding=1) for entering in tails)
        self.add_mean = MeanShift(shift, 1)

    def forward(self, x: Tensor) -> Enlarged:
        """Enlarge `x`, `(N, 3, H, W)` in [0, 1]; no image of the result is clamped."""
        features = self.head(self.subtract_mean(self.enlarge(x * self.value_range)))
        encoded = []
        for down in self.down:
            encoded.append(features)
            features = down(features)
        images = [self.tails[0](features)]
        for up, tail in zip(self.up, list(self.tails)[1:], strict=True):
            features = torch.cat([up(features), encoded.pop()], 1)
            images.append(tail(features))
        *smaller, restored = [self.add_mean(image) / self.value_range for image in images]
        return Enlarged(restored, tuple(reversed(smaller)))
