"""FFA-Net, and with it the student of Rich Feature Distillation: groups of attention blocks at full resolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limpid.networks.channels_last import GlobalAvgPool, scale_pixels
from limpid.ranges import Channels, FiniteFloat, Layers, PositiveFloat


def _conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


class ChannelAttention(nn.Module):
    """One weight in (0, 1) per channel, from the image's mean of each channel (FFA-Net, section 3.1)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.weight = nn.Sequential(
            GlobalAvgPool(),
            nn.Conv2d(channels, channels // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Scale the channels of `features` `(N, C, H, W)`."""
        return features * self.weight(features)


class PixelAttention(nn.Module):
    """One weight in (0, 1) per pixel, shared by all channels (FFA-Net, section 3.1)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.weight = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(channels // reduction, 1, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Scale the pixels of `features` `(N, C, H, W)`."""
        return scale_pixels(features, self.weight(features))


class AttentionBlock(nn.Module):
    """conv, ReLU, local skip, conv, channel attention, pixel attention, skip (FFA-Net, figure 3)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels, channels)
        self.conv2 = _conv3x3(channels, channels)
        self.channel_attention = ChannelAttention(channels, reduction)
        self.pixel_attention = PixelAttention(channels, reduction)

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        inner = self.conv1(features).relu() + features
        return self.pixel_attention(self.channel_attention(self.conv2(inner))) + features


class Group(nn.Module):
    """Attention blocks, one convolution, and a skip around them all."""

    def __init__(self, channels: int, blocks: int, reduction: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*[AttentionBlock(channels, reduction) for _ in range(blocks)])
        self.conv = _conv3x3(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        return self.conv(self.blocks(features)) + features


class GroupFusion(nn.Module):
    """The sum of the groups' outputs, weighted per group and channel by channel attention over all of them."""

    def __init__(self, channels: int, groups: int, hidden: int) -> None:
        super().__init__()
        self.groups = groups
        self.mean = GlobalAvgPool()
        self.weight = nn.Sequential(
            nn.Identity(),  # keeps the names of the weights
            nn.Conv2d(groups * channels, hidden, 1),
            nn.ReLU(),
            nn.Conv2d(hidden, groups * channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, outputs: Sequence[Tensor]) -> Tensor:
        """Fuse `groups` tensors `(N, C, H, W)` into one."""
        # The mean of each channel is taken before the groups are joined: joined maps would be copied for it alone.
        means = torch.cat([self.mean(output) for output in outputs], 1)
        weights = self.weight(means).chunk(self.groups, 1)
        fused = weights[0] * outputs[0]
        for weight, output in zip(weights[1:], outputs[1:], strict=True):
            fused = fused + weight * output
        return fused


class FFANet(nn.Module):
    """Feature Fusion Attention Network (Qin et al., AAAI 2020).

    With dim 64, 3 groups and 12 blocks it has 2,870,812 parameters, the FFA-Net of Rich Feature Distillation's
    tables 5 and 9 (its authors' release has 19 blocks: 4,455,913). With dim 16, 3 groups and 6 blocks it is
    that paper's student (96,007 parameters).

    Args:
        dim: channels throughout.
        groups: number of groups in sequence; their outputs are fused by attention.
        blocks: attention blocks in each group.
        reduction: how much the attentions narrow inside; the fusion narrows to `dim // fusion_reduction`.
        fusion_reduction: see `reduction`.
        mean: per-channel mean taken from the input before anything else, or None. The global skip then adds
            the normalised input, as the public code of FFA-Net and of the student does.
        std: per-channel deviation the input is divided by; goes with `mean`.
    """

    def __init__(
        self,
        dim: Channels = 64,
        groups: Layers = 3,
        blocks: Layers = 12,
        reduction: Layers = 8,
        fusion_reduction: Layers = 16,
        mean: Sequence[FiniteFloat] | None = None,
        std: Sequence[PositiveFloat] | None = None,
    ) -> None:
        super().__init__()
        if (mean is None) != (std is None):
            raise ValueError("FFANet takes mean and std together or neither.")
        self.head = _conv3x3(3, dim)
        self.groups = nn.ModuleList(Group(dim, blocks, reduction) for _ in range(groups))
        self.fusion = GroupFusion(dim, groups, dim // fusion_reduction)
        self.pixel_attention = PixelAttention(dim, reduction)
        self.tail = nn.Sequential(_conv3x3(dim, dim), _conv3x3(dim, 3))
        self.normalises = mean is not None
        for name, values in (("mean", mean or [0.0] * 3), ("std", std or [1.0] * 3)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape; it is not clamped."""
        if self.normalises:
            x = (x - self.get_buffer("mean")) / self.get_buffer("std")
        features = self.head(x)
        outputs: list[Tensor] = []
        for group in self.groups:
            features = group(features)
            outputs.append(features)
        return self.tail(self.pixel_attention(self.fusion(outputs))) + x
