"""DnCNN: a plain chain of convolutions estimates the distortion, and the image is what remains."""

from __future__ import annotations

from torch import Tensor, nn

from limpid.ranges import Channels, Layers, PositiveFloat, Share


class DnCNN(nn.Module):
    """Denoising CNN (Zhang et al., TIP 2017, section III): 669,376 parameters with 20 layers, 558,400 with 17.

    A convolution and ReLU; `depth` - 2 times convolution, batch normalisation, ReLU; a last convolution. What they
    return is taken from the input. Its authors train 17 layers for one noise level and 20 where the distortion
    is not known; the hybrid distortions of FDR-Net's tables are of the second kind, whose tables print no depth.

    `layers` is numbered as `dncnn` is in its authors' PyTorch release (convolutions 0, 2, 5, 8, ...; batch
    normalisations 3, 6, ...). Where a release has merged the batch normalisation into biases, those become the offsets
    of an otherwise neutral one. Weights start orthogonal and biases at 0, as there.

    Args:
        depth: number of convolutions, at least 2.
        channels: channels of all but the last.
        momentum: share of a batch's own mean and variance in the running ones, which evaluation uses.
        eps: what batch normalisation adds to the variance.
    """

    def __init__(
        self, depth: Layers = 20, channels: Channels = 64, momentum: Share = 0.95, eps: PositiveFloat = 1e-4
    ) -> None:
        super().__init__()
        if depth < 2:
            raise ValueError(f"DnCNN needs a depth of at least 2, not {depth}.")
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers.append(nn.Conv2d(channels, channels, 3, padding=1, bias=False))
            layers += [nn.BatchNorm2d(channels, eps, momentum), nn.ReLU()]
        layers.append(nn.Conv2d(channels, 3, 3, padding=1, bias=False))
        self.layers = nn.Sequential(*layers)
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.orthogonal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape; it is not clamped."""
        restored: Tensor = x - self.layers(x)
        return restored
