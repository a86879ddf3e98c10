"""DID-MDN: how dense the rain is decides how it is taken away, by streams of three sizes of kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.densenet import DenseLayer, ResizingTransition, affine_norm
from limpid.networks.padding import pad_to_multiple
from limpid.networks.pyramid_pooling import PyramidPooling
from limpid.ranges import Channels, Pixels

_SLOPE = 0.2
#: Densities of rain, from which labels are counted.
LEVELS = ("heavy", "medium", "light")
#: The label that the residual network is given where nobody knows the density.
HEAVY = LEVELS.index("heavy")
#: By which a transition changes the size.
_DOWN, _UP = 0.5, 2
_SAME = 1
#: Growths of the six blocks of a stream, and the channels after each, in the first stream and in the others.
_GROWTHS = ((5, 8, 4, 4, 8, 8), (13, 16, 16, 16, 8, 8))
_DERAIN_OUTPUTS = ((4, 12, 12, 12, 4, 4), (8, 16, 16, 16, 8, 4))
_RESIDUAL_OUTPUTS = ((4, 12, 12, 12, 4, 2), (8, 16, 16, 16, 8, 2))
#: How often an image repeats what the first block of a stream shows of it.
_COPIES = 5


class DIDMDNOutput(NamedTuple):
    """What DID-MDN finds in rainy images.

    Attributes:
        restored: the clear image, `(N, 3, H, W)` in [0, 1].
        rain: what the rain adds to the image, `(N, 3, H, W)`, before it is refined.
    """

    restored: Tensor
    rain: Tensor


class Stream(nn.Module):
    """Six dense blocks with a transition after each; the fourth and the fifth are given the second and the first.

    Args:
        kernel: side of the blocks' convolutions.
        growths: channels that each block adds.
        outputs: channels after each transition.
        scales: by which each transition changes the size.
        join: ``cat`` or ``sum``: how earlier features are given.
        norm: see `DIDMDN`.
    """

    def __init__(
        self,
        kernel: int,
        growths: Sequence[int],
        outputs: Sequence[int],
        scales: Sequence[float],
        join: str,
        norm: str,
    ) -> None:
        super().__init__()
        self.join = join
        self.levels = nn.ModuleList()
        channels = 3
        for number, (growth, after, scale) in enumerate(zip(growths, outputs, scales, strict=True), 1):
            block = DenseLayer(channels, growth, norm, kernel=kernel)
            self.levels.append(nn.Sequential(block, ResizingTransition(channels + growth, after, norm, scale)))
            given = {4: outputs[1], 5: outputs[0]}.get(number, 0)
            channels = after + (given if join == "cat" else 0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The features after the last block and after the first, of `x` `(N, 3, H, W)`."""
        first = y = self.levels[0](x)
        second = y = self.levels[1](y)
        y = self.levels[3](self.levels[2](y))
        y = self._joined(self.levels[4](self._joined(y, second)), first)
        return self.levels[5](y), first

    def _joined(self, y: Tensor, earlier: Tensor) -> Tensor:
        return torch.cat([y, earlier], 1) if self.join == "cat" else y + earlier


class ResidualNet(nn.Module):
    """What rain adds to an image, found with a density of the rain: 103,609 parameters.

    Args:
        features: channels before the pyramid.
        norm: see `DIDMDN`.
    """

    copies = 4  # of the label's plane

    def __init__(self, features: int, norm: str) -> None:
        super().__init__()
        kernels = (3, 3, 3)
        scales = (
            (_SAME,) * 6,
            (_DOWN, *(_SAME,) * 4, _UP),
            (_DOWN, _DOWN, _SAME, _SAME, _UP, _UP),
        )
        self.streams = _streams(kernels, _RESIDUAL_OUTPUTS, scales, "sum", norm)
        self.refine = nn.Conv2d(6 + 3 + self.copies, features, 3, padding=1)
        self.pyramid = PyramidPooling(features)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """The rain `(N, 3, H, W)` in [-1, 1] of `x` `(N, 3, H, W)` in [-1, 1], sides multiples of 8, 32 or more."""
        found = [stream(x)[0] for stream in self.streams]
        planes = _planes(label, x, self.copies)
        features = F.leaky_relu(self.refine(torch.cat([found[0], x, *found[1:], planes], 1)), _SLOPE)
        rain: Tensor = self.pyramid(features)
        return rain


