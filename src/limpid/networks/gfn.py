"""GFN: three images derived from the hazy one, and a network that says how much of each a pixel takes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.channels_last import GlobalAvgPool
from limpid.networks.padding import pad_to_multiple
from limpid.networks.stages import StagedOutput
from limpid.ranges import Channels, FiniteFloat, PositiveFloat

#: Of the sides of the images at the three scales, coarsest first, and the kernels and dilations of their first layers.
_KERNELS, _DILATIONS = (3, 5, 7), (1, 2, 3)
#: Slope of the activation behind every layer, for numbers below 0.
_SLOPE = 0.1


class Layers(nn.ModuleList):
    """Convolutions, each followed by LeakyReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """The features after the last layer."""
        for layer in self:
            x = F.leaky_relu(layer(x), _SLOPE)
        return x


class EncoderDecoder(nn.Module):
    """Six groups of three layers at one size; the gates are a convolution over what all groups give.

    Args:
        channels_in: of the input.
        kernel: side of the first filters.
        dilation: of the first four layers.
        channels: of every layer but one.
        widest: of the first layer of the second group.
    """

    def __init__(self, channels_in: int, kernel: int, dilation: int, channels: int, widest: int) -> None:
        super().__init__()

        def layer(before: int = channels, after: int = channels, side: int = 3, apart: int = 1) -> nn.Module:
            return nn.Conv2d(before, after, side, padding=apart * (side // 2), dilation=apart)

        def transposed() -> nn.Module:
            return nn.ConvTranspose2d(channels, channels, 3, padding=1)

        dilated = layer(apart=dilation)
        self.e1 = Layers([layer(channels_in, side=kernel, apart=dilation), dilated, layer(apart=dilation)])
        self.e2 = Layers([layer(after=widest, apart=dilation), layer(widest), layer()])
        self.e3 = Layers([layer(), layer(), layer()])
        self.d1 = Layers([transposed(), layer(), layer()])
        self.d2 = Layers([transposed(), layer(), layer()])
        self.d3 = Layers([transposed(), layer()])
        self.gates = nn.Conv2d(6 * channels, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """The three gates `(N, 3, H, W)` for `x` `(N, C, H, W)`."""
        groups = (self.e1, self.e2, self.e3, self.d1, self.d2, self.d3)
        if self.training:
            features: list[Tensor] = []
            for group in groups:
                x = group(x)
                features.append(x)
            return F.leaky_relu(self.gates(torch.cat(features, 1)), _SLOPE)
        # The same sum, group by group: of a megapixel all groups together take a gigabyte.
        gates: Tensor | None = None
        for group, weight in zip(groups, self.gates.weight.chunk(len(groups), 1), strict=True):
            x = group(x)
            part = F.conv2d(x, weight, self.gates.bias if gates is None else None, padding=1)
            gates = part if gates is None else gates + part
        assert gates is not None
        return F.leaky_relu(gates, _SLOPE)


class GFN(nn.Module):
    """Gated fusion network (Ren et al., CVPR 2018), as its authors released it: 517,295 parameters.

    Derived from the hazy image I are its white balance by the grey world, ``2 (0.5 + mean) (I - mean)`` for contrast,
    and ``I^gamma``. At a quarter, a half and the whole of the size a network sees these beside I, and beside what the
    scale before restored; the restored image is the sum of the derived ones, each times its gate.

    The authors' release resizes images to multiples of 8; here sides are padded to multiples of 4 and cut back. The
    form of the MIT port in gUNet (498,831 parameters) is ``widest=32 gamma=2 activate_enlarged=false
    eight_bit_balance=false``. Beside the release, `coarse`, `middle` and `fine` are `s1` to `s3`, `gates` is `d3conv3`.

    Args:
        channels: of every layer but one.
        widest: of one layer of the coarsest scale.
        gamma: power of the third derived image.
        contrast_offset: 0.5 in the second one.
        activate_enlarged: apply LeakyReLU to the enlarged image of the scale before.
        eight_bit_balance: take the white balance's means in levels of 8 bit, of an image rounded to them.
    """

    def __init__(
        self,
        channels: Channels = 32,
        widest: Channels = 64,
        gamma: PositiveFloat = 2.5,
        contrast_offset: FiniteFloat = 0.5,
        activate_enlarged: bool = True,
        eight_bit_balance: bool = True,
    ) -> None:
        super().__init__()
        self.gamma, self.contrast_offset = gamma, contrast_offset
        self.activate_enlarged, self.eight_bit_balance = activate_enlarged, eight_bit_balance
        self.mean = GlobalAvgPool()
        sizes = zip((12, 15, 15), _KERNELS, _DILATIONS, (widest, channels, channels), strict=True)
        self.coarse, self.middle, self.fine = (EncoderDecoder(i, k, d, channels, w) for i, k, d, w in sizes)
        self.to_middle, self.to_fine = (nn.ConvTranspose2d(3, 3, 4, stride=2, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> StagedOutput:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], and its stages at a quarter and a half of the sides."""
        height, width = x.shape[-2:]
        derived = pad_to_multiple(self.derived(x), 4)
        small, smallest = F.max_pool2d(derived, 2), F.max_pool2d(derived, 4)
        first = fused(smallest, self.coarse(smallest))
        second = fused(small, self.middle(torch.cat([self._enlarged(self.to_middle, first), small], 1)))
        third = fused(derived, self.fine(torch.cat([self._enlarged(self.to_fine, second), derived], 1)))
        restored = third[..., :height, :width]
        half = second[..., : (height + 1) // 2, : (width + 1) // 2]
        return StagedOutput(restored, (first, half, restored))

    def derived(self, x: Tensor) -> Tensor:
        """The image beside the three that are derived from it, `(N, 12, H, W)`."""
        if self.eight_bit_balance:
            levels = (255 * x).round()
            means = self.mean(levels)
            balanced = (levels * (means.mean(1, keepdim=True) / (means + 0.001)) / 255).clamp(max=1)
        else:
            means = self.mean(x)
            balanced = (x * (means.mean(1, keepdim=True) / (means + 0.001))).clamp(max=1)
        mean = self.mean(x).mean(1, keepdim=True)
        contrast = 2 * (self.contrast_offset + mean) * (x - mean)
        return torch.cat([x, balanced, contrast, x**self.gamma], 1)

    def _enlarged(self, layer: nn.Module, image: Tensor) -> Tensor:
        """What the scale before restored, at twice its size."""
        enlarged: Tensor = layer(image)
        return F.leaky_relu(enlarged, _SLOPE) if self.activate_enlarged else enlarged


def fused(derived: Tensor, gates: Tensor) -> Tensor:
    """The sum of the three derived images in `derived` `(N, 12, H, W)`, each times its gate of `(N, 3, H, W)`."""
    parts = zip(derived[:, 3:].split(3, 1), gates.split(1, 1), strict=True)
    return torch.stack([image * gate for image, gate in parts]).sum(0)
