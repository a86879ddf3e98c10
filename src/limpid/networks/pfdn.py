"""PFDN: blocks that invert the haze model on features, with two numbers for each channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.channels_last import GlobalAvgPool
from limpid.networks.padding import pad_to_multiple
from limpid.ranges import Channels, Layers


class PhysicsBlock(nn.Module):
    """``x + y g + b``: features y of two convolutions, with a g and a b in [0, 1] for each channel of the image.

    Args:
        channels: of the features.
        reduction: how many times fewer the squeezed channels are.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.mean = GlobalAvgPool()
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.excite = nn.Conv2d(channels // reduction, 2 * channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The block's features, `(N, C, H, W)`."""
        features = self.conv2(F.relu(self.conv1(x)))
        factors = torch.sigmoid(self.excite(F.relu(self.squeeze(self.mean(features)))))
        factor, offset = factors.chunk(2, 1)
        return torch.addcmul(x + offset, features, factor)


class PFDN(nn.Module):
    """Physics-based feature dehazing (Dong and Pan, ECCV 2020), in the form of gUNet's port: 11,268,611 parameters.

    The paper has no code of its own. At a quarter of the size, blocks apply ``J = I g + b`` to features, with factors
    from their means over the image. Inside, images are in [-1, 1]; sides are padded to multiples of 16 and cut back.

    Args:
        channels: of the first layer; there are four times as many at a quarter of the size.
        blocks: how many there are.
        reduction: how many times fewer channels there are between the means and the factors.
    """

    def __init__(self, channels: Channels = 64, blocks: Layers = 9, reduction: Layers = 16) -> None:
        super().__init__()
        wide, widest = 2 * channels, 4 * channels
        self.encoder = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, wide, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(wide, widest, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.blocks = nn.Sequential(*(PhysicsBlock(widest, reduction) for _ in range(blocks)))
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(widest, wide, 2, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(wide, channels, 2, stride=2),
            nn.ReLU(),
            nn.Conv2d(channels, 3, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape and range."""
        height, width = x.shape[-2:]
        features = self.encoder(2 * pad_to_multiple(x, 16) - 1)
        image: Tensor = (self.decoder(self.blocks(features)) + 1) / 2
        return image[..., :height, :width]
