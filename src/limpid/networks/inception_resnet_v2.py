"""Inception-ResNet-v2 up to its last reduction: features at five sizes. Its weights are named as timm's are.

Szegedy et al., AAAI 2017, figures 14 to 20, as TensorFlow's release has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.densenet import affine_norm

#: Added to the variance before its root.
_EPSILON = 1e-3

#: A convolution of so many channels in and out, of this size and stride and with this padding.
ConvUnitMaker = Callable[..., nn.Module]


class ConvUnit(nn.Module):
    """A convolution without bias, normalisation, ReLU.

    Args:
        channels_in: of the input.
        channels_out: of the output.
        kernel: its side, or height and width.
        stride: of the convolution.
        padding: of the convolution, of both sides or of height and width.
        norm: see `affine_norm`.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
        norm: str = "instance",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=False)
        self.bn = affine_norm(norm, channels_out, _EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, channels_out, h, w)`."""
        return F.relu(self.bn(self.conv(x)))


class Branches(nn.Module):
    """What several branches make of the same features, one behind the other.

    Args:
        branches: in their order; they become `branch0`, `branch1`, ...
    """

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.count = len(branches)
        for number, branch in enumerate(branches):
            self.add_module(f"branch{number}", branch)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, C, h, w)`, C the sum over the branches."""
        return torch.cat([self.get_submodule(f"branch{number}")(x) for number in range(self.count)], 1)


class ResidualBranches(Branches):
    """``ReLU(x + scale * (1x1 convolution of the branches' output))``.

    Args:
        branches: see `Branches`.
        channels_between: of all branches together.
        channels: of x.
        scale: of what is added.
    """

    def __init__(self, branches: Sequence[nn.Module], channels_between: int, channels: int, scale: float) -> None:
        super().__init__(branches)
        self.conv2d = nn.Conv2d(channels_between, channels, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Refine `x` `(N, C, h, w)`."""
        return F.relu(x + self.scale * self.conv2d(super().forward(x)))


class InceptionResNetV2(nn.Module):
    """The layers before the last ten residual blocks of Inception-ResNet-v2: 30,754,272 parameters.

    Images are in [-1, 1], as those that its published weights were trained with. What the residual blocks add is scaled
    by 0.17 in ``repeat`` and by 0.10 in ``repeat_1``, as TensorFlow's release has it.

    Args:
        width: share of the channels of each layer; 1 is what the published weights fit.
        blocks: residual blocks at 1/8 and at 1/16 of the size; likewise (10, 20).
        norm: ``instance``, each image's own statistics, or ``batch``.

    Raises:
        ValueError: there is no normalisation of that name.
    """

    def __init__(self, width: float = 1.0, blocks: Sequence[int] = (10, 20), norm: str = "instance") -> None:
        super().__init__()

        def unit(
            i: int, o: int, kernel: int | tuple[int, int], stride: int = 1, padding: int | tuple[int, int] = 0
        ) -> nn.Module:
            return ConvUnit(i, o, kernel, stride, padding, norm)

        def w(channels: int) -> int:
            return scaled(channels, width)

        self.conv2d_1a = unit(3, w(32), 3, 2)
        self.conv2d_2a = unit(w(32), w(32), 3)
        self.conv2d_2b = unit(w(32), w(64), 3, 1, 1)
        self.maxpool_3a = _pool()
        self.conv2d_3b = unit(w(64), w(80), 1)
        self.conv2d_4a = unit(w(80), w(192), 3)
        self.maxpool_5a = _pool()
        self.mixed_5b = Branches(
            [
                unit(w(192), w(96), 1),
                nn.Sequential(unit(w(192), w(48), 1), unit(w(48), w(64), 5, 1, 2)),
                nn.Sequential(unit(w(192), w(64), 1), unit(w(64), w(96), 3, 1, 1), unit(w(96), w(96), 3, 1, 1)),
                nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), unit(w(192), w(64), 1)),
            ]
        )
        at_eighth = 2 * w(96) + 2 * w(64)
        self.repeat = nn.Sequential(*(_block_35(unit, w, at_eighth) for _ in range(blocks[0])))
        self.mixed_6a = Branches(
            [
                unit(at_eighth, w(384), 3, 2),
                nn.Sequential(unit(at_eighth, w(256), 1), unit(w(256), w(256), 3, 1, 1), unit(w(256), w(384), 3, 2)),
                _pool(),
            ]
        )
        at_sixteenth = 2 * w(384) + at_eighth
        self.repeat_1 = nn.Sequential(*(_block_17(unit, w, at_sixteenth) for _ in range(blocks[1])))
        self.mixed_7a = Branches(
            [
                nn.Sequential(unit(at_sixteenth, w(256), 1), unit(w(256), w(384), 3, 2)),
                nn.Sequential(unit(at_sixteenth, w(256), 1), unit(w(256), w(288), 3, 2)),
                nn.Sequential(unit(at_sixteenth, w(256), 1), unit(w(256), w(288), 3, 1, 1), unit(w(288), w(320), 3, 2)),
                _pool(),
            ]
        )
        at_last = w(384) + w(288) + w(320) + at_sixteenth
        #: Channels of the five outputs.
        self.channels = (w(32), w(64), w(192), at_sixteenth, at_last)
        self.smallest = 128  #: so that the last output has two positions a side

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features at about 1/2, 1/4, 1/8, 1/16 and 1/32 of the size of `x` `(N, 3, H, W)` in [-1, 1].

        Nothing is padded at the first layers and at the poolings, so that they are smaller than these shares: of sides
        of 128 they have 63, 30, 13, 6 and 2.
        """
        first = self.conv2d_1a(x)
        second = self.maxpool_3a(self.conv2d_2b(self.conv2d_2a(first)))
        third = self.maxpool_5a(self.conv2d_4a(self.conv2d_3b(second)))
        fourth = self.mixed_6a(self.repeat(self.mixed_5b(third)))
        return [first, second, third, fourth, self.mixed_7a(self.repeat_1(fourth))]


def scaled(channels: int, width: float) -> int:
    """So large a share of `channels`, rounded, at least 1."""
    return max(1, round(channels * width))


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2)


def _block_35(unit: ConvUnitMaker, w: Callable[[int], int], channels: int) -> nn.Module:
    """A residual block at 1/8 of the size."""
    branches = [
        unit(channels, w(32), 1),
        nn.Sequential(unit(channels, w(32), 1), unit(w(32), w(32), 3, 1, 1)),
        nn.Sequential(unit(channels, w(32), 1), unit(w(32), w(48), 3, 1, 1), unit(w(48), w(64), 3, 1, 1)),
    ]
    return ResidualBranches(branches, 2 * w(32) + w(64), channels, scale=0.17)


def _block_17(unit: ConvUnitMaker, w: Callable[[int], int], channels: int) -> nn.Module:
    """A residual block at 1/16 of the size."""
    branches = [
        unit(channels, w(192), 1),
        nn.Sequential(
            unit(channels, w(128), 1), unit(w(128), w(160), (1, 7), 1, (0, 3)), unit(w(160), w(192), (7, 1), 1, (3, 0))
        ),
    ]
    return ResidualBranches(branches, 2 * w(192), channels, scale=0.10)