class DerainNet(nn.Module):
    """The rain of an image whose density is known, and the clear image: 365,236 parameters.

    Args:
        refined: channels between the two convolutions that refine the result.
        norm: see `DIDMDN`.
    """

    copies = 8  # of the label's plane

    def __init__(self, refined: int, norm: str) -> None:
        super().__init__()
        kernels = (3, 5, 7)
        scales = (
            (_DOWN, *(_SAME,) * 4, _UP),
            (_DOWN, _DOWN, _SAME, _SAME, _UP, _UP),
            (_DOWN, _DOWN, _DOWN, _UP, _UP, _UP),
        )
        self.streams = _streams(kernels, _DERAIN_OUTPUTS, scales, "cat", norm)
        self.details = nn.ModuleList([nn.Conv2d(outputs[0], 1, 3, padding=1) for outputs in _of_all(_DERAIN_OUTPUTS)])
        width = 3 * (_DERAIN_OUTPUTS[0][-1] + _COPIES + 3) + 3 + self.copies
        self.refine = nn.Conv2d(width, width, 3, padding=1)
        self.pyramid = PyramidPooling(width, channels_each=2)
        self.refine_clear1 = nn.Conv2d(3, refined, 7, padding=3)
        self.refine_clear2 = nn.Conv2d(refined, 3, 3, padding=1)

    def forward(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The rain and the clear image, `(N, 3, H, W)` in [-1, 1], of `x` in [-1, 1]; for sizes see `ResidualNet`."""
        size = x.shape[-2:]
        found: list[Tensor] = []
        for stream, details in zip(self.streams, self.details, strict=True):
            last, first = stream(x)
            detail = F.interpolate(F.leaky_relu(details(first), _SLOPE), size, mode="nearest")
            found.append(torch.cat([last, *[detail] * _COPIES, x], 1))
        planes = _planes(label, x, self.copies)
        features = F.leaky_relu(self.refine(torch.cat([found[0], x, *found[1:], planes], 1)), _SLOPE)
        rain = self.pyramid(features)
        refined = F.leaky_relu(self.refine_clear1(x - rain), _SLOPE)
        return rain, torch.tanh(self.refine_clear2(refined))


class RainClassifier(nn.Module):
    """Scores of the densities of the rain in an image of one size: 65,501,084 parameters, nearly all in one layer.

    Args:
        side: of the image, in pixels, from 7 on.
        stem: channels of the first convolution, with normalisation as VGG-19 has it.
        channels: of the second.
        hidden: units of the first linear layer.
        classes: scores; the first three are those of `LEVELS`, the authors' fourth is not used.
        norm: see `DIDMDN`.
    """

    window = 7

    def __init__(self, side: int, stem: int, channels: int, hidden: int, classes: int, norm: str) -> None:
        super().__init__()
        if side < self.window or classes < len(LEVELS):
            raise ValueError(f"the classifier's side is at least {self.window} and its classes {len(LEVELS)}")
        self.side = side
        self.conv1 = nn.Conv2d(3, stem, 3, padding=1)
        self.norm1 = affine_norm(norm, stem)
        self.conv2 = nn.Conv2d(stem, channels, 3, padding=1)
        self.linear1 = nn.Linear(channels * (side // self.window) ** 2, hidden)
        self.linear2 = nn.Linear(hidden, classes)

    def forward(self, image: Tensor) -> Tensor:
        """The scores `(N, classes)` of `image` `(N, 3, H, W)` in [-1, 1], which is brought to the classifier's size."""
        if image.shape[-2:] != (self.side, self.side):
            image = F.interpolate(image, (self.side, self.side), mode="bilinear", antialias=True)
        features = F.relu(self.norm1(self.conv1(image)))
        features = F.avg_pool2d(F.relu(self.conv2(features)), self.window)
        scores: Tensor = self.linear2(F.relu(self.linear1(features.flatten(1))))
        return scores


class DensityEstimate(nn.Module):
    """The density of the rain: the classifier looks at what the residual network leaves of an image.

    Args:
        residual: takes heavy rain away.
        classifier: gives scores of densities.
    """

    pools_over_image = True  # `limpid.inference` shares its output between tiles

    def __init__(self, residual: ResidualNet, classifier: RainClassifier) -> None:
        super().__init__()
        self.residual = residual
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """The scores `(N, classes, 1, 1)` of `x` `(N, 3, H, W)` in [-1, 1]."""
        side = self.classifier.side
        if x.shape[-2:] != (side, side):
            x = F.interpolate(x, (side, side), mode="bilinear", antialias=True)
        clear = cleared(self.residual, x)
        scores: Tensor = self.classifier(clear)
        return scores[:, :, None, None]


class DIDMDN(nn.Module):
    """Density-aware deraining (Zhang and Patel, CVPR 2018): 65,969,929 parameters in three networks.

    The classifier says how dense the rain is, of what the residual network leaves of the image; the third network takes
    rain of that density away. In training only one of the three learns (see `limpid.models.density_aware`).

    The authors restore in training mode, so that batch normalisation takes the statistics of the image at hand; with
    `norm` ``instance`` each image has its own, in training too, which is the same with the authors' batch of one. With
    ``batch`` they are those of the batch, and outside of training what was learnt.

    Sides are padded to multiples of 8, at least 32, and cut back; the classifier sees the image at its own size.

    Args:
        side: of the image that the classifier sees, in pixels.
        stem: see `RainClassifier`.
        classifier_channels: see `RainClassifier`.
        hidden: see `RainClassifier`.
        classes: see `RainClassifier`.
        residual_features: see `ResidualNet`.
        refined: see `DerainNet`.
        norm: ``instance`` or ``batch``.

    Raises:
        ValueError: there is no normalisation of that name, or the classifier's side or classes are too few.
    """

    def __init__(
        self,
        side: Pixels = 512,
        stem: Channels = 64,
        classifier_channels: Channels = 24,
        hidden: Channels = 512,
        classes: Channels = 4,
        residual_features: Channels = 20,
        refined: Channels = 8,
        norm: str = "instance",
    ) -> None:
        super().__init__()
        residual = ResidualNet(residual_features, norm)
        classifier = RainClassifier(side, stem, classifier_channels, hidden, classes, norm)
        self.density = DensityEstimate(residual, classifier)
        self.derain = DerainNet(refined, norm)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same range."""
        return self.estimate(x).restored

    def estimate(self, x: Tensor) -> DIDMDNOutput:
        """What is found in `x` `(N, 3, H, W)` in [0, 1], with the density that the classifier takes for likeliest."""
        scores = self.density(2 * x - 1)
        label = scores[:, : len(LEVELS), 0, 0].argmax(1)
        return self.without_rain(x, label)

    def without_rain(self, x: Tensor, label: Tensor) -> DIDMDNOutput:
        """What is found in `x` `(N, 3, H, W)` in [0, 1] whose rain has the densities `label` `(N,)`."""
        height, width = x.shape[-2:]
        rain, clear = self.derain(_padded(x), label)
        return DIDMDNOutput((clear[..., :height, :width] + 1) / 2, rain[..., :height, :width] / 2)

    def without_heavy_rain(self, x: Tensor) -> Tensor:
        """`x` `(N, 3, H, W)` in [0, 1] less what the residual network takes for heavy rain."""
        height, width = x.shape[-2:]
        return (cleared(self.density.residual, _padded(x))[..., :height, :width] + 1) / 2


def cleared(residual: ResidualNet, x: Tensor) -> Tensor:
    """`x` `(N, 3, H, W)` in [-1, 1] less the heavy rain that `residual` finds in it; of any size."""
    height, width = x.shape[-2:]
    padded = pad_to_multiple(x, 8, least=32)
    label = torch.full((len(x),), HEAVY, device=x.device)
    return x - residual(padded, label)[..., :height, :width]


def _padded(x: Tensor) -> Tensor:
    return pad_to_multiple(2 * x - 1, 8, least=32)


def _streams(
    kernels: Sequence[int],
    outputs: Sequence[Sequence[int]],
    scales: Sequence[Sequence[float]],
    join: str,
    norm: str,
) -> nn.ModuleList:
    parts = zip(kernels, _of_all(_GROWTHS), _of_all(outputs), scales, strict=True)
    return nn.ModuleList([Stream(kernel, growths, after, scale, join, norm) for kernel, growths, after, scale in parts])


def _of_all(two: Sequence[Sequence[int]]) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """What the three streams have, of which the last two are alike."""
    return two[0], two[1], two[1]


def _planes(label: Tensor, like: Tensor, copies: int) -> Tensor:
    """`(N, copies, H, W)`: the number of each image's density at every pixel."""
    return label.to(like.dtype).view(-1, 1, 1, 1).expand(-1, copies, *like.shape[-2:])
