"""MPRNet: three stages restore quarters, halves and the whole of an image, each with what the one before found."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.channels_last import GlobalAvgPool
from limpid.networks.padding import pad_to_multiple
from limpid.ranges import Channels, Layers


class MPRNetOutput(NamedTuple):
    """What `MPRNet` returns.

    Attributes:
        restored: the image of the last stage, `(N, 3, H, W)`, not clamped.
        stages: the images of all stages, the first stage's first; the last is `restored`.
        features: those asked for, by name, of the padded whole image.
    """

    restored: Tensor
    stages: tuple[Tensor, ...]
    features: dict[str, Tensor]


def _conv(channels_in: int, channels_out: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)


def _resize(x: Tensor, factor: float) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def _halves(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The two halves of `x` along `dim`, which is even; by `narrow`, because a graph for all sizes knows no `chunk`."""
    half = x.shape[dim] // 2
    return x.narrow(dim, 0, half), x.narrow(dim, half, half)


def _split(x: Tensor, dim: int) -> Tensor:
    """The two halves of each image along `dim` as two images: `(2 N, ...)`, all first halves first."""
    return torch.cat(_halves(x, dim), 0)


def _join(x: Tensor, dim: int) -> Tensor:
    """Undo `_split`."""
    return torch.cat(_halves(x, 0), dim)


class ChannelAttentionBlock(nn.Module):
    """CAB: conv, PReLU, conv, channel attention, skip (MPRNet, figure 3b)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels, channels, 3)
        self.conv2 = _conv(channels, channels, 3)
        self.attention = nn.Sequential(
            GlobalAvgPool(),
            _conv(channels, channels // reduction, 1),
            nn.ReLU(),
            _conv(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor, slope: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`; `slope` is the PReLU's, one number for the whole network."""
        inner = self.conv2(F.prelu(self.conv1(features), slope))
        return inner * self.attention(inner) + features


