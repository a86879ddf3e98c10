"""DA-Net: a dehazing U-Net for each of two domains, and translators from one domain's haze to the other's.

Shao, Li, Ren, Gao & Sang, "Domain adaptation for image dehazing", CVPR 2020. The domains are made haze and real haze.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.networks.padding import pad_to_multiple
from limpid.networks.patchgan import gaussian_weights
from limpid.networks.resnet_generator import ResnetGenerator
from limpid.ranges import Channels, Layers, NonNegativeFloat, Pixels

_MULTIPLE = 16
_SMALLEST = 96  #: sides below would be narrower, at a sixteenth, than the centre's widest reflection
_DILATIONS = (1, 3, 5)
_SKIPS = (0.1, 0.05, 0.01)  #: weights of the features that pass by, from the coarsest on


class DehazingReturns(NamedTuple):
    """All that DA-Net's U-Net returns.

    Attributes:
        restored: the restored image, `(N, 3, H, W)` in [0, 1].
        stages: images in [0, 1] at an eighth, a quarter and half of the size, and the restored one.
        features: the coarsest of the encoder, `(N, 8 channels, H / 16, W / 16)`, of the image as it was padded.
    """

    restored: Tensor
    stages: tuple[Tensor, ...]
    features: Tensor


class Dilated(nn.Module):
    """A block of the U-Net's centre: three dilated convolutions side by side, one that joins them, and what went in.

    Args:
        channels: in and out.
        activation: the U-Net's.
    """

    def __init__(self, channels: int, activation: nn.Module) -> None:
        super().__init__()
        self.pads = nn.ModuleList([nn.ReflectionPad2d(d) for d in _DILATIONS])
        self.branches = nn.ModuleList(
            [nn.Conv2d(channels, channels, 3, dilation=d, bias=False) for d in _DILATIONS],
        )
        self.norm = nn.BatchNorm2d(len(_DILATIONS) * channels)
        joined = nn.Conv2d(len(_DILATIONS) * channels, channels, 3, bias=False)
        self.join = nn.Sequential(nn.ReflectionPad2d(1), joined, nn.BatchNorm2d(channels))
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Refine `x` `(N, channels, H, W)`, sides of 6 or more."""
        seen = [branch(pad(x)) for pad, branch in zip(self.pads, self.branches, strict=True)]
        wide = self.activation(self.norm(torch.cat(seen, 1)))
        refined: Tensor = self.activation(self.join(wide) + x)
        return refined


