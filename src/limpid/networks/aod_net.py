"""AOD-Net: five small convolutions estimate one map K, and the clear image is K x - K + 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limpid.ranges import Channels, FiniteFloat


class AODNet(nn.Module):
    """All-in-One Dehazing Network (Li et al., ICCV 2017, section 3): 1,761 parameters.

    The transmission and the airlight are folded into one variable K(x), and the image is recovered as
    ``J = relu(K x - K + b)`` with b = 1 (equation 5 there).

    Args:
        channels: channels of each of the five convolutions.
        bias: the constant b of the recovery.
    """

    def __init__(self, channels: Channels = 3, bias: FiniteFloat = 1.0) -> None:
        super().__init__()
        self.bias = bias
        self.conv1 = nn.Conv2d(3, channels, 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * channels, channels, 5, padding=2)
        self.conv4 = nn.Conv2d(2 * channels, channels, 7, padding=3)
        self.conv5 = nn.Conv2d(4 * channels, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape; it is not bounded above."""
        k1 = self.conv1(x).relu()
        k2 = self.conv2(k1).relu()
        k3 = self.conv3(torch.cat([k1, k2], 1)).relu()
        k4 = self.conv4(torch.cat([k2, k3], 1)).relu()
        k = self.conv5(torch.cat([k1, k2, k3, k4], 1)).relu()
        return (k * x - k + self.bias).relu()
