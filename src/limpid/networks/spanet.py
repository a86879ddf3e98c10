"""SPANet: residual blocks guided by a map of the rain, found by scanning the features in four directions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from limpid.ranges import Channels, Layers


class SPANetOutput(NamedTuple):
    """What `SPANet` returns.

    Attributes:
        restored: the image `(N, 3, H, W)`, not clamped.
        attention: the first map of the rain, `(N, 1, H, W)` in (0, 1). It is supervised by a mask of where the rain is.
    """

    restored: Tensor
    attention: Tensor


def scan(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Along the first dimension: ``h_0 = relu(x_0)``, then ``h_i = relu(weight h_{i-1} + bias + x_i)``."""
    if any(isinstance(side, torch.SymInt) for side in x.shape):  # a recorded graph has no loop of Python's
        return _recorded_scan(x, weight, bias)
    first, *others = x.unbind(0)
    states = [first.relu()]
    for step in others:
        states.append(torch.addcmul(step + bias, weight, states[-1]).relu())
    return torch.stack(states)


def _recorded_scan(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`scan` as one node of a graph of `torch.export`, which holds for every length."""
    from torch._higher_order_ops.scan import scan as scan_node

    first = x[:1].relu()
    # A graph for every size takes a side of one pixel for any side, so nothing is broadcast inside the node.
    weight = weight.expand_as(first[0])

    def advance(state: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.addcmul(step, weight, state).relu()
        return state, state.clone()  # a node's outputs must not share memory

    _, others = scan_node(advance, first[0], x[1:] + bias)
    return torch.cat([first, others])


class FourDirectionalIRNN(nn.Module):
    """A recurrent network of one weight and one bias per channel and direction (SPANet, section 4).

    The weights start at `alpha`, the biases at 0. The scans are computed in the dtype of the weights.
    """

    def __init__(self, channels: int, alpha: float = 0.2) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((4, channels), alpha))
        self.bias = nn.Parameter(torch.zeros(4, channels))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scan `features` `(N, C, H, W)` towards the top, the right, the bottom and the left edge."""
        features = features.to(self.weight.dtype)
        # Both ways along an axis go together: the axis first, then the way, then batch, channels and the other axis.
        right, left = self._both_ways(features.permute(3, 0, 1, 2), 1, 3)
        down, up = self._both_ways(features.permute(2, 0, 1, 3), 2, 0)
        return (
            up.permute(1, 2, 0, 3),
            right.permute(1, 2, 3, 0),
            down.permute(1, 2, 0, 3),
            left.permute(1, 2, 3, 0),
        )

    def _both_ways(self, x: Tensor, forth: int, back: int) -> tuple[Tensor, Tensor]:
        ways = [forth, back]
        weight, bias = (p[ways][:, None, :, None] for p in (self.weight, self.bias))
        states = scan(torch.stack([x, x.flip(0)], 1), weight, bias)
        return states[:, 0], states[:, 1].flip(0)


class SpatialAttention(nn.Module):
    """SAM: two rounds of four scans, each direction weighted at each pixel, make one map of the rain."""

    def __init__(self, channels: int, directional: bool) -> None:
        super().__init__()
        self.directions = (
            nn.Sequential(
                nn.Conv2d(channels, channels // 2, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(channels // 2, channels // 2, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(channels // 2, 4, 1),
                nn.Sigmoid(),
            )
            if directional
            else None
        )
        self.entry = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.scans = nn.ModuleList(FourDirectionalIRNN(channels) for _ in range(2))
        self.mixes = nn.ModuleList(nn.Conv2d(4 * channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.exit = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """The map `(N, 1, H, W)` in (0, 1) for `features` `(N, C, H, W)`."""
        weights = [1.0] * 4 if self.directions is None else self.directions(features).split(1, 1)
        x = self.entry(features)
        for irnn, mix in zip(self.scans, self.mixes, strict=True):
            x = mix(torch.cat([way * weight for way, weight in zip(irnn(x), weights, strict=True)], 1))
        attention: Tensor = self.exit(x.relu()).sigmoid()
        return attention


class Bottleneck(nn.Module):
    """1 x 1, dilated 3 x 3 and 1 x 1 convolutions; what they find is scaled by a map before it is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=2, dilation=2, bias=False)
        self.conv3 = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, features: Tensor, attention: Tensor | float = 1.0) -> Tensor:
        """Refine `features` `(N, C, H, W)` where `attention` `(N, 1, H, W)` says so."""
        rain = self.conv3(self.conv2(self.conv1(features).relu()).relu())
        return (rain * attention + features).relu()


class SPANet(nn.Module):
    """Spatial attentive network for deraining (Wang et al., CVPR 2019, section 4): 283,716 parameters.

    A convolution, three residual blocks, four rounds of one shared attention and three blocks whose residuals it
    scales, two residual blocks, a convolution to the image, without a skip from the input. Only the scans and the
    convolutions for the directions have biases.

    The attention to directions acts here as its paper describes. In the authors' BSD release its products are computed
    and thrown away, so that those weights were never trained: with released weights it must be left out
    (``directional=False``). All else corresponds: `head.0` is `conv_in.0`; the blocks are `res_block1` to
    `res_block17` in the order `before`, `guided.0` to `guided.3`, `after`, their convolutions `group1.conv1` to
    `group1.conv3`; `attention.entry`, `.mixes.0`, `.mixes.1`, `.exit` are `SAM1.conv_in`, `.conv2`, `.conv3`,
    `.conv_out`; `attention.scans.i` stacks the `up`, `right`, `down` and `left` of `SAM1.irnn(i+1)`; `tail` is
    `conv_out.0`.

    Args:
        channels: channels throughout.
        head_blocks: residual blocks before the first attention.
        rounds: how often the attention is computed.
        round_blocks: blocks after each attention.
        tail_blocks: residual blocks after the last.
        directional: False leaves the attention to directions out.
    """

    def __init__(
        self,
        channels: Channels = 32,
        head_blocks: Layers = 3,
        rounds: Layers = 4,
        round_blocks: Layers = 3,
        tail_blocks: Layers = 2,
        directional: bool = True,
    ) -> None:
        super().__init__()

        def blocks(count: int) -> list[nn.Module]:
            return [Bottleneck(channels) for _ in range(count)]

        self.head = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.ReLU())
        self.before = nn.Sequential(*blocks(head_blocks))
        self.attention = SpatialAttention(channels, directional)
        self.guided = nn.ModuleList(nn.ModuleList(blocks(round_blocks)) for _ in range(rounds))
        self.after = nn.Sequential(*blocks(tail_blocks))
        self.tail = nn.Conv2d(channels, 3, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> SPANetOutput:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], and what else the network gives."""
        features = self.before(self.head(x))
        attentions: list[Tensor] = []
        for blocks in self.guided:
            attentions.append(self.attention(features))
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                features = block(features, attentions[-1])
        return SPANetOutput(self.tail(self.after(features)), attentions[0])
