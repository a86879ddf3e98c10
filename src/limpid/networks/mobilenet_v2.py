"""MobileNetV2 up to 1/32 of the size: features at five sizes, with the names that DeblurGAN-v2's release gives them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from limpid.networks.densenet import affine_norm
from limpid.networks.inception_resnet_v2 import scaled

#: Expansion, channels, number and first stride of the inverted residuals, as far as they are needed (Sandler et al.,
#: CVPR 2018, table 2).
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2))
#: Before which of the layers each of the five outputs is taken: the last is after the second of three of 160 channels.
ENDS = (2, 4, 7, 11, 16)


class InvertedResidual(nn.Module):
    """A 1x1 convolution that widens, a 3x3 one of each channel by itself, and a 1x1 one that narrows.

    Sandler et al., CVPR 2018, figure 4d; the sum where the shape is kept.

    Args:
        channels_in: of the input.
        channels_out: of the output.
        expansion: how many times wider the middle is; with 1 the first convolution is left out.
        stride: of the middle.
        norm: see `affine_norm`.
    """

    def __init__(self, channels_in: int, channels_out: int, expansion: int, stride: int, norm: str) -> None:
        super().__init__()
        hidden = expansion * channels_in
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [nn.Conv2d(channels_in, hidden, 1, bias=False), affine_norm(norm, hidden), nn.ReLU6(inplace=True)]
        layers += [nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), affine_norm(norm, hidden)]
        layers += [nn.ReLU6(inplace=True), nn.Conv2d(hidden, channels_out, 1, bias=False)]
        self.conv = nn.Sequential(*layers, affine_norm(norm, channels_out))
        self.sums = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """`(N, channels_out, h, w)`."""
        features: Tensor = self.conv(x)
        return x + features if self.sums else features


class MobileNetV2(nn.Module):
    """MobileNetV2 without its last three layers: 1,017,792 parameters. Images are in [-1, 1].

    Args:
        width: share of the channels of each layer; 1 is what published weights fit.
        stages: see `STAGES`.
        norm: ``instance``, each image's own statistics, or ``batch``.

    Raises:
        ValueError: there is no normalisation of that name.
    """

    def __init__(self, width: float = 1.0, stages: Sequence[Sequence[int]] = STAGES, norm: str = "instance") -> None:
        super().__init__()
        channels = scaled(32, width)
        stem = [nn.Conv2d(3, channels, 3, 2, 1, bias=False), affine_norm(norm, channels), nn.ReLU6(inplace=True)]
        layers: list[nn.Module] = [nn.Sequential(*stem)]
        widths = [channels]
        for expansion, wide, count, first_stride in stages:
            after = scaled(wide, width)
            for number in range(count):
                stride = first_stride if number == 0 else 1
                layers.append(InvertedResidual(widths[-1], after, expansion, stride, norm))
                widths.append(after)
        self.features = nn.Sequential(*layers[: ENDS[-1]])
        #: Channels of the five outputs.
        self.channels = tuple(widths[end - 1] for end in ENDS)
        self.smallest = 128  #: so that the last output has 16 positions: of fewer, statistics make rounding visible

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size of `x` `(N, 3, H, W)` in [-1, 1], multiples of 32."""
        outputs: list[Tensor] = []
        for number, layer in enumerate(self.features, 1):
            x = layer(x)
            if number in ENDS:
                outputs.append(x)
        return outputs
