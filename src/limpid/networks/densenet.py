"""The beginning of DenseNet-121, as an encoder that gives its features at three sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DenseLayer(nn.Module):
    """``[x, growth more channels]``: a 1x1 and a larger convolution, each after normalisation and ReLU.

    Args:
        channels: of x.
        growth: how many channels are added.
        norm: see `DenseEncoder`.
        squeezed: channels between the two convolutions; None for four times the growth.
        kernel: side of the second convolution, odd.
    """

    def __init__(self, channels: int, growth: int, norm: str, squeezed: int | None = None, kernel: int = 3) -> None:
        super().__init__()
        squeezed = squeezed or 4 * growth
        self.norm1, self.norm2 = affine_norm(norm, channels), affine_norm(norm, squeezed)
        self.conv1 = nn.Conv2d(channels, squeezed, 1, bias=False)
        self.conv2 = nn.Conv2d(squeezed, growth, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`x` `(N, C, H, W)` with the new channels behind it."""
        squeezed = self.conv1(F.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(F.relu(self.norm2(squeezed)))], 1)


class Transition(nn.Module):
    """Half the channels at half the size.

    Args:
        channels: of the input.
        norm: see `DenseEncoder`.
    """

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.norm = affine_norm(norm, channels)
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, C / 2, H / 2, W / 2)`."""
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)


class ResizingTransition(nn.Module):
    """Other channels at half, the same or twice the size, after normalisation and ReLU.

    Args:
        channels_in: of the input.
        channels_out: of the output.
        norm: see `DenseEncoder`.
        scale: 0.5 takes means of 2x2 pixels, 1 keeps the size, 2 repeats each pixel.
    """

    def __init__(self, channels_in: int, channels_out: int, norm: str, scale: float) -> None:
        super().__init__()
        self.norm = affine_norm(norm, channels_in)
        self.conv = nn.ConvTranspose2d(channels_in, channels_out, 1, bias=False)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """`(N, C, scale H, scale W)`."""
        x = self.conv(F.relu(self.norm(x)))
        if self.scale == 2:
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return F.avg_pool2d(x, 2) if self.scale == 0.5 else x


class DenseEncoder(nn.Module):
    """DenseNet (Huang et al., CVPR 2017, table 1) up to its last transition but one: features at 1/8, 1/16 and 1/32.

    Its weights are named as torchvision's are, without `features.`.

    Args:
        stem: channels of the first convolution.
        growth: channels that each layer adds.
        blocks: layers of the dense blocks.
        norm: ``batch``, or ``instance`` with learnt scales: batch normalisation of each image by itself.
    """

    def __init__(
        self, stem: int = 64, growth: int = 32, blocks: Sequence[int] = (6, 12, 24), norm: str = "batch"
    ) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False)
        self.norm0 = affine_norm(norm, stem)
        channels = stem
        self.channels: list[int] = []
        for number, layers in enumerate(blocks, 1):
            dense = nn.Sequential()
            for k in range(1, layers + 1):
                dense.add_module(f"denselayer{k}", DenseLayer(channels, growth, norm))
                channels += growth
            self.add_module(f"denseblock{number}", dense)
            self.add_module(f"transition{number}", Transition(channels, norm))
            channels //= 2
            self.channels.append(channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The features after each block and its transition, of `x` `(N, 3, H, W)`, sides multiples of 32."""
        x = F.max_pool2d(F.relu(self.norm0(self.conv0(x))), 3, stride=2, padding=1)
        features: list[Tensor] = []
        for number in range(1, len(self.channels) + 1):
            x = self.get_submodule(f"transition{number}")(self.get_submodule(f"denseblock{number}")(x))
            features.append(x)
        return features


def affine_norm(norm: str, channels: int, epsilon: float = 1e-5) -> nn.Module:
    """A normalisation with learnt scales and offsets.

    Args:
        norm: ``batch``, or ``instance``: batch normalisation of each image by itself.
        channels: of what is normalised.
        epsilon: what is added to the variance.

    Raises:
        ValueError: it is neither ``batch`` nor ``instance``.
    """
    if norm == "instance":
        return nn.InstanceNorm2d(channels, eps=epsilon, affine=True)
    if norm != "batch":
        raise ValueError(f"norm is {norm!r}, but it must be batch or instance.")
    return nn.BatchNorm2d(channels, eps=epsilon)
