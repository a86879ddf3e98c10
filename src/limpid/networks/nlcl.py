"""NLCL's generator: residual blocks with instance normalisation, at full resolution and without a global skip."""

from __future__ import annotations

from torch import Tensor, nn

from limpid.ranges import Channels, Layers


def _conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


class NormalisedBlock(nn.Module):
    """conv, instance norm, ReLU, conv, instance norm, skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv3x3(channels, channels),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            _conv3x3(channels, channels),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        refined: Tensor = self.body(features) + features
        return refined


class NLCLGenerator(nn.Module):
    """A generator of non-local contrastive learning (Ye et al., CVPR 2022): 316,195 parameters.

    The method trains two of them, one for the background (which is the derained image) and one for the rain layer; a
    rainy image is the sum of both. Only the background's is needed to restore.

    Args:
        channels: channels throughout.
        blocks: residual blocks.
    """

    def __init__(self, channels: Channels = 32, blocks: Layers = 16) -> None:
        super().__init__()
        self.head = _conv3x3(3, channels)
        self.blocks = nn.Sequential(*[NormalisedBlock(channels) for _ in range(blocks)])
        self.tail = nn.Sequential(
            _conv3x3(channels, channels),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            _conv3x3(channels, channels),
            _conv3x3(channels, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape, not clamped; inside it is [-1, 1]."""
        layer: Tensor = self.tail(self.blocks(self.head(2 * x - 1)))
        return (layer + 1) / 2
