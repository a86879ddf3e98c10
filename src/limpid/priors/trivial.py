"""Rows to compare with that know nothing of the degradation: a method that does not beat them has shown little."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limpid.ranges import Percentile, PositiveFloat


class Identity(nn.Module):
    """The degraded image itself: the rows of tables that print how bad the input is."""

    def forward(self, x: Tensor) -> Tensor:
        """`x`, `(N, 3, H, W)` in [0, 1]."""
        return x


class Gamma(nn.Module):
    """Every value raised to one power; above 1 it darkens, which is much of what removing haze looks like.

    Args:
        exponent: the power.
    """

    def __init__(self, exponent: PositiveFloat = 2.5) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, x: Tensor) -> Tensor:
        """``x ** exponent`` of `(N, 3, H, W)` in [0, 1]."""
        return x.clamp(0, 1) ** self.exponent


class PercentileStretch(nn.Module):
    """The range between two percentiles of an image stretched to [0, 1], and what lies outside cut off.

    Args:
        low: percentile that becomes 0.
        high: percentile that becomes 1.
        per_channel: stretch every channel by its own percentiles, which also removes a colour cast; otherwise
            all three by common ones.
    """

    def __init__(self, low: Percentile = 1.0, high: Percentile = 99.0, per_channel: bool = False) -> None:
        super().__init__()
        self.low = low
        self.high = high
        self.per_channel = per_channel

    def forward(self, x: Tensor) -> Tensor:
        """Stretch `x`, `(N, 3, H, W)` in [0, 1]; an image without contrast is returned as it is."""
        return torch.stack([self._stretch(image) for image in x])

    def _stretch(self, image: Tensor) -> Tensor:
        values = (image.flatten(1) if self.per_channel else image.flatten()[None]).sort(dim=1).values
        low, high = (_percentile(values, percent).view(-1, 1, 1) for percent in (self.low, self.high))
        stretched = (image - low) / (high - low)
        return torch.where(high > low, stretched, image).clamp(0, 1)


def _percentile(ascending: Tensor, percent: float) -> Tensor:
    """A percentile of each sorted row, interpolated linearly (`torch.quantile` refuses large images)."""
    position = (ascending.shape[1] - 1) * percent / 100
    below = int(position)
    above = min(below + 1, ascending.shape[1] - 1)
    return torch.lerp(ascending[:, below], ascending[:, above], position - below)