class DANet(nn.Module):
    """DA-Net's dehazing U-Net, that of GASDA: 54,591,388 parameters.

    One slope of PReLU serves the whole network. In training it returns `DehazingReturns`, otherwise the image.

    Args:
        channels: of the first layer; twice, four and eight times as many deeper down.
        norm_least: the initial scales of batch normalisation are drawn uniformly from this on.
        norm_most: up to this.
    """

    def __init__(
        self, channels: Channels = 64, norm_least: NonNegativeFloat = 0.02, norm_most: NonNegativeFloat = 1.0
    ) -> None:
        super().__init__()
        c = channels
        self.activation = nn.PReLU()
        shared = self.activation
        first = [nn.ReflectionPad2d(3), nn.Conv2d(3, c, 7, bias=False), nn.BatchNorm2d(c), shared]
        self.encoder = nn.ModuleList([nn.Sequential(*first)])
        self.encoder.extend([_encoding(narrow, 2 * narrow, shared) for narrow in (c, 2 * c, 4 * c)])
        self.centre = nn.Sequential(*(Dilated(8 * c, shared) for _ in range(3)))
        #: Widths that come in, in between and out; three more channels are the coarser image.
        widths = ((8 * c, 8 * c, 4 * c), (8 * c, 8 * c, 2 * c), (4 * c + 3, 4 * c, c), (2 * c + 3, 2 * c, c // 2))
        self.decoder = nn.ModuleList([_decoding(*each, shared) for each in widths])
        outputs = ((8 * c, 3), (4 * c + 3, 3), (2 * c + 3, 3), (c // 2 + 3, 7))
        self.outputs = nn.ModuleList([_image_of(width, kernel) for width, kernel in outputs])
        self._begin(norm_least, norm_most)

    def _begin(self, norm_least: float, norm_most: float) -> None:
        """Draw the weights."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_in")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.weight, norm_least, norm_most)

    def forward(self, x: Tensor) -> Tensor | DehazingReturns:
        """The dehazed image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape and range; inside it is [-1, 1]."""
        found = self.returns(x)
        return found if self.training else found.restored

    def returns(self, x: Tensor) -> DehazingReturns:
        """All that the network makes of `x` `(N, 3, H, W)` in [0, 1]."""
        height, width = x.shape[-2:]
        y = 2 * pad_to_multiple(x, _MULTIPLE, least=_SMALLEST) - 1
        passing: list[Tensor] = []
        for part in self.encoder:
            y = F.avg_pool2d(part(y), 2)
            passing.append(y)
        features = passing.pop()
        z = self.decoder[0](self.centre(features))
        images: list[Tensor] = []
        for level, skip in enumerate((*_SKIPS, None)):
            joined = [z] if skip is None else [z, skip * passing.pop()]
            if images:
                joined.append(F.interpolate(images[-1], scale_factor=2.0, mode="nearest"))
            y = torch.cat(joined, 1)
            images.append(self.outputs[level](y))
            if skip is not None:
                z = self.decoder[level + 1](y)
        sizes = [(-(-height // part), -(-width // part)) for part in (8, 4, 2, 1)]
        pairs = zip(images, sizes, strict=True)
        stages = tuple((0.5 * image + 0.5)[..., :rows, :columns] for image, (rows, columns) in pairs)
        return DehazingReturns(stages[-1], stages, features)


def _encoding(channels_in: int, channels_out: int, activation: nn.Module) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (channels_in, channels_out):
        convolution = nn.Conv2d(width, channels_out, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(channels_out), activation]
    return nn.Sequential(*layers)


def _decoding(channels_in: int, middle: int, channels_out: int, activation: nn.Module) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, middle, 3, bias=False)
    doubling = nn.ConvTranspose2d(middle, channels_out, 3, stride=2, padding=1, output_padding=1)
    first = [nn.ReflectionPad2d(1), convolution, nn.BatchNorm2d(middle), activation]
    return nn.Sequential(*first, doubling, nn.BatchNorm2d(channels_out), activation)


def _image_of(channels: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, 3, kernel, bias=False)
    return nn.Sequential(nn.ReflectionPad2d(kernel // 2), convolution, nn.Tanh())


class DepthModulation(nn.Module):
    """``features * scale(k) + shift(k)`` with features k of a depth: 171,008 parameters with 64 channels.

    Args:
        channels: of what is modulated; a half and a quarter as many on the way there.

    Raises:
        UserError: they are below 4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 4:
            raise UserError(f"The translator has {channels} channels, but one that is given a depth needs 4 or more.")
        widths = (1, channels // 4, channels // 2, channels)
        self.seen = _leaky(*widths)
        self.scale = _leaky(channels, channels, channels)
        self.shift = _leaky(channels, channels, channels)

    def forward(self, features: Tensor, depth: Tensor) -> Tensor:
        """`features` `(N, channels, H, W)` as `depth` `(N, 1, H, W)` in [-1, 1] says."""
        seen = self.seen(depth)
        modulated: Tensor = features * self.scale(seen) + self.shift(seen)
        return modulated


def _leaky(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels_in, channels_out in itertools.pairwise(widths):
        layers += [nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


class Translator(nn.Module):
    """Turns hazy images of one domain into such of another: 11,383,427 parameters, with depth 11,554,435.

    Args:
        channels: see `ResnetGenerator`.
        blocks: likewise.
        weight_std: likewise.
        depth: whether it is given the depth of the images.
    """

    def __init__(self, channels: int, blocks: int, weight_std: float, depth: bool) -> None:
        super().__init__()
        generator = ResnetGenerator(3, 3, channels, 2, blocks, weight_std, norm="batch")
        self.features, self.image = generator.body[:-3], generator.body[-3:]
        self.modulation = DepthModulation(channels) if depth else None
        if self.modulation is not None:
            gaussian_weights(self.modulation, weight_std)

    def forward(self, x: Tensor, depth: Tensor | None = None) -> Tensor:
        """The translated image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape and range; inside it is [-1, 1].

        Args:
            x: sides of multiples of 4.
            depth: `(N, 1, H, W)` in [-1, 1], where the translator is given it.
        """
        image = 2 * x - 1
        features = self.features(image)
        if self.modulation is not None:
            assert depth is not None
            features = self.modulation(features, depth)
        translated: Tensor = (image + self.image(features)).clamp(-1, 1)
        return 0.5 * translated + 0.5


class DANetTranslators(nn.Module):
    """DA-Net's translators between made and real haze: 22,937,862 parameters.

    Args:
        channels: see `ResnetGenerator`.
        blocks: likewise.
        weight_std: likewise.
    """

    def __init__(self, channels: Channels = 64, blocks: Layers = 9, weight_std: NonNegativeFloat = 0.02) -> None:
        super().__init__()
        self.to_real = Translator(channels, blocks, weight_std, depth=True)
        self.to_synthetic = Translator(channels, blocks, weight_std, depth=False)

    def forward(self, x: Tensor) -> Tensor:
        """Real hazy images `x`, `(N, 3, H, W)` in [0, 1], as made haze would look, in the same shape and range."""
        height, width = x.shape[-2:]
        translated: Tensor = self.to_synthetic(pad_to_multiple(x, 4, least=8))
        return translated[..., :height, :width]


class FeatureDiscriminator(nn.Module):
    """Scores of DA-Net's features by linear layers: 67,372,546 parameters for images of 256x256.

    Args:
        channels: of the U-Net's first layer.
        side: of the images in pixels.
        hidden: width of its two hidden layers.
        weight_gain: of the initial weights.
    """

    def __init__(
        self, channels: Channels = 64, side: Pixels = 256, hidden: Channels = 512, weight_gain: NonNegativeFloat = 0.02
    ) -> None:
        super().__init__()
        self.shape = (8 * channels, *[max(_SMALLEST, -(-side // _MULTIPLE) * _MULTIPLE) // _MULTIPLE] * 2)
        activation = nn.PReLU()
        widths = (8 * channels * self.shape[1] ** 2, hidden, hidden)
        body: list[nn.Module] = [nn.Flatten()]
        for width_in, width_out in itertools.pairwise(widths):
            body += [nn.Linear(width_in, width_out), activation]
        self.body = nn.Sequential(*body, nn.Linear(hidden, 1))
        for layer in self.body:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight, weight_gain)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Scores `(N, 1)` of `features` `(N, 8 channels, side / 16, side / 16)`.

        Raises:
            UserError: they are of another shape.
        """
        if tuple(features.shape[1:]) != self.shape:
            found, wanted = ("x".join(map(str, shape)) for shape in (features.shape[1:], self.shape))
            raise UserError(
                f"The discriminator of features takes {wanted} numbers and is given {found}; train on square windows "
                "(data.crop), and give model.discriminators.*.side and .channels the window's side and the network's "
                "channels."
            )
        scores: Tensor = self.body(features)
        return scores