class Chain(nn.ModuleList):
    """Channel attention blocks one after the other."""

    def __init__(self, channels: int, blocks: int, reduction: int) -> None:
        super().__init__(ChannelAttentionBlock(channels, reduction) for _ in range(blocks))

    def forward(self, features: Tensor, slope: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        for block in self:
            features = block(features, slope)
        return features


class ShallowFeatures(nn.Module):
    """From the image to the first features: a convolution and one block."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.conv = _conv(3, channels, 3)
        self.block = ChannelAttentionBlock(channels, reduction)

    def forward(self, x: Tensor, slope: Tensor) -> Tensor:
        """Features `(N, C, H, W)` of `x` `(N, 3, H, W)`."""
        return self.block(self.conv(x), slope)


class Encoder(nn.Module):
    """Three levels of two blocks; between levels the features are halved in size and widened.

    Args:
        channels: of the levels, the finest first.
        reduction: of the channel attention.
        fuses: whether it takes an earlier stage's features (cross-stage feature fusion, figure 3c).
    """

    def __init__(self, channels: Sequence[int], reduction: int, fuses: bool) -> None:
        super().__init__()
        self.levels = nn.ModuleList(Chain(c, 2, reduction) for c in channels)
        self.down = nn.ModuleList(_conv(fine, coarse, 1) for fine, coarse in pairwise(channels))
        self.from_encoder = nn.ModuleList(_conv(c, c, 1) for c in channels if fuses)
        self.from_decoder = nn.ModuleList(_conv(c, c, 1) for c in channels if fuses)

    def forward(
        self, x: Tensor, slope: Tensor, encoded: Sequence[Tensor] = (), decoded: Sequence[Tensor] = ()
    ) -> list[Tensor]:
        """The features of each level, the finest first; `encoded` and `decoded` are the earlier stage's."""
        features: list[Tensor] = []
        for i, level in enumerate(self.levels):
            if i:
                x = self.down[i - 1](_resize(x, 0.5))
            x = level(x, slope)
            if encoded:
                x = x + self.from_encoder[i](encoded[i]) + self.from_decoder[i](decoded[i])
            features.append(x)
        return features


class Decoder(nn.Module):
    """Three levels of two blocks, from the coarsest up; the encoder's features pass through one block each."""

    def __init__(self, channels: Sequence[int], reduction: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(Chain(c, 2, reduction) for c in channels)
        self.skips = nn.ModuleList(ChannelAttentionBlock(c, reduction) for c in channels[:-1])
        self.up = nn.ModuleList(_conv(coarse, fine, 1) for fine, coarse in pairwise(channels))

    def forward(self, encoded: Sequence[Tensor], slope: Tensor) -> list[Tensor]:
        """The features of each level, the finest first."""
        x = self.levels[-1](encoded[-1], slope)
        features = [x]
        for i in reversed(range(len(self.skips))):
            # A 1x1 convolution and an interpolation may change places; this order costs a quarter.
            x = self.levels[i](_resize(self.up[i](x), 2.0) + self.skips[i](encoded[i], slope), slope)
            features.insert(0, x)
        return features


class SupervisedAttention(nn.Module):
    """SAM: makes a stage's image and, by attention from that image, the features the next stage gets (figure 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _conv(channels, channels, 1)
        self.to_image = _conv(channels, 3, 1)
        self.to_attention = _conv(3, channels, 1)

    def forward(self, features: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The attended features and the restored image for `x`."""
        restored = self.to_image(features) + x
        return self.conv(features) * self.to_attention(restored).sigmoid() + features, restored


class Lift(nn.Module):
    """A coarse level's features at full size and with the width of the last stage."""

    def __init__(self, channels: Sequence[int], level: int, width: int) -> None:
        super().__init__()
        widths = [*reversed(channels[: level + 1]), width]
        self.convs = nn.Sequential(*[_conv(a, b, 1) for a, b in pairwise(widths)])
        self.doublings = level

    def forward(self, features: Tensor) -> Tensor:
        """From `(N, channels[level], H / 2^level, W / 2^level)` to `(N, width, H, W)`."""
        features = self.convs(features)
        for _ in range(self.doublings):
            features = _resize(features, 2.0)
        return features


class OriginalResolutionNet(nn.Module):
    """ORSNet: three groups of blocks at full size; after each, one level of the second stage is added (section 3.2)."""

    def __init__(self, channels: Sequence[int], width: int, blocks: int, reduction: int) -> None:
        super().__init__()
        levels = range(len(channels))
        self.groups = nn.ModuleList(Chain(width, blocks, reduction) for _ in levels)
        self.convs = nn.ModuleList(_conv(width, width, 3) for _ in levels)
        self.from_encoder = nn.ModuleList(Lift(channels, level, width) for level in levels)
        self.from_decoder = nn.ModuleList(Lift(channels, level, width) for level in levels)

    def forward(self, x: Tensor, slope: Tensor, encoded: Sequence[Tensor], decoded: Sequence[Tensor]) -> Tensor:
        """Refine `x` `(N, width, H, W)`."""
        for i, group in enumerate(self.groups):
            x = self.convs[i](group(x, slope)) + x
            x = x + self.from_encoder[i](encoded[i]) + self.from_decoder[i](decoded[i])
        return x


class MPRNet(nn.Module):
    """Multi-stage progressive image restoration (Zamir et al., CVPR 2021).

    The first stage sees quarters of the image, the second halves, the third the whole; each adds a residual to the
    input. All convolutions are without bias, and all blocks share one PReLU slope. With 40/20/16 channels it has
    3,637,249 parameters (the authors' deraining size), with 80/48/32 15,741,025 (denoising), and with 96/48/32
    20,127,073 (deblurring). Every size of image works: inside it is padded to multiples of 8.

    Args:
        channels: of the finest level.
        level_step: how many channels each coarser level has more.
        orsnet_step: how many channels the last stage has more than the finest level.
        orsnet_blocks: channel attention blocks in each of the last stage's three groups.
        reduction: how much the channel attention narrows inside.
    """

    #: Names of the features that can be asked for; `stage1` ones are joined from their patches.
    FEATURES = (
        *(f"stage{s}.{part}.level{i}" for s, part, i in product((1, 2), ("encoder", "decoder"), (1, 2, 3))),
        "stage3.orsnet",
    )

    #: Whether the first stages see quarters and halves, as printed, or the whole image, where no seam may be seen.
    divides_image = True

    def __init__(
        self,
        channels: Channels = 40,
        level_step: Channels = 20,
        orsnet_step: Channels = 16,
        orsnet_blocks: Layers = 8,
        reduction: Layers = 4,
    ) -> None:
        super().__init__()
        levels = [channels + i * level_step for i in range(3)]
        width = channels + orsnet_step
        self.slope = nn.Parameter(torch.full((1,), 0.25))
        self.shallow = nn.ModuleList(ShallowFeatures(channels, reduction) for _ in range(3))
        self.encoders = nn.ModuleList(Encoder(levels, reduction, fuses=i > 0) for i in range(2))
        self.decoders = nn.ModuleList(Decoder(levels, reduction) for _ in range(2))
        self.attentions = nn.ModuleList(SupervisedAttention(channels) for _ in range(2))
        self.fusions = nn.ModuleList(_conv(2 * channels, c, 3) for c in (channels, width))
        self.orsnet = OriginalResolutionNet(levels, width, orsnet_blocks, reduction)
        self.tail = _conv(width, 3, 3)

    def forward(self, x: Tensor, features: Sequence[str] = ()) -> MPRNetOutput:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], and what else the network gives.

        Args:
            x: the degraded image.
            features: which of `FEATURES` to return; level 1 has the (padded) image's size, level 3 a quarter of it.

        Raises:
            ValueError: a feature of that name does not exist.
        """
        if unknown := set(features) - set(self.FEATURES):
            raise ValueError(f"MPRNet has no features {sorted(unknown)}; it has {', '.join(self.FEATURES)}.")
        height, width = x.shape[-2:]
        whole = pad_to_multiple(x, 8)
        halves = self._split(whole, 2)

        encoded1 = self.encoders[0](self.shallow[0](self._split(halves, 3), self.slope), self.slope)
        encoded1 = [self._join(level, 3) for level in encoded1]
        decoded1 = self.decoders[0](encoded1, self.slope)
        attended, restored1 = self.attentions[0](decoded1[0], halves)

        fused = self.fusions[0](torch.cat([self.shallow[1](halves, self.slope), attended], 1))
        encoded2 = [self._join(level, 2) for level in self.encoders[1](fused, self.slope, encoded1, decoded1)]
        decoded2 = self.decoders[1](encoded2, self.slope)
        attended, restored2 = self.attentions[1](decoded2[0], whole)

        fused = self.fusions[1](torch.cat([self.shallow[2](whole, self.slope), attended], 1))
        refined = self.orsnet(fused, self.slope, encoded2, decoded2)
        restored3 = self.tail(refined) + whole

        levels = {"stage3.orsnet": refined}
        parts = {
            "stage1.encoder": encoded1,
            "stage1.decoder": decoded1,
            "stage2.encoder": encoded2,
            "stage2.decoder": decoded2,
        }
        for part, tensors in parts.items():
            levels |= {f"{part}.level{i}": tensor for i, tensor in enumerate(tensors, 1)}
        wanted = {name: levels[name] for name in features}
        for name in wanted:
            if name.startswith("stage1"):
                wanted[name] = self._join(wanted[name], 2)
        stages = tuple(image[..., :height, :width] for image in (self._join(restored1, 2), restored2, restored3))
        return MPRNetOutput(stages[-1], stages, wanted)

    def _split(self, x: Tensor, dim: int) -> Tensor:
        return _split(x, dim) if self.divides_image else x

    def _join(self, x: Tensor, dim: int) -> Tensor:
        return _join(x, dim) if self.divides_image else x
