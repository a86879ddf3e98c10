"""The generator of pix2pix: a U-Net that halves the image until one position is left."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limpid.networks.padding import pad_to_multiple
from limpid.networks.patchgan import gaussian_weights, norm_layer
from limpid.ranges import Channels, Layers, NonNegativeFloat, Share


class Pix2pixGenerator(nn.Module):
    """U-Net-256 of pix2pix (Isola et al., CVPR 2017, section 6.1.1): 54,413,955 parameters.

    Every level halves the image; the way back takes each level's features along. With 8 levels images are padded to
    multiples of 256 inside. In evaluation dropout is off and batch norm uses what it learnt, unlike the authors' own
    tests, so that an image's result is always the same and depends on no other image.

    Args:
        channels: of the first level; they double up to eight times as many.
        levels: how often the image is halved.
        norm: ``batch``, ``instance`` or ``none``.
        dropout: share that is dropped on the way back, in the widest levels but the deepest (three where there are 8).
        weight_std: deviation of the initial weights.

    Raises:
        ValueError: there is no normalisation of that name.
    """

    def __init__(
        self,
        channels: Channels = 64,
        levels: Layers = 8,
        norm: str = "batch",
        dropout: Share = 0.5,
        weight_std: NonNegativeFloat = 0.02,
    ) -> None:
        super().__init__()
        make_norm, bias = norm_layer(norm)
        widths: Sequence[int] = [channels * min(2**i, 8) for i in range(levels)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(widths):
            before = [nn.LeakyReLU(0.2)] if i else []
            conv = nn.Conv2d(widths[i - 1] if i else 3, width, 4, stride=2, padding=1, bias=bias)
            after = [make_norm(width)] if 0 < i < levels - 1 else []  # one position has no deviation to divide by
            self.down.append(nn.Sequential(*before, conv, *after))
        for i in reversed(range(1, levels)):
            wide = widths[i] if i == levels - 1 else 2 * widths[i]
            conv_up = nn.ConvTranspose2d(wide, widths[i - 1], 4, stride=2, padding=1, bias=bias)
            drop = [nn.Dropout(dropout)] if 3 < i < levels - 1 else []
            self.up.append(nn.Sequential(nn.ReLU(), conv_up, make_norm(widths[i - 1]), *drop))
        self.tail = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * channels, 3, 4, stride=2, padding=1), nn.Tanh())
        gaussian_weights(self, weight_std)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape and range. Inside it is [-1, 1]."""
        height, width = x.shape[-2:]
        features = 2 * pad_to_multiple(x, 2 ** len(self.down)) - 1
        skips: list[Tensor] = []
        for down in self.down:
            features = down(features)
            skips.append(features)
        features = skips.pop()
        for up in self.up:
            features = torch.cat([up(features), skips.pop()], 1)
        image: Tensor = (self.tail(features) + 1) / 2
        return image[..., :height, :width]
