"""ZID's three networks, which learn on one hazy image: its clear scene, its transmission and its airlight.

Li, Gou, Gu, Liu, Zhou & Peng, "Zero-shot image dehazing", IEEE TIP 29, 2020. They know of no other image, so that how
they are made (skips, blur, a bottleneck) is what they know of images at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SLOPE = 0.2


class Layers(NamedTuple):
    """What the three networks see in an image.

    Attributes:
        scene: the clear image, `(N, 3, H, W)` in (0, 1).
        transmission: `(N, 1, H, W)` in (0, 1).
        airlight: `(N, 3, H, W)` in (0, 1).
        mean: of the airlight's code, `(N, 100)`.
        log_variance: of the airlight's code, `(N, 100)`.
    """

    scene: Tensor
    transmission: Tensor
    airlight: Tensor
    mean: Tensor
    log_variance: Tensor


class SkipNet(nn.Module):
    """An encoder-decoder with narrow skips, whose output is a likely image before it has learnt anything.

    Args:
        outputs: channels of the output.
        channels: of each level.
        skips: channels of each level's skip; 0 has none.
    """

    def __init__(
        self, outputs: int, channels: Sequence[int] = (8, 16, 32, 64, 128), skips: Sequence[int] = (0, 0, 0, 4, 4)
    ) -> None:
        super().__init__()
        self.level = _Level(3, channels, skips)
        self.head = nn.Conv2d(channels[0], outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, outputs, H, W)` in (0, 1) of `x` `(N, 3, H, W)`; sides are multiples of 2 to the number of levels."""
        return torch.sigmoid(self.head(self.level(x)))


class _Level(nn.Module):
    """One level and those below it: halved, twice convolved, and brought back to the size of the input."""

    def __init__(self, inputs: int, channels: Sequence[int], skips: Sequence[int]) -> None:
        super().__init__()
        own = channels[0]
        self.skip = _convolved(inputs, skips[0], 1) if skips[0] else None
        self.down = nn.Sequential(_convolved(inputs, own, 3, stride=2), _convolved(own, own, 3))
        self.below = _Level(own, channels[1:], skips[1:]) if len(channels) > 1 else None
        joined = skips[0] + (channels[1] if self.below is not None else own)
        self.up = nn.Sequential(nn.BatchNorm2d(joined), _convolved(joined, own, 3), _convolved(own, own, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(x)
        if self.below is not None:
            y = self.below(y)
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=True)
        if self.skip is not None:
            y = torch.cat([self.skip(x), y], 1)
        result: Tensor = self.up(y)
        return result


def _convolved(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, padding_mode="reflect")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(_SLOPE, inplace=True))


class AirlightVAE(nn.Module):
    """A variational autoencoder that has the image in, and the airlight at each pixel out.

    Args:
        height: of the image, a multiple of 16.
        width: of the image, a multiple of 16.
        code: length of the code.
        unused_decoder: make the second decoder too that the released code has and never calls; the paper's count of
            parameters includes it.
    """

    def __init__(self, height: int, width: int, code: int = 100, unused_decoder: bool = True) -> None:
        super().__init__()
        self.grid = (128, height // 16, width // 16)
        values = self.grid[0] * self.grid[1] * self.grid[2]
        self.encoder = nn.Sequential(*(_halved(i, o) for i, o in ((3, 16), (16, 32), (32, 64), (64, 128))))
        self.mean, self.log_variance = nn.Linear(values, code), nn.Linear(values, code)
        self.values = nn.Linear(code, values)
        self.decoder = nn.Sequential(
            *(_doubled(i, o) for i, o in ((128, 64), (64, 32), (32, 16))),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Conv2d(16, 3, 5, padding=2),
            nn.Sigmoid(),
        )
        self.unused = None
        if unused_decoder:
            steps = ((128, 64), (64, 32), (32, 16), (16, 3))
            self.unused = nn.Sequential(*(_normalised(i, o) for i, o in steps)).requires_grad_(False)

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The airlight `(N, 3, H, W)` in (0, 1), and its code's mean and log variance, `(N, code)` each.

        Args:
            x: `(N, 3, H, W)` of the size that it was made for.
            noise: standard normal, `(N, code)`.
        """
        features = self.encoder(x).flatten(1)
        mean, log_variance = self.mean(features), self.log_variance(features)
        code = mean + torch.exp(log_variance / 2) * noise
        return self.decoder(self.values(code).view(-1, *self.grid)), mean, log_variance


def _halved(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2))


def _doubled(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear"), *_normalised(inputs, outputs), nn.ReLU(inplace=True)
    )


def _normalised(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 5, padding=2), nn.BatchNorm2d(outputs))


class ZIDNets(nn.Module):
    """The three networks for images of one size; they are used in training mode alone.

    Args:
        height: of the image, a multiple of 32, at least 64.
        width: of the image, likewise.
        code: see `AirlightVAE`.
        unused_decoder: see `AirlightVAE`.
    """

    def __init__(self, height: int, width: int, code: int = 100, unused_decoder: bool = True) -> None:
        super().__init__()
        self.scene = SkipNet(3)
        self.transmission = SkipNet(1)
        self.airlight = AirlightVAE(height, width, code, unused_decoder)

    def forward(self, x: Tensor, noise: Tensor) -> Layers:
        """The layers of `x` `(N, 3, H, W)` in [0, 1]; `noise` is standard normal, `(N, code)`."""
        return Layers(self.scene(x), self.transmission(x), *self.airlight(x, noise))
