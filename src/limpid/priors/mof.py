"""MOF: a transmission of pixels and one of patches, fused where each is right.

Zhao, Zhang, Bai, Zhang & Cao, "Multi-scale optimal fusion model for single image dehazing", Signal Processing: Image
Communication 74, 2019; the numbers are those of its authors' code.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limpid.priors.base import Estimate, Prior, choice
from limpid.priors.channels import dark_channel
from limpid.priors.decolorization import grey_weights
from limpid.priors.filters import gaussian_filter, min_filter
from limpid.priors.gradient_guided_filter import half_size_gradient_guided_filter
from limpid.priors.order_statistics import places_of_largest
from limpid.ranges import NonNegativeFloat, Pixels, PixelsOrNone, PositiveFloat, PositiveShare, Seed, Share

#: How far the map that fuses the two transmissions is pushed to its ends.
FUSIONS = ("threshold", "tanh")
#: Keeps the quotient of the fusion finite.
_STEADY = 1e-5


class MOF(Prior):
    """Multi-scale optimal fusion of a pixel-wise and two patch-wise transmissions.

    The values are those of the authors' code, whose demonstration goes on to an exposure step that is not published in
    source: the result here is the one it saves before.

    Args:
        airlight_patch: side of the dark channel's patch for the airlight, in pixels, odd.
        airlight_share: share of the pixels, of the largest dark channel, whose mean is the airlight.
        omega: share of the haze that is removed.
        patch_growth: how fast the weight of a scale falls with the side of its patch.
        least_difference: the least by which the two transmissions are said to differ.
        fusion: `threshold` sends the difference below a half to `fusion_margin` of itself and the rest as close to 1;
            `tanh` smooths this step.
        fusion_margin: see `fusion`.
        fusion_steepness: of the `tanh`.
        smoothing: standard deviation in pixels of the Gaussian that smooths the difference.
        smoothing_windows: sides of its window at both scales, odd.
        guided_radius: radius of the gradient-domain guided filter in pixels of the half-size image.
        guided_epsilon: its flatness.
        transmission_floor: the least transmission kept.
        recovery_floor: the least transmission divided by.
        seed: of the random pairs of pixels with which the guide's grey is found.

    Raises:
        UserError: `fusion` is none of those named.
    """

    LIMITS = "One bright pixel of the result darkens all others, and pale surfaces take on strong colours."

    def __init__(
        self,
        airlight_patch: Pixels = 25,
        airlight_share: PositiveShare = 0.001,
        omega: Share = 0.95,
        patch_growth: NonNegativeFloat = 0.138,
        least_difference: NonNegativeFloat = 0.001,
        fusion: str = "threshold",
        fusion_margin: NonNegativeFloat = 0.05,
        fusion_steepness: NonNegativeFloat = 10.0,
        smoothing: NonNegativeFloat = 0.5,
        smoothing_windows: tuple[Pixels, Pixels] = (5, 11),
        guided_radius: PixelsOrNone = 60,
        guided_epsilon: PositiveFloat = 1e-3,
        transmission_floor: PositiveShare = 0.1,
        recovery_floor: PositiveShare = 0.05,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.airlight_patch, self.airlight_share = airlight_patch, airlight_share
        self.omega, self.patch_growth = omega, patch_growth
        self.least_difference = least_difference
        self.fusion = choice("fusion", fusion, FUSIONS)
        self.fusion_margin, self.fusion_steepness = fusion_margin, fusion_steepness
        self.smoothing, self.smoothing_windows = smoothing, tuple(smoothing_windows)
        self.guided_radius, self.guided_epsilon = guided_radius, guided_epsilon
        self.transmission_floor, self.recovery_floor = transmission_floor, recovery_floor
        self.seed = seed

    def statistics(self, image: Tensor) -> dict[str, Tensor]:
        """What is found over the whole of one image `(3, H, W)` in [0, 1].

        The `airlight`, `(3,)`; the weights of the `grey` guide, `(3,)`; and the `peak`, the largest value of the
        radiance, by which it is divided.
        """
        found = self._haze(image)
        radiance, _ = self._radiance(image, found)
        return found | {"peak": radiance.amax()}

    def estimate_image(self, image: Tensor, statistics: dict[str, Tensor]) -> Estimate:
        """The estimate of one image `(3, H, W)` in [0, 1]; the depth is the optical one, ``-log t``."""
        return self._finished(*self._radiance(image, statistics), statistics)

    def estimate_alone(self, image: Tensor) -> Estimate:
        """The estimate of one image `(3, H, W)` in [0, 1] with its own statistics, without the batch axis."""
        found = self._haze(image)
        radiance, transmission = self._radiance(image, found)
        return self._finished(radiance, transmission, found | {"peak": radiance.amax()})

    def rough_transmission(self, image: Tensor, airlight: Tensor) -> Tensor:
        """The fused transmission before it is refined, `(1, H, W)`, of one image `(3, H, W)` in [0, 1]."""
        A = airlight.clamp(min=1 / 255).view(3, 1, 1)
        share = (image / A).amin(0, keepdim=True)  # of the airlight's light in the darkest channel
        pixelwise = (1 - self.omega * share).clamp(0, 1)
        fused = torch.zeros_like(share)
        for number, (patch, weight) in enumerate(zip(*self.scales(share.numel()), strict=True)):
            patchwise = (1 - self.omega * min_filter(share, patch, off_centre=True)).clamp(max=1)
            fused.add_(self._fused(pixelwise, patchwise, number), alpha=weight)
        return fused

    def scales(self, pixels: int) -> tuple[tuple[int, int], tuple[float, float]]:
        """The sides of both patches, in pixels, in an image of so many `pixels`, and the weights of both."""
        side = 2 * int(math.log10(max(pixels, 10)))
        sides = (side, 2 * side)
        first, second = (math.exp(self.patch_growth * (one - 1)) for one in sides)
        # The smaller patch has the larger weight.
        return sides, (second / (first + second), first / (first + second))

    def _fused(self, pixelwise: Tensor, patchwise: Tensor, scale: int) -> Tensor:
        """The transmission of patches where it hardly differs from that of pixels, and that of pixels elsewhere."""
        difference = (patchwise - pixelwise).clamp(min=self.least_difference)
        lowest, highest = difference.amin(), difference.amax()
        difference = (difference - lowest) / (highest - lowest).clamp(min=1e-12)
        difference = gaussian_filter(difference, self.smoothing_windows[scale], self.smoothing)
        share = self._pushed(difference)
        if scale == 1:
            share[..., 0] = 0  # as the authors' code has it
        rest = 1 - share
        numerator = rest * patchwise + share * pixelwise + _STEADY
        return numerator / (rest**2 + share**2 + _STEADY)

    def _pushed(self, difference: Tensor) -> Tensor:
        """`difference` in [0, 1] pushed towards 0 and 1."""
        margin = self.fusion_margin
        upper = difference >= 0.5
        if self.fusion == "threshold":
            return margin * difference + (1 - margin) * upper
        shift = torch.where(upper, -margin, margin)
        return 0.5 * (torch.tanh(self.fusion_steepness * (difference + shift - 0.5)) + 1)

    def _haze(self, image: Tensor) -> dict[str, Tensor]:
        """The airlight, and the weights of the guide's grey."""
        dark = dark_channel(image, self.airlight_patch)[0].T.flatten()
        count = max(1, math.floor(self.airlight_share * len(dark)))
        haziest = places_of_largest(dark, count)
        height = image.shape[1]
        airlight = image[:, haziest % height, haziest // height].mean(1)
        return {"airlight": airlight, "grey": grey_weights(image, self.seed)}

    def _radiance(self, image: Tensor, found: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The radiance before it is divided by its peak, `(3, H, W)`, and the transmission."""
        rough = self.rough_transmission(image, found["airlight"])
        grey = (image * found["grey"].view(3, 1, 1)).sum(0, keepdim=True)
        refined = half_size_gradient_guided_filter(grey, rough, self.guided_radius, self.guided_epsilon)
        transmission = refined.clamp(self.transmission_floor, 1)
        A = found["airlight"].view(3, 1, 1)
        return (image - A).div_(transmission.clamp(min=self.recovery_floor)).add_(A), transmission

    def _finished(self, radiance: Tensor, transmission: Tensor, found: dict[str, Tensor]) -> Estimate:
        restored = radiance.div_(found["peak"].clamp(min=1 / 255)).clamp_(0, 1)
        return Estimate(restored, -transmission.log(), transmission, found["airlight"])
