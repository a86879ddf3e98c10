"""SRResNet: sixteen residual blocks in the small image, then enlargement by pixel shuffles."""

from __future__ import annotations

from torch import Tensor, nn

from limpid.errors import UserError
from limpid.ranges import Channels, Layers, NonNegativeFloat


def _conv(channels_in: int, channels_out: int, kernel_size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel_size, padding=kernel_size // 2, bias=False)


class ResidualBlock(nn.Module):
    """conv, instance normalisation, LeakyReLU, conv, instance normalisation, skip."""

    def __init__(self, channels: int, slope: float) -> None:
        super().__init__()
        self.conv1 = _conv(channels, channels)
        self.norm1 = nn.InstanceNorm2d(channels, affine=True)
        self.activation = nn.LeakyReLU(slope)
        self.conv2 = _conv(channels, channels)
        self.norm2 = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        inner = self.activation(self.norm1(self.conv1(features)))
        refined: Tensor = self.norm2(self.conv2(inner)) + features
        return refined


class SRResNet(nn.Module):
    """The generator of SRGAN (Ledig et al., CVPR 2017, figure 4), in the form that rfd table 1 counts.

    At 4x it has 1,546,752 parameters (the table's 1.5M): no biases, instance normalisation with affine weights and
    LeakyReLU, as the widely used PyTorch port has them. The paper itself has batch normalisation and PReLU.

    Parts in order, and their names in that port: `head` (9x9; conv_input), `blocks` (residual; norm1 and norm2 are
    bn1 and bn2), `middle` (convolution and normalisation, closed by a skip from the head; conv_mid, bn_mid),
    `upsample` (per doubling a convolution, a pixel shuffle, an activation; upscale4x), `tail` (9x9; conv_output).

    Args:
        scale: how many times the image is enlarged, a power of two.
        channels: channels throughout.
        blocks: residual blocks.
        slope: of LeakyReLU below zero.

    Raises:
        UserError: the scale is not 2, 4, 8, ...
    """

    def __init__(
        self, scale: Layers = 4, channels: Channels = 64, blocks: Layers = 16, slope: NonNegativeFloat = 0.2
    ) -> None:
        super().__init__()
        doublings = scale.bit_length() - 1
        if scale < 2 or scale != 2**doublings:
            raise UserError(f"SRResNet enlarges by powers of two, and scale={scale} is none; use 2, 4 or 8.")
        self.scale = scale
        self.head = nn.Sequential(_conv(3, channels, 9), nn.LeakyReLU(slope))
        self.blocks = nn.Sequential(*[ResidualBlock(channels, slope) for _ in range(blocks)])
        self.middle = nn.Sequential(_conv(channels, channels), nn.InstanceNorm2d(channels, affine=True))
        double: list[nn.Module] = []
        for _ in range(doublings):
            double += [_conv(channels, 4 * channels), nn.PixelShuffle(2), nn.LeakyReLU(slope)]
        self.upsample = nn.Sequential(*double)
        self.tail = _conv(channels, 3, 9)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge `x`, `(N, 3, H, W)` in [0, 1], to `(N, 3, scale H, scale W)`, not clamped."""
        features = self.head(x)
        enlarged: Tensor = self.tail(self.upsample(self.middle(self.blocks(features)) + features))
        return enlarged
