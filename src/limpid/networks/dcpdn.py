"""DCPDN: transmission, airlight and the clear image by three networks that learn together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.densenet import DenseEncoder, DenseLayer, ResizingTransition, affine_norm
from limpid.networks.padding import pad_to_multiple
from limpid.networks.patchgan import gaussian_weights, refuse_small
from limpid.networks.pyramid_pooling import PyramidPooling
from limpid.ranges import Channels, Layers, NonNegativeFloat, Share

_SLOPE = 0.2
#: Channels of the airlight's levels, in multiples of the first's.
_LEVELS = (1, 2, 4, 8, 8, 8, 8, 8)
#: How many of its deepest levels drop channels in training.
_DROPPING = 3


class DCPDNOutput(NamedTuple):
    """What DCPDN finds in hazy images.

    Attributes:
        restored: the clear image, `(N, 3, H, W)` in [-1, 1].
        transmission: the share of the scene's light that reaches the camera, `(N, 3, H, W)` in [-1, 1].
        airlight: the colour of the haze, `(N, 3)`.
    """

    restored: Tensor
    transmission: Tensor
    airlight: Tensor


class TransmissionNet(nn.Module):
    """A densely connected encoder-decoder that ends in a pyramid of means (DCPDN, section 3.1): 11,581,967 parameters.

    Args:
        stem: channels of the encoder's first convolution.
        growth: channels that its layers add.
        blocks: layers of its three blocks.
        decoder: channels of the decoder at full size; deeper it has two, four and eight times as many.
        features: channels before the pyramid.
        norm: see `DenseEncoder`.
    """

    def __init__(self, stem: int, growth: int, blocks: Sequence[int], decoder: int, features: int, norm: str) -> None:
        super().__init__()
        self.encoder = DenseEncoder(stem, growth, blocks, norm)
        first, second, third = self.encoder.channels
        d = decoder
        widths = ((third, 16, 8), (8 * d + second, 16, 8), (8 * d + first, 8, 4), (4 * d, 4, 2), (2 * d, 2, 1))
        self.decoder = nn.ModuleList()
        for channels, more, after in widths:
            # What lies between its two convolutions is four times the block's input in the release.
            block = DenseLayer(channels, more * d, norm, squeezed=4 * more * d)
            self.decoder.append(nn.Sequential(block, ResizingTransition(channels + more * d, after * d, norm, 2)))
        self.refine = nn.Conv2d(d + 3, features, 3, padding=1)
        self.pyramid = PyramidPooling(features)

    def forward(self, x: Tensor) -> Tensor:
        """The transmission `(N, 3, H, W)` in [-1, 1] of `x` `(N, 3, H, W)`, sides multiples of 32."""
        first, second, y = self.encoder(x)
        joined = (None, second, first, None, None)
        for level, skip in zip(self.decoder, joined, strict=True):
            y = level(y if skip is None else torch.cat([y, skip], 1))
        features = F.leaky_relu(self.refine(torch.cat([y, x], 1)), _SLOPE)
        transmission: Tensor = self.pyramid(features)
        return transmission


class AirlightNet(nn.Module):
    """A U-Net of eight levels, whose result's mean is the airlight (DCPDN, section 3.1): 852,304 parameters.

    Args:
        channels: of the first level; they double up to eight times as many.
        dropout: share of the channels that is dropped on the way back in training, in the three deepest levels.
        norm: see `DenseEncoder`.
    """

    pools_over_image = True  # `limpid.inference` shares its output between tiles

    def __init__(self, channels: int, dropout: float, norm: str) -> None:
        super().__init__()
        self.dropout = dropout
        widths = [channels * level for level in _LEVELS]
        before = [3, *widths[:-1]]
        self.down = nn.ModuleList([_halving(i, o) for i, o in zip(before, widths, strict=True)])
        self.down_norms = nn.ModuleList([affine_norm(norm, width) for width in widths[1:]])
        wide = [*(2 * width for width in widths[:-1]), widths[-1]]
        after = [3, *widths[:-1]]
        self.up = nn.ModuleList([_doubling(i, o) for i, o in zip(wide, after, strict=True)])
        self.up_norms = nn.ModuleList([affine_norm(norm, width) for width in after[1:-1]])

    def forward(self, x: Tensor) -> Tensor:
        """The airlight `(N, 3, 1, 1)` of `x` `(N, 3, H, W)`, sides multiples of 256."""
        features = [self.down[0](x)]
        for conv, norm in zip(self.down[1:], self.down_norms, strict=True):
            features.append(normalized(norm, conv(F.leaky_relu(features[-1], _SLOPE))))
        deepest = len(self.up) - 1
        y = features[deepest]
        for level in range(deepest, -1, -1):
            y = self.up[level](F.relu(y if level == deepest else torch.cat([y, features[level]], 1)))
            if 0 < level < deepest:
                y = normalized(self.up_norms[level - 1], y)
            if level > deepest - _DROPPING:
                y = F.dropout2d(y, self.dropout, self.training)
        return F.leaky_relu(F.leaky_relu(y, _SLOPE).mean((2, 3), keepdim=True), _SLOPE)


class DCPDN(nn.Module):
    """Densely connected pyramid dehazing network (Zhang and Patel, CVPR 2018): 12,439,726 parameters are used.

    The clear image that the haze model gives with the transmission and the airlight found is refined beside the hazy
    one. The release's 54,450,151 further parameters, of a U-Net that nothing calls, are left out.

    The authors restore in training mode: batch normalisation takes the statistics of the image at hand, and dropout
    draws, so that no picture comes out twice. Here dropout is off outside of training. With `norm` ``instance`` the
    statistics are each image's own, in training too, which is what batch normalisation does there with the authors'
    batch of one image; with ``batch`` they are those of the batch, and outside of training what was learnt.

    Sides are padded to multiples of 32, at least 64, for the airlight to multiples of 256, and cut back.

    Args:
        stem: channels of the transmission's first convolution.
        growth: channels that its encoder's layers add.
        blocks: layers of its encoder's blocks.
        decoder: channels of its decoder at full size.
        airlight_channels: of the airlight's first level.
        features: channels before the two pyramids.
        dropout: see `AirlightNet`.
        norm: ``instance`` or ``batch``.
        weight_std: deviation of the initial weights.

    Raises:
        ValueError: there is no normalisation of that name.
    """

    def __init__(
        self,
        stem: Channels = 64,
        growth: Channels = 32,
        blocks: Sequence[Layers] = (6, 12, 24),
        decoder: Channels = 16,
        airlight_channels: Channels = 8,
        features: Channels = 20,
        dropout: Share = 0.5,
        norm: str = "instance",
        weight_std: NonNegativeFloat = 0.02,
    ) -> None:
        super().__init__()
        self.transmission = TransmissionNet(stem, growth, blocks, decoder, features, norm)
        self.airlight = AirlightNet(airlight_channels, dropout, norm)
        self.refine1 = nn.Conv2d(6, features, 3, padding=1)
        self.refine2 = nn.Conv2d(features, features, 3, padding=1)
        self.pyramid = PyramidPooling(features)
        gaussian_weights(self, weight_std)
        for layer in self.modules():
            if isinstance(layer, nn.InstanceNorm2d):
                nn.init.normal_(layer.weight, 1.0, weight_std)

    def forward(self, x: Tensor) -> Tensor | DCPDNOutput:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in [-1, 1]; in training with all that is found."""
        return self.estimate(x) if self.training else self.estimate(x).restored

    def estimate(self, x: Tensor) -> DCPDNOutput:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], and the transmission and airlight found."""
        height, width = x.shape[-2:]
        padded = pad_to_multiple(x, 32, least=64)
        transmission = self.transmission(padded)
        # Outside of training two positions are left at the deepest level, so that every normalisation is asked.
        A = self.airlight(pad_to_multiple(x, 256, least=0 if self.training else 512))
        # Quotients by numbers near 0 are taken in float32 at least.
        kind = torch.promote_types(padded.dtype, torch.float32)
        first = (padded.to(kind) - A.to(kind)) / (transmission.to(kind).abs() + 1e-10) + A.to(kind)
        features = F.leaky_relu(self.refine1(torch.cat([first, padded], 1)), _SLOPE)
        restored = self.pyramid(F.leaky_relu(self.refine2(features), _SLOPE))
        return DCPDNOutput(restored[..., :height, :width], transmission[..., :height, :width], A[:, :, 0, 0])


class DCPDNDiscriminator(nn.Sequential):
    """Scores of the patches of a transmission and an image together, `(N, 6, H, W)`: 2,768,640 parameters.

    They are logits: the release's sigmoid is in the loss.

    Args:
        channels: of the first convolution.
        weight_std: deviation of the initial weights.
    """

    def __init__(self, channels: Channels = 64, weight_std: NonNegativeFloat = 0.02) -> None:
        widths = (6, channels, 2 * channels, 4 * channels, 8 * channels, 1)
        strides = (2, 2, 2, 1, 1)
        layers: list[nn.Module] = []
        for number, stride in enumerate(strides):
            before, after = widths[number : number + 2]
            layers += [nn.LeakyReLU(_SLOPE)] if number else []
            layers += [nn.Conv2d(before, after, 4, stride, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after)] if 0 < number < len(strides) - 1 else []
        super().__init__(*layers)
        self.smallest = 3 * math.prod(strides)
        gaussian_weights(self, weight_std)

    def forward(self, input: Tensor) -> Tensor:
        """The scores of `input` `(N, 6, H, W)`, `(N, 1, h, w)`.

        Raises:
            UserError: a side is below 24 pixels, so that no patch is left.
        """
        refuse_small(input, self.smallest)
        scores: Tensor = super().forward(input)
        return scores


def normalized(norm: nn.Module, x: Tensor) -> Tensor:
    """`x` normalised; as it is where a single position has no deviation to divide by."""
    single = x.shape[-2:].numel() * (1 if isinstance(norm, nn.InstanceNorm2d) else len(x)) == 1
    learns_nothing = single and (norm.training or isinstance(norm, nn.InstanceNorm2d))
    return x if learns_nothing else norm(x)


def _halving(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1, bias=False)


def _doubling(channels_in: int, channels_out: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1, bias=False)
