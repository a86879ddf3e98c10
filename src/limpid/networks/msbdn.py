"""MSBDN-DFF: a U-Net whose decoder boosts, and whose every level is corrected by the levels before it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.padding import pad_to_multiple
from limpid.ranges import Channels, Layers


def _conv(channels_in: int, channels_out: int, kernel_size: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel_size, stride, padding=kernel_size // 2, padding_mode="reflect")


class ResidualBlock(nn.Module):
    """conv, PReLU, conv, a tenth of it, skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels, channels)
        self.conv2 = _conv(channels, channels)
        self.activation = nn.PReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        refined: Tensor = 0.1 * self.conv2(self.activation(self.conv1(features))) + features
        return refined


class ResidualBlocks(nn.Module):
    """Residual blocks, and a skip around them all."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*[ResidualBlock(channels) for _ in range(blocks)])

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        refined: Tensor = self.blocks(features) + features
        return refined


class FeatureFusion(nn.Module):
    """Dense feature fusion: the features are back-projected onto each level before them (MSBDN, section 3).

    For each of those levels, the farthest first, the features are projected there, compared, and the difference is
    projected back and added.

    Args:
        channels: of this level, the one next to it, ... to the farthest; growing ones lie at half the size each.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()

        def projection(channels_in: int, channels_out: int) -> nn.Module:
            kind = nn.Conv2d if channels_out > channels_in else nn.ConvTranspose2d
            return nn.Sequential(kind(channels_in, channels_out, 4, stride=2, padding=1), nn.PReLU())

        self.away = nn.ModuleList(projection(near, far) for near, far in pairwise(channels))
        self.back = nn.ModuleList(projection(far, near) for near, far in pairwise(channels))

    def forward(self, features: Tensor, others: Sequence[Tensor]) -> Tensor:
        """Correct `features` `(N, C, H, W)` by the `others`, the farthest level first."""
        for skipped, other in enumerate(others):
            distance = len(self.away) - skipped
            projected = features
            for step in range(distance):
                projected = self.away[step](projected)
            difference = projected - other
            for step in reversed(range(distance)):
                difference = self.back[step](difference)
            features = features + difference
        return features


class ResidualDenseBlock(nn.Module):
    """Convolutions with ReLU that each see all before them, joined by a 1x1 convolution; no biases; skip.

    Args:
        channels: of the features, and of what each convolution adds.
        layers: how many there are.
    """

    def __init__(self, channels: int, layers: int = 4) -> None:
        super().__init__()
        self.dense = nn.ModuleList(
            nn.Conv2d(channels * (k + 1), channels, 3, padding=1, bias=False) for k in range(layers)
        )
        self.join = nn.Conv2d(channels * (layers + 1), channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        found = features
        for convolution in self.dense:
            found = torch.cat([found, F.relu(convolution(found))], 1)
        refined: Tensor = self.join(found) + features
        return refined


class HalfFusion(nn.Module):
    """One half of the channels is fused with the first halves of other levels; a dense block refines the other half.

    Args:
        channels: as of `FeatureFusion`, of whole levels.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.fusion = FeatureFusion([wide // 2 for wide in channels])
        self.dense = ResidualDenseBlock(channels[0] // 2)

    def forward(self, features: Tensor, others: Sequence[Tensor]) -> Tensor:
        """Correct `features` `(N, C, H, W)` by the `others`, the farthest level first."""
        half = features.shape[1] // 2
        fused = self.fusion(features[:, :half], [other[:, : other.shape[1] // 2] for other in others])
        return torch.cat([fused, self.dense(features[:, half:])], 1)


class MSBDN(nn.Module):
    """Multi-Scale Boosted Dehazing Network with Dense Feature Fusion (Dong et al., CVPR 2020): 31,353,061 parameters.

    The encoder halves the image four times (16 to 256 channels), 18 residual blocks refine the smallest, and the
    decoder strengthens, operates, subtracts: ``j = G(i + up(j')) - up(j')`` (SOS boosting, section 3 there), i from
    the encoder and j' from the level below. Both fuse every level with all before it. What rfd and wmcp call MSBDN is
    this form (v1-1 of the authors' release).

    Two things are the release's and not the paper's: the smallest level enters its blocks doubled, as though it had
    been strengthened by itself, and a residual block adds a tenth of its branch.

    Parts, and their names in the release: `head` (conv_input); for the levels of the encoder `encode.0` ... `encode.3`
    (dense0 ... dense3), `down` (conv2x ... conv16x), `encoder_fusion` (fusion1 ... fusion4); `blocks` (dehaze) at the
    smallest, and `bottleneck`, which gives what the decoder starts from to those who look; for the levels of the
    decoder, smallest first, `up` (convd16x ... convd2x), `decode` (dense_4 ... dense_1), `decoder_fusion` (fusion_4 ...
    fusion_1); `tail` (conv_output). Of a fusion, `away.k` and `back.k` project between the levels k and k + 1 steps
    away: up_convs and down_convs in the encoder, the reverse in the decoder.

    With `residual_dense` it is the form that the release calls RDFF, 28,712,861 parameters, which MAWR (Chen et al.,
    CVPR 2022) trains: only the first half of a level's channels is fused, with the first halves of the levels before,
    and a residual dense block refines the second.

    Args:
        channels: of the first level; each of the four below has twice as many.
        blocks: residual blocks at the smallest level.
        level_blocks: residual blocks of every other level.
        residual_dense: whether one half of the channels goes through residual dense blocks instead of the fusions.
    """

    def __init__(
        self, channels: Channels = 16, blocks: Layers = 18, level_blocks: Layers = 3, residual_dense: bool = False
    ) -> None:
        super().__init__()
        fusion = HalfFusion if residual_dense else FeatureFusion
        width = [channels * 2**level for level in range(5)]
        pairs = list(pairwise(width))
        self.head = _conv(3, width[0], 11)
        self.encode = nn.ModuleList(ResidualBlocks(wide, level_blocks) for wide in width[:-1])
        self.down = nn.ModuleList(_conv(fine, coarse, stride=2) for fine, coarse in pairs)
        self.encoder_fusion = nn.ModuleList(fusion(width[level::-1]) for level in range(1, 5))
        self.blocks = ResidualBlocks(width[-1], blocks)
        self.bottleneck = nn.Identity()
        self.up = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 3, stride=2) for fine, coarse in reversed(pairs))
        self.decode = nn.ModuleList(ResidualBlocks(wide, level_blocks) for wide in width[-2::-1])
        self.decoder_fusion = nn.ModuleList(fusion(width[level:]) for level in reversed(range(4)))
        self.tail = _conv(width[0], 3)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape; it is not clamped."""
        height, width = x.shape[-2:]
        features = self.head(pad_to_multiple(x, 16, least=32))  # a reflection at 1/16 needs two pixels
        fused, skips = [features], []
        for encode, down, fuse in zip(self.encode, self.down, self.encoder_fusion, strict=True):
            features = encode(features)
            skips.append(features)
            features = fuse(down(features), fused)
            fused.append(features)
        features = self.bottleneck(self.blocks(2 * features) - features)
        fused = [features]
        for up, decode, fuse in zip(self.up, self.decode, self.decoder_fusion, strict=True):
            skip = skips.pop()
            below = F.interpolate(up(features), skip.shape[-2:], mode="bilinear", align_corners=False)
            features = fuse(decode(skip + below) - below, fused)
            fused.append(features)
        restored: Tensor = self.tail(features)[..., :height, :width]
        return restored
