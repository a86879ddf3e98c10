"""VGG-19 as a source of features; its state dict is the beginning of torchvision's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

#: Channels of the convolutions between two poolings.
BLOCKS = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)
#: The mean and deviation of ImageNet's channels that the published weights were trained with.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _layers() -> tuple[list[nn.Module], dict[str, int]]:
    """All layers before the classifier, and the index of each ReLU by its name, such as ``relu3_1``."""
    layers: list[nn.Module] = []
    indices: dict[str, int] = {}
    channels_in = 3
    for b, block in enumerate(BLOCKS, 1):
        for i, channels in enumerate(block, 1):
            layers += [nn.Conv2d(channels_in, channels, 3, padding=1), nn.ReLU(inplace=True)]
            indices[f"relu{b}_{i}"] = len(layers) - 1
            channels_in = channels
        layers.append(nn.MaxPool2d(2))
    return layers, indices


class VGG19Features(nn.Module):
    """The activations of some layers of VGG-19 (Simonyan and Zisserman, ICLR 2015).

    Args:
        layers: names such as ``relu1_1``; layers deeper than the deepest of them are not built.
        normalise: whether images in [0, 1] are first brought to ImageNet's mean and deviation.

    Raises:
        ValueError: a layer does not exist, or none is named.
    """

    def __init__(
        self,
        layers: Sequence[str] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        normalise: bool = True,
    ) -> None:
        super().__init__()
        everything, indices = _layers()
        if not layers or not set(layers) <= set(indices):
            raise ValueError(f"VGG-19's layers {list(layers)} must be some of {', '.join(indices)}.")
        self.layer_names = {indices[name]: name for name in layers}
        self.features = nn.Sequential(*everything[: max(self.layer_names) + 1])
        self.normalise = normalise
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
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
        """The activations of `images` `(N, 3, H, W)` in [0, 1], by layer; sides of 16 pixels or more."""
        x = (images - self.get_buffer("mean")) / self.get_buffer("std") if self.normalise else images
        activations: dict[str, Tensor] = {}
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.layer_names:
                activations[self.layer_names[i]] = x
        return activations
