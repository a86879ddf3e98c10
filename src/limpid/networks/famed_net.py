"""FAMED-Net: three small networks of pointwise convolutions, at three scales, for the K of AOD-Net's model."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.guided_filter import fast_guided_filter
from limpid.networks.stages import StagedOutput
from limpid.ranges import Channels, Layers, Pixels, PixelsOrNone, PositiveFloat

#: Sides of the windows whose maximum is taken, layer by layer.
_WINDOWS = (3, 5, 7)
_SCALES = (1, 2, 4)


class ScaleNet(nn.Module):
    """K at one scale: pointwise convolutions with batch normalisation, and the maximum of small neighbourhoods.

    Args:
        channels: of every layer.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels, 1)
        self.conv2 = nn.Conv2d(channels, channels, 1)
        self.conv3 = nn.Conv2d(2 * channels, channels, 1)
        self.conv4 = nn.Conv2d(2 * channels, channels, 1)
        self.conv5 = nn.Conv2d(4 * channels, 3, 1)
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.BatchNorm2d(channels) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """K, `(N, 3, H, W)`, not negative."""
        features = [F.relu(self.norm1(self.conv1(x)))]
        layers = zip((self.conv2, self.conv3, self.conv4), (self.norm2, self.norm3, self.norm4), strict=True)
        for (conv, norm), window in zip(layers, _WINDOWS, strict=True):
            found = F.relu(norm(conv(torch.cat(features[-2:], 1))))
            features.append(F.max_pool2d(found, window, stride=1, padding=window // 2))
        return F.relu(self.conv5(torch.cat(features, 1)))


class FAMEDNet(nn.Module):
    """FAMED-Net (Zhang and Tao, IEEE TIP 2019): 17,991 parameters.

    Networks of one form at the whole, a half and a quarter of the size each find a K; a pointwise convolution makes one
    of the three. The restored image is ``ReLU(K x - K + 1)`` (AOD-Net, equation 6).

    In training K is found at the image's size, and each scale restores too. Otherwise, as in the authors' release, the
    image is first made so large or small that its long side has `side` pixels; K is enlarged to the image and refined
    by the fast guided filter, whose guide is the largest channel. So the network sees the whole image, however large.

    Args:
        channels: of every layer.
        side: the long side at which K is found, in pixels; None finds it at the image's size.
        guided_radius: radius of the guided filter, in pixels; 0 leaves K as it is.
        guided_epsilon: variance of the guide below which a window counts as flat.
        guided_subsampling: how many times smaller the image is that the filter's coefficients are taken of.
    """

    def __init__(
        self,
        channels: Channels = 32,
        side: Pixels | None = 360,
        guided_radius: PixelsOrNone = 48,
        guided_epsilon: PositiveFloat = 1e-4,
        guided_subsampling: Layers = 4,
    ) -> None:
        super().__init__()
        self.side = side
        self.guided_radius, self.guided_epsilon = guided_radius, guided_epsilon
        self.guided_subsampling = guided_subsampling
        self.scales = nn.ModuleList([ScaleNet(channels) for _ in _SCALES])
        self.fuse = nn.Conv2d(9, 3, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                # Caffe's "xavier", which looks at what goes in alone: uniform within sqrt(3 / inputs).
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="linear")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    @property
    def sees_whole_image(self) -> bool:
        """Whether an image is to come whole, however large: it is worked on at a size of its own."""
        return self.side is not None

    def forward(self, x: Tensor) -> Tensor | StagedOutput:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape; not clamped above 1.

        In training it has its stages: what the coarsest scale restored, at a quarter of the sides, to the finest, and
        last itself.
        """
        if self.training:
            inputs = [_reduced(x, scale) for scale in _SCALES]
            found = [net(image) for net, image in zip(self.scales, inputs, strict=True)]
            stages = [restored(image, k) for image, k in zip(inputs, found, strict=True)]
            image = restored(x, self._fused(found))
            return StagedOutput(image, (*reversed(stages), image))
        return restored(x, self.refined(x, self._at_side(x)))

    def k(self, x: Tensor) -> Tensor:
        """K of `x` `(N, 3, H, W)`, found at that size, in the same shape."""
        return self._fused([net(_reduced(x, scale)) for net, scale in zip(self.scales, _SCALES, strict=True)])

    def _fused(self, found: list[Tensor]) -> Tensor:
        size = found[0].shape[-2:]
        larger = [F.interpolate(k, size, mode="bilinear", align_corners=True) for k in found[1:]]
        return F.relu(self.fuse(torch.cat([found[0], *larger], 1)))

    def _at_side(self, x: Tensor) -> Tensor:
        """K of `x`, found where the long side has `side` pixels, enlarged bicubically."""
        height, width = x.shape[-2:]
        if self.side is None:
            return self.k(x)
        longest = torch.sym_max(height, width)
        # The nearest whole numbers, in whole numbers: a graph for every size has no rounding.
        size = [torch.sym_max(1, (2 * side * self.side + longest) // (2 * longest)) for side in (height, width)]
        small = F.interpolate(x, size, mode="bicubic", antialias=True).clamp(0, 1)
        return F.interpolate(self.k(small), (height, width), mode="bicubic", antialias=True)

    def refined(self, x: Tensor, k: Tensor) -> Tensor:
        """`k` with the edges of the largest channel of `x`, both `(N, 3, H, W)`."""
        if not self.guided_radius:
            return k
        guide = x.amax(1, keepdim=True).float()
        with torch.autocast(x.device.type, enabled=False):  # variances and quotients need float32
            return fast_guided_filter(
                guide, k.float(), self.guided_radius, self.guided_epsilon, self.guided_subsampling
            )


def restored(x: Tensor, k: Tensor) -> Tensor:
    """``ReLU(K x - K + 1)``, of two `(N, 3, H, W)`."""
    return torch.addcmul(1 - k, k, x).relu_()


def _reduced(x: Tensor, scale: int) -> Tensor:
    """`x` with every `scale`-th pixel of a side, about: bilinear between its corners, rounded up."""
    if scale == 1:
        return x
    size = [(side - 1) // scale + 1 for side in x.shape[-2:]]
    return F.interpolate(x, size, mode="bilinear", align_corners=True)
