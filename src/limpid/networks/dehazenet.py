"""DehazeNet: four small layers estimate the transmission, and the haze model is inverted with it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.guided_filter import guided_filter
from limpid.networks.padding import any_size, mirrored
from limpid.ranges import Channels, Layers, PixelsOrNone, PositiveFloat, PositiveShare

#: Luma of R, G, B (ITU-R BT.601), what grey means here.
LUMA = (0.299, 0.587, 0.114)


class Dehazed(NamedTuple):
    """What DehazeNet finds in hazy images.

    Attributes:
        restored: the clear image, `(N, 3, H, W)`, not clamped.
        transmission: the share of the scene's light that reaches the camera, `(N, 1, H, W)`; refined.
        airlight: the colour of the haze, `(N, 3)` in [0, 1].
    """

    restored: Tensor
    transmission: Tensor
    airlight: Tensor


class HeldInside(torch.autograd.Function):
    """Clamp to [low, high]; a value outside learns only what brings it back.

    The derivative of a plain clamp is 0 outside, and a network whose transmission is 1 everywhere, so that it returns
    its input, never learns again: what happens within a hundred steps when it is trained through the recovery.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, low: float, high: float) -> Tensor:
        """`values` held to the interval."""
        ctx.save_for_backward(values)
        ctx.low, ctx.high = low, high
        return values.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient, without what would move a value farther out."""
        (values,) = ctx.saved_tensors
        (gradient,) = gradients
        outward = ((values > ctx.high) & (gradient < 0)) | ((values < ctx.low) & (gradient > 0))
        return gradient.masked_fill(outward, 0), None, None


def hold_inside(values: Tensor, low: float, high: float) -> Tensor:
    """`values` clamped to [low, high], with the derivative of `HeldInside`."""
    held: Tensor = HeldInside.apply(values, low, high)
    return held


class DehazeNet(nn.Module):
    """DehazeNet (Cai et al., IEEE TIP 2016, section III): 8,305 parameters.

    1. Feature extraction: 5x5 filters on ``x - 0.5``; maxout keeps the largest of each four.
    2. Multi-scale mapping: 3x3, 5x5 and 7x7 filters side by side, without activation.
    3. Local extremum: the maximum of each 7x7 neighbourhood, at full resolution.
    4. Regression: a 6x6 filter and BReLU, which holds the transmission to [0, 1].

    Of the pixels whose transmission is lowest, the brightest is the airlight; the transmission is refined by the
    guided filter with the grey image as guide, and the haze model is inverted. The sizes 50, 0.001 and 1 % are those
    of the authors' release, as are the borders, which are mirrored before each filter, and that the 6x6 filter, which
    has no centre, looks two pixels back and three ahead, on both axes.

    Ours: the transmission divided by is at least `transmission_floor` (value of He et al. 2011; the release divides by
    what it finds); the regression starts at a transmission of 0.5, and BReLU and floor let a value outside come back
    (`HeldInside`). The last two matter because the paper trains on the transmission itself, while here the restored
    image is compared.

    Parts in order: `extract`, `map3`, `map5`, `map7`, `regress`. The release stores its filters as (row, column,
    input, output).

    Args:
        features: filters of the first layer.
        maxout: how many of them compete for one feature.
        scales: filters of each of the three sides of the second layer.
        guided_radius: radius of the guided filter, in pixels; 0 leaves the transmission as it is.
        guided_epsilon: variance of the grey image below which the guided filter calls a window flat.
        airlight_share: share of the pixels among which the airlight is looked for.
        transmission_floor: the smallest transmission divided by.
    """

    def __init__(
        self,
        features: Channels = 16,
        maxout: Channels = 4,
        scales: Layers = 16,
        guided_radius: PixelsOrNone = 50,
        guided_epsilon: PositiveFloat = 0.001,
        airlight_share: PositiveShare = 0.01,
        transmission_floor: PositiveShare = 0.1,
    ) -> None:
        super().__init__()
        self.maxout = maxout
        self.guided_radius, self.guided_epsilon = guided_radius, guided_epsilon
        self.airlight_share, self.transmission_floor = airlight_share, transmission_floor
        self.extract = nn.Conv2d(3, features, 5)
        self.map3, self.map5, self.map7 = (nn.Conv2d(features // maxout, scales, size) for size in (3, 5, 7))
        self.regress = nn.Conv2d(3 * scales, 1, 6)
        assert self.regress.bias is not None
        nn.init.constant_(self.regress.bias, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape; it is not clamped."""
        return self.estimate(x).restored

    def estimate(self, x: Tensor) -> Dehazed:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], and the transmission and airlight found."""
        transmission = self.transmission(x).float()
        with torch.autocast(x.device.type, enabled=False):  # variances and quotients need float32
            image = x.float()
            grey = (image * image.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
            airlight = brightest_of_lowest(image, grey, transmission, self.airlight_share)
            if self.guided_radius:
                transmission = guided_filter(grey, transmission, self.guided_radius, self.guided_epsilon)
            A = airlight[:, :, None, None]
            restored = (image - A) / hold_inside(transmission, self.transmission_floor, math.inf) + A
        return Dehazed(restored, transmission, airlight)

    def transmission(self, x: Tensor) -> Tensor:
        """The network itself: the transmission `(N, 1, H, W)` in [0, 1] of `x` `(N, 3, H, W)`, before refinement."""
        features = self.extract(mirrored(x - 0.5, 2, 2)).unflatten(1, (-1, self.maxout)).amax(2)
        maps = [layer(mirrored(features, i, i)) for i, layer in enumerate((self.map3, self.map5, self.map7), 1)]
        extremum = F.max_pool2d(torch.cat(maps, 1), 7, stride=1, padding=3)
        return hold_inside(self.regress(mirrored(extremum, 2, 3)), 0.0, 1.0)


def brightest_of_lowest(image: Tensor, grey: Tensor, transmission: Tensor, share: float) -> Tensor:
    """The colour of the brightest pixel among those of the lowest transmission (DehazeNet, section II).

    Args:
        image: `(N, 3, H, W)`.
        grey: `(N, 1, H, W)`, by which brightness is measured.
        transmission: `(N, 1, H, W)`.
        share: of the pixels, in (0, 1]; at least one is looked at, and all that are equal to the last of them.

    Returns:
        `(N, 3)`; the mean colour where several pixels are equally bright.
    """
    low = transmission.flatten(1)
    if any_size(transmission):  # the rank is part of the graph
        pixels = torch.scalar_tensor(low.shape[1], dtype=torch.float64, device=low.device)
        rank = (share * pixels).round().clamp(min=1).long()
        threshold = low.sort(1).values.index_select(1, rank.view(1) - 1)
    else:
        threshold = low.kthvalue(max(1, round(share * low.shape[1])), dim=1, keepdim=True).values
    brightness = grey.flatten(1).masked_fill(low > threshold, -torch.inf)
    brightest = (brightness == brightness.amax(1, keepdim=True)).to(image.dtype)
    return torch.einsum("nkp,np->nk", image.flatten(2), brightest / brightest.sum(1, keepdim=True))
