"""The plain residual block that several networks are built of."""

from __future__ import annotations

from torch import Tensor, nn


class ResBlock(nn.Module):
    """conv, ReLU, conv, skip: no normalisation, and nothing after the sum.

    Args:
        channels: channels throughout.
        kernel_size: odd side of both convolutions.
    """

    def __init__(self, channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        refined: Tensor = self.conv2(self.conv1(features).relu()) + features
        return refined
