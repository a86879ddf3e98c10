"""OP-Attention (OWAN): parallel operations whose outputs are weighted by attention to the image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limpid.networks.channels_last import GlobalAvgPool
from limpid.ranges import Channels, Layers


class Float32Conv2d(nn.Conv2d):
    """A convolution that on a CPU computes in float32, also under autocast.

    In bf16 and channels_last, oneDNN's gradient for the weights of a dilated depthwise convolution now and then takes
    in memory that nobody wrote, and is not a number (7x7, dilation 2: 26 of 150 tries among freed NaNs, torch 2.13).
    """

    def forward(self, x: Tensor) -> Tensor:
        """What `nn.Conv2d` gives."""
        if x.device.type != "cpu":
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x if x.dtype == torch.float64 else x.float())


def _depthwise(channels: int, kernel_size: int, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (kernel_size // 2)
    kind = nn.Conv2d if dilation == 1 else Float32Conv2d
    return kind(channels, channels, kernel_size, 1, padding, dilation, groups=channels, bias=False)


def _pointwise(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 1, bias=False)


def _separable(channels: int, kernel_size: int) -> nn.Sequential:
    half = (_depthwise(channels, kernel_size), _pointwise(channels, channels))
    other_half = (_depthwise(channels, kernel_size), _pointwise(channels, channels))
    return nn.Sequential(*half, nn.ReLU(), *other_half)


def _dilated(channels: int, kernel_size: int) -> nn.Sequential:
    return nn.Sequential(_depthwise(channels, kernel_size, dilation=2), _pointwise(channels, channels))


class DepthwiseResBlock(nn.Module):
    """A residual block of depthwise convolutions, with a ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _depthwise(channels, 3)
        self.conv2 = _depthwise(channels, 3)

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        return (self.conv2(self.conv1(features).relu()) + features).relu()


class OperationLayer(nn.Module):
    """Eight operations in parallel, each scaled by its weight, concatenated and mixed by a 1 x 1 convolution.

    In order: separable convolutions of side 1, 3, 5, 7; convolutions of side 3, 5, 7 with dilation 2; a 3 x 3 mean.
    """

    OPERATIONS = 8

    def __init__(self, channels: int) -> None:
        super().__init__()
        operations: list[nn.Module] = [_separable(channels, side) for side in (1, 3, 5, 7)]
        operations += [_dilated(channels, side) for side in (3, 5, 7)]
        operations.append(nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False))
        self.operations = nn.ModuleList(operations)
        self.mix = _pointwise(channels * self.OPERATIONS, channels)

    def forward(self, features: Tensor, weights: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)` by the operations' `weights` `(N, 8)`."""
        outputs = [
            operation(features) * weight[:, None, None, None]
            for operation, weight in zip(self.operations, weights.unbind(1), strict=True)
        ]
        return (self.mix(torch.cat(outputs, 1)).relu() + features).relu()


class OperationGroup(nn.Module):
    """Operation layers in sequence, whose weights all come from the mean of each channel at the group's entry."""

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        weights = steps * OperationLayer.OPERATIONS
        self.attention = nn.Sequential(nn.Linear(channels, 2 * weights), nn.ReLU(), nn.Linear(2 * weights, weights))
        self.mean = GlobalAvgPool()
        self.entry = _pointwise(channels, channels)
        self.layers = nn.ModuleList(OperationLayer(channels) for _ in range(steps))

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        scores = self.attention(self.mean(features).flatten(1)).unflatten(
            1, (len(self.layers), OperationLayer.OPERATIONS)
        )
        features = self.entry(features).relu()
        for layer, weights in zip(self.layers, scores.softmax(-1).unbind(1), strict=True):
            features = layer(features, weights)
        return features


class OPAttention(nn.Module):
    """Operation-wise attention network (Suganuma et al., CVPR 2019, section 3): 391,456 parameters.

    A convolution and depthwise residual blocks; groups of operation layers with attention; a last convolution,
    without a skip from the input. No convolution has a bias; the attention's linear layers do.

    Beside its authors' MIT release: `head.0` is `FEB.0`, `head.i` is `FEB.i`; `groups.i.attention.k` is
    `layers.(2i).ca_fc.k`; `groups.i.entry` is `layers.(2i+1).preprocess.op.0`; `groups.i.layers.j.operations.k` is
    `layers.(2i+1)._ops.j._ops.k.op`; `groups.i.layers.j.mix` is `layers.(2i+1)._ops.j._out.0`; `tail` is `conv2`.

    Args:
        channels: channels throughout.
        groups: groups of operation layers.
        steps: operation layers in each group.
        head_blocks: residual blocks before them.
    """

    def __init__(
        self, channels: Channels = 16, groups: Layers = 10, steps: Layers = 4, head_blocks: Layers = 4
    ) -> None:
        super().__init__()
        blocks = [DepthwiseResBlock(channels) for _ in range(head_blocks)]
        self.head = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), *blocks)
        self.groups = nn.Sequential(*[OperationGroup(channels, steps) for _ in range(groups)])
        self.tail = nn.Conv2d(channels, 3, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape; it is not clamped."""
        restored: Tensor = self.tail(self.groups(self.head(x)))
        return restored
