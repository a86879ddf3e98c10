"""SSID: an encoder-decoder of residual blocks whose widest scales share their blocks on the way down and up.

Li, Dong, Ren, Pan, Gao, Sang & Yang, "Semi-supervised image dehazing", IEEE TIP 29, 2020.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from limpid.networks.padding import pad_to_multiple
from limpid.networks.patchgan import gaussian_weights
from limpid.networks.resnet_generator import ResidualBlock
from limpid.ranges import Channels, Layers, NonNegativeFloat

_SLOPE = 0.2


class SSIDNet(nn.Module):
    """What is added to the hazy image: 9,231,491 parameters, without normalisation.

    The residual blocks of the full size and of the half are the same modules on the way down and on the way up.

    Args:
        channels: at full size; twice and four times as many at the half and the quarter.
        blocks: residual blocks at full size, at the half and at the quarter.
        weight_std: deviation of the initial weights.
    """

    largest_megapixels = 0.5  # in one pass: 0.6 hold 2.1 GB

    def __init__(
        self,
        channels: Channels = 64,
        blocks: tuple[Layers, Layers, Layers] = (3, 3, 6),
        weight_std: NonNegativeFloat = 0.02,
    ) -> None:
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels]
        self.head = nn.Sequential(nn.Conv2d(3, widths[0], 7, padding=3), nn.LeakyReLU(_SLOPE, inplace=True))
        self.down_half, self.down_quarter = (
            nn.Sequential(nn.Conv2d(fine, coarse, 3, stride=2, padding=1), nn.LeakyReLU(_SLOPE, inplace=True))
            for fine, coarse in itertools.pairwise(widths)
        )
        self.up_half, self.up_full = (
            nn.Sequential(nn.ConvTranspose2d(coarse, fine, 4, stride=2, padding=1), nn.ReLU(inplace=True))
            for fine, coarse in ((widths[1], widths[2]), (widths[0], widths[1]))
        )
        self.at_full, self.at_half, self.at_quarter = (
            _residual_blocks(width, count) for width, count in zip(widths, blocks, strict=True)
        )
        self.tail = nn.Sequential(nn.Conv2d(widths[0], 3, 7, padding=3), nn.Tanh())
        gaussian_weights(self, weight_std)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape and range; inside it is [-1, 1]."""
        height, width = x.shape[-2:]
        hazy = 2 * pad_to_multiple(x, 4, least=8) - 1
        a = self.at_full(self.head(hazy))
        b = self.at_half(self.down_half(a))
        c = self.up_half(self.at_quarter(self.down_quarter(b))) + b
        e = self.up_full(self.at_half(c)) + a
        clear = (hazy + self.tail(self.at_full(e))).clamp(-1, 1)
        return (0.5 * clear + 0.5)[..., :height, :width]


def _residual_blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width, norm="none") for _ in range(count)))
