"""The generator of CycleGAN: residual blocks between layers that halve and that double the image.

Zhu et al., ICCV 2017, section 7.2, after Johnson et al., ECCV 2016. Parts of networks: images are in [-1, 1] here.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from limpid.networks.patchgan import gaussian_weights, norm_layer


class ResidualBlock(nn.Module):
    """``x + f(x)``: twice a reflection, a 3x3 convolution and a normalisation, with a ReLU between.

    Args:
        channels: in and out.
        norm: ``instance``, ``batch`` or ``none``.
        dropout: share of the activations after the ReLU that is dropped in training.
    """

    def __init__(self, channels: int, norm: str = "instance", dropout: float = 0.0) -> None:
        super().__init__()
        first, second = (conv_layers(channels, channels, 3, norm) for _ in range(2))
        activation: nn.Module = nn.ReLU(inplace=True)
        if dropout:  # in one layer with the ReLU, so that the names of the weights are the same with and without it
            activation = nn.Sequential(activation, nn.Dropout(dropout))
        self.body = nn.Sequential(*first, activation, *second)

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`, sides of 2 or more."""
        refined: Tensor = features + self.body(features)
        return refined


def conv_layers(channels_in: int, channels_out: int, kernel: int, norm: str = "instance") -> list[nn.Module]:
    """A reflection, a convolution that keeps the size, and the normalisation `norm`, or ``none``."""
    make_norm, bias = norm_layer(norm)
    convolution = [nn.ReflectionPad2d(kernel // 2), nn.Conv2d(channels_in, channels_out, kernel, bias=bias)]
    return convolution if norm == "none" else [*convolution, make_norm(channels_out)]


def halving_layers(channels_in: int, channels_out: int, norm: str = "instance") -> list[nn.Module]:
    """A 3x3 convolution of stride 2, the normalisation `norm` and ReLU."""
    make_norm, bias = norm_layer(norm)
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=bias)
    return [convolution, make_norm(channels_out), nn.ReLU(inplace=True)]


def doubling_layers(channels_in: int, channels_out: int, norm: str = "instance") -> list[nn.Module]:
    """A transposed 3x3 convolution of stride 2, the normalisation `norm` and ReLU."""
    make_norm, bias = norm_layer(norm)
    convolution = nn.ConvTranspose2d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1, bias=bias)
    return [convolution, make_norm(channels_out), nn.ReLU(inplace=True)]


class ResnetGenerator(nn.Module):
    """CycleGAN's generator: 7,837,699 parameters with 6 blocks, 11,378,179 with 9.

    With 9 blocks and six channels in it has 11,387,587, with 9 blocks and batch norm 11,383,427.

    Args:
        channels_in: of what goes in.
        channels_out: of what comes out.
        channels: of the first layer; they double with each halving of the image.
        halvings: how often the image is halved.
        blocks: residual blocks at the smallest size.
        weight_std: deviation of the initial weights.
        norm: ``instance``, ``batch`` or ``none``.
        dropout: see `ResidualBlock`.

    Raises:
        ValueError: there is no normalisation of that name, the dropout is no share, or a number of layers is below 0.
    """

    def __init__(
        self,
        channels_in: int = 3,
        channels_out: int = 3,
        channels: int = 64,
        halvings: int = 2,
        blocks: int = 9,
        weight_std: float = 0.02,
        norm: str = "instance",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if halvings < 0 or blocks < 0:
            raise ValueError(f"it has {halvings} halvings and {blocks} blocks, but there are 0 or more of either")
        widths = [channels * 2**i for i in range(halvings + 1)]
        body = [*conv_layers(channels_in, channels, 7, norm), nn.ReLU(inplace=True)]
        for narrow, wide in itertools.pairwise(widths):
            body += halving_layers(narrow, wide, norm)
        body += [ResidualBlock(widths[-1], norm, dropout) for _ in range(blocks)]
        for wide, narrow in itertools.pairwise(reversed(widths)):
            body += doubling_layers(wide, narrow, norm)
        body += [*conv_layers(channels, channels_out, 7, norm="none"), nn.Tanh()]
        self.body = nn.Sequential(*body)
        self.multiple = 2**halvings
        gaussian_weights(self, weight_std)

    def forward(self, x: Tensor) -> Tensor:
        """The image `(N, channels_out, H, W)` in [-1, 1] made of `x` `(N, channels_in, H, W)`, sides of `multiple`s."""
        image: Tensor = self.body(x)
        return image
