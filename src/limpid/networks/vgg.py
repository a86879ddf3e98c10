"""VGG-16 and VGG-19 as sources of features; their state dicts are the beginnings of torchvision's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from limpid.errors import UserError

#: How many convolutions stand between two poolings, by the number of layers that learn.
CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
#: Channels of these convolutions.
CHANNELS = (64, 128, 256, 512, 512)
#: The mean and deviation of ImageNet's channels that torchvision's weights were trained with.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: The mean of the channels blue, green, red in 0..255 that the authors' own weights were trained with.
CAFFE_MEAN = (103.939, 116.779, 123.68)
#: Who trained the weights: they differ, and so do the images that they expect.
ORIGINS = ("torchvision", "caffe")


def _layers(depth: int) -> tuple[list[nn.Module], Mapping[str, int]]:
    """All layers before the classifier, and the index of each by its name, such as ``conv3_1``, ``relu3_1``, ``pool3``.

    Raises:
        UserError: there is no VGG of that depth.
    """
    if depth not in CONVOLUTIONS:
        raise UserError(f"There is no VGG of {depth} layers here; it is one of {', '.join(map(str, CONVOLUTIONS))}.")
    layers: list[nn.Module] = []
    indices: dict[str, int] = {}
    channels_in = 3
    for b, (channels, count) in enumerate(zip(CHANNELS, CONVOLUTIONS[depth], strict=True), 1):
        for i in range(1, count + 1):
            indices[f"conv{b}_{i}"] = len(layers)
            indices[f"relu{b}_{i}"] = len(layers) + 1
            layers += [nn.Conv2d(channels_in, channels, 3, padding=1), nn.ReLU(inplace=True)]
            channels_in = channels
        indices[f"pool{b}"] = len(layers)
        layers.append(nn.MaxPool2d(2))
    return layers, indices


class VGGFeatures(nn.Module):
    """The activations of some layers of VGG-16 or VGG-19 (Simonyan and Zisserman, ICLR 2015).

    Args:
        layers: names such as ``relu1_1``, ``conv1_1`` (before the ReLU) or ``pool1``; layers deeper than the deepest of
            them are not built.
        normalise: whether images in [0, 1] are first brought to what the weights were trained with: ImageNet's mean and
            deviation, or the authors' blue, green and red in 0..255 less their mean.
        depth: 16 or 19.
        origin: ``torchvision`` or ``caffe``, the authors' own.
        image_range: to which images in [0, 1] are brought before anything else: (-1, 1) is what a release does that
            hands the output of a tanh to VGG.

    Raises:
        ValueError: a layer does not exist, or none is named.
        UserError: there is no VGG of that depth, or of that origin.
    """

    def __init__(
        self,
        layers: Sequence[str] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        normalise: bool = True,
        depth: int = 19,
        origin: str = "torchvision",
        image_range: Sequence[float] = (0.0, 1.0),
    ) -> None:
        super().__init__()
        everything, indices = _layers(depth)
        if not layers or not set(layers) <= set(indices):
            raise ValueError(f"VGG-{depth}'s layers {list(layers)} must be some of {', '.join(indices)}.")
        if origin not in ORIGINS:
            raise UserError(f"The origin of VGG's weights is {origin!r}, but it must be one of {', '.join(ORIGINS)}.")
        self.layer_names = {indices[name]: name for name in layers}
        self.features = nn.Sequential(*everything[: max(self.layer_names) + 1])
        self.smallest = 2 ** sum(isinstance(layer, nn.MaxPool2d) for layer in self.features)
        for index in self.layer_names:
            after = self.features[index + 1] if index + 1 < len(self.features) else None
            if isinstance(after, nn.ReLU):  # it would overwrite what is asked for
                after.inplace = False
        self.normalise, self.origin = normalise, origin
        self.low, self.span = image_range[0], image_range[1] - image_range[0]
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD), ("caffe_mean", CAFFE_MEAN)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def draw(self, seed: int) -> None:
        """Fill in random weights (He et al., 2015), the same for the same seed; torch's own generator is left alone."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for layer in self.features:
                if isinstance(layer, nn.Conv2d):
                    deviation = math.sqrt(2 / (9 * layer.in_channels))
                    layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * deviation)
                    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The activations of `images` `(N, 3, H, W)` in [0, 1], by layer.

        Raises:
            UserError: a side is so small that the poolings before the deepest layer leave nothing of it.
        """
        if min(images.shape[-2:]) < self.smallest:
            raise UserError(
                f"Images of {images.shape[-1]}x{images.shape[-2]} pixels are too small to be compared in VGG's "
                f"{self.layer_names[max(self.layer_names)]}, which needs {self.smallest} a side; train on larger ones "
                "(data.crop), or compare them larger (the term's `side`)."
            )
        x = self._scaled(images)
        activations: dict[str, Tensor] = {}
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.layer_names:
                activations[self.layer_names[i]] = x
        return activations

    def _scaled(self, images: Tensor) -> Tensor:
        """The `images` as the first layer takes them."""
        x = images if (self.low, self.span) == (0, 1) else images * self.span + self.low
        if not self.normalise:
            return x
        if self.origin == "caffe":
            return 255 * x.flip(1) - self.get_buffer("caffe_mean")
        return (x - self.get_buffer("mean")) / self.get_buffer("std")
