"""Residual-in-residual dense blocks (ESRGAN, Wang et al., ECCV Workshops 2018, section 3.1): parts of networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SLOPE = 0.2
_SHARE = 0.2  #: of what a block finds that is added to what it was given
_CONVOLUTIONS = 5


class DenseBlock(nn.Module):
    """``x + 0.2 f(x)``: five 3x3 convolutions, each of which sees `x` and all that those before it gave.

    Args:
        channels: in and out.
        growth: what each convolution but the last adds.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        widths = [*[growth] * (_CONVOLUTIONS - 1), channels]
        convolutions = [nn.Conv2d(channels + i * growth, width, 3, padding=1) for i, width in enumerate(widths)]
        self.convolutions = nn.ModuleList(convolutions)

    def forward(self, x: Tensor) -> Tensor:
        """Refine `x` `(N, channels, H, W)`."""
        features = x
        for convolution in list(self.convolutions)[:-1]:
            added = F.leaky_relu(convolution(features), _SLOPE)
            features = torch.cat([features, added], 1)
        found: Tensor = self.convolutions[-1](features)
        return x + _SHARE * found


class RRDB(nn.Module):
    """``x + 0.2 f(x)`` around three dense blocks: 719,424 parameters with 64 channels and a growth of 32.

    Args:
        channels: see `DenseBlock`.
        growth: likewise.
    """

    def __init__(self, channels: int = 64, growth: int = 32) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(channels, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        """Refine `x` `(N, channels, H, W)`."""
        found: Tensor = self.blocks(x)
        return x + _SHARE * found
