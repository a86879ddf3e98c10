"""ResUNet: a U-Net of plain residual blocks on a rearranged image, sized for two cores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.networks.padding import pad_to_multiple
from limpid.ranges import Channels, Layers


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that continues images by their mirror image: zeros would leave a frame."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, padding_mode="reflect")


class MirroredBlock(nn.Module):
    """conv, ReLU, conv, skip, as `ResBlock`, with mirrored borders.

    Args:
        channels: channels throughout.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, channels)
        self.conv2 = _convolution(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`, of sides above 1."""
        refined: Tensor = self.conv2(self.conv1(features).relu()) + features
        return refined


class Up(nn.Module):
    """Features of twice the size: a 1x1 convolution, whose channels become pixels (Shi et al., CVPR 2016).

    Args:
        inputs: channels that come in.
        outputs: channels that come out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 4 * outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Enlarge `features` `(N, C, H, W)`."""
        return F.pixel_shuffle(self.conv(features), 2)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[MirroredBlock(channels) for _ in range(count)])


class ResUNet(nn.Module):
    """A U-Net (Ronneberger et al., MICCAI 2015) of residual blocks without normalisation (Lim et al., CVPRW 2017).

    Blocks of `unshuffle` x `unshuffle` pixels become channels before the first convolution and pixels again after the
    last, so that no convolution works at the image's full size. Levels are halved by a convolution of stride 2 and
    doubled by `Up`; features of equal size are added.

    What is estimated is a residual r, and the result x + r; or, with `affine`, a gain g and an offset o of each pixel
    and channel, and the result is x + g x + o. A veil leaves the image in just this form: J = I / t + A (1 - 1 / t).

    No part of it sees more than its receptive field, so that a large photograph may be cut into tiles.

    Args:
        channels: of each level, from the finest to the coarsest.
        blocks: residual blocks of each level; all but the coarsest have as many again on the way back.
        unshuffle: side of the squares of pixels that become channels.
        affine: whether a gain and an offset are estimated in place of a residual.

    Raises:
        UserError: there are not as many `blocks` as `channels`.
    """

    def __init__(
        self,
        channels: Sequence[Channels] = (24, 48, 80),
        blocks: Sequence[Layers] = (1, 2, 4),
        unshuffle: Layers = 2,
        affine: bool = False,
    ) -> None:
        super().__init__()
        if len(channels) != len(blocks) or not channels:
            raise UserError(
                f"The ResUNet has {len(channels)} numbers of channels and {len(blocks)} of blocks, but needs one of "
                "each for every level; make network.channels and network.blocks equally long."
            )
        self.unshuffle = unshuffle
        self.multiple = unshuffle * 2 ** (len(channels) - 1)
        pixels = 3 * unshuffle**2
        self.head = _convolution(pixels, channels[0])
        self.down = nn.ModuleList(_convolution(fine, coarse, stride=2) for fine, coarse in pairwise(channels))
        self.encoder = nn.ModuleList(map(_blocks, channels, blocks))
        self.up = nn.ModuleList(Up(coarse, fine) for fine, coarse in pairwise(channels))
        self.decoder = nn.ModuleList(map(_blocks, channels[:-1], blocks[:-1]))
        self.apply(_begin)
        self.offset = _zero(_convolution(channels[0], pixels))
        self.gain = _zero(_convolution(channels[0], pixels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape; it is not clamped."""
        height, width = x.shape[-2:]
        padded = pad_to_multiple(x, self.multiple, least=2 * self.multiple)
        squares = F.pixel_unshuffle(padded, self.unshuffle)
        features = self.encoder[0](self.head(squares))
        levels = [features]
        for down, blocks in zip(self.down, self.encoder[1:], strict=True):
            features = blocks(down(features).relu())
            levels.append(features)
        for level in reversed(range(len(self.up))):
            features = self.decoder[level](self.up[level](features) + levels[level])
        change = self.offset(features)
        if self.gain is not None:
            change = change + self.gain(features) * squares
        return x + F.pixel_shuffle(change, self.unshuffle)[..., :height, :width]


def _begin(module: nn.Module) -> None:
    """Set a layer's weights so that features keep their size through the levels (He et al., ICCV 2015).

    PyTorch's own begin at a third of that in each layer, so that little of the coarser levels would arrive. Half of it
    after each block's second convolution keeps sums of many blocks from growing.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, MirroredBlock):
        with torch.no_grad():
            module.conv2.weight.mul_(0.5)


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    """The `layer` with zeros in it, so that the network begins as the identity."""
    for values in layer.parameters():
        nn.init.zeros_(values)
    return layer
