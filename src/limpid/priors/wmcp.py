"""WMCP-EM: depth from a weighted median channel, airlight from colour constancy, edges put back.

Gautam, Gandhi & Panigrahi, "WMCP-EM: An integrated dehazing framework for visibility restoration in single
image", CVIU 2023, doi 10.1016/j.cviu.2023.103648; called wmcp in the docstrings. Its table 3 switches one
part off at a time; each is one keyword.
"""

from __future__ import annotations

import math

from torch import Tensor

from limpid.priors.airlight import RANKS, color_constancy_airlight
from limpid.priors.base import Estimate, Prior, choice, recover
from limpid.priors.channels import (
    NEIGHBOURS,
    STATISTICS,
    dark_channel,
    dark_channel_transmission,
    weighted_median_channel,
)
from limpid.priors.edges import edge_modulation
from limpid.priors.filters import fast_guided_filter, min_filter
from limpid.ranges import Layers, NonNegativeFloat, Pixels, PixelsOrNone, PositiveFloat, PositiveShare, Share

CHANNELS = ("weighted_median", "dark", "dark_channel_prior")


def patch_size(sigma: float, divisor: float, smallest: int = 3, largest: int = 31) -> int:
    """The side of the local patch in pixels (wmcp, equation 15): odd, from `smallest` to `largest`.

    ``ceil(sigma / a)``, one more where a divides sigma: together ``floor(sigma / a) + 1``. The equation gives
    even sizes too; they become the next odd one, because a patch has a centre.

    Args:
        sigma: standard deviation of the image in units of 0 to 255.
        divisor: the constant a.
        smallest: least side, odd; a patch of 1 would hold no neighbour.
        largest: greatest side, odd.
    """
    size = math.floor(sigma / divisor) + 1
    return min(max(size + 1 - size % 2, smallest), largest)


class WMCP(Prior):
    """Weighted median channel prior with edge modulation (wmcp, sections 3 and 4.1).

    "Printed" marks the paper's values. The others are not printed; the reason for each stands with it.

    Args:
        channel: `weighted_median` (equations 13 and 14). Two others stand in its place in table 3, case 2,
            everything after them unchanged: `dark`, the dark channel as the depth, or `dark_channel_prior`,
            the depth whose transmission is that of equation 11. The text ("exclusion of w changes it to DCP")
            reads like the first.
        statistic: reading of equation 13, whose "max" the text and the authors' earlier paper call a median:
            `median_of_products`, `weighted_median` (the textbook one), or `max` (the symbol as it stands).
        neighbours: `patch`, every pixel of the patch, or `compass`, only the eight directions that section
            3.1 names.
        patch_divisor: the constant a of equation 15. Not printed: 3 gives 9 to 23 on hazy images, mostly 13
            to 19; figure 2b finds 17 best for light haze and 13 for denser haze.
        smallest_patch: least side of the patch. Not printed: 3 is the smallest with neighbours.
        largest_patch: greatest side. Not printed: 31 is beyond what photographs reach, and bounds the time.
        dark_patch: side of the dark channel's patch, printed (equation 7).
        dark_omega: w of equation 11, for `dark_channel_prior` alone: 0.95, from He et al. 2011.
        attenuation: beta of equation 16, printed.
        erosion: side zeta of the square that erodes the transmission, printed.
        guided: refine the transmission by the fast guided filter; False is table 3, case 3.
        guided_radius: its radius in pixels. Not printed: 60 is four times the customary patch.
        guided_epsilon: its flatness. Not printed: 1e-3, customary for dehazing.
        guided_subsampling: its reduction. Not printed: 4, as He & Sun use.
        airlight_window: minimum filter of the colour constancy prior, from its authors' demonstration.
        airlight_share: its alpha, printed there.
        airlight_discard: its gamma as a fraction of the candidates, printed there as 0.4; 0 keeps the
            brightest set (table 3, case 4). The gamma = 0.005 of section 4.1 has no symbol in the paper and
            is not used.
        airlight_rank: `value` as printed there, or `darkest_channel`.
        transmission_floor: phi of equation 17, printed; at the printed beta it never binds.
        exponent: delta of equation 17, printed; 1 is table 3, case 5.
        edge_gain: lambda of equation 21, printed; 0 is table 3, case 6.
        edge_index: Y of equation 20, printed.

    Raises:
        UserError: `channel`, `statistic`, `neighbours` or `airlight_rank` is none of those named.
    """

    LIMITS = "Pale skies and clouds turn white or violet, and dense haze stays in part."

    def __init__(
        self,
        channel: str = "weighted_median",
        statistic: str = "median_of_products",
        neighbours: str = "patch",
        patch_divisor: PositiveFloat = 3.0,
        smallest_patch: Pixels = 3,
        largest_patch: Pixels = 31,
        dark_patch: Pixels = 15,
        dark_omega: Share = 0.95,
        attenuation: NonNegativeFloat = 1.8,
        erosion: Pixels = 13,
        guided: bool = True,
        guided_radius: PixelsOrNone = 60,
        guided_epsilon: PositiveFloat = 1e-3,
        guided_subsampling: Layers = 4,
        airlight_window: Pixels = 15,
        airlight_share: PositiveShare = 0.10,
        airlight_discard: Share = 0.40,
        airlight_rank: str = "value",
        transmission_floor: PositiveShare = 0.001,
        exponent: PositiveFloat = 0.65,
        edge_gain: NonNegativeFloat = 0.25,
        edge_index: NonNegativeFloat = 0.5,
    ) -> None:
        super().__init__()
        self.channel = choice("channel", channel, CHANNELS)
        self.statistic = choice("statistic", statistic, STATISTICS)
        self.neighbours = choice("neighbours", neighbours, NEIGHBOURS)
        self.patch_divisor = patch_divisor
        self.smallest_patch, self.largest_patch = smallest_patch, largest_patch
        self.dark_patch, self.dark_omega = dark_patch, dark_omega
        self.attenuation, self.erosion = attenuation, erosion
        self.guided, self.guided_radius = guided, guided_radius
        self.guided_epsilon, self.guided_subsampling = guided_epsilon, guided_subsampling
        self.airlight_window, self.airlight_share = airlight_window, airlight_share
        self.airlight_discard = airlight_discard
        self.airlight_rank = choice("airlight_rank", airlight_rank, RANKS)
        self.transmission_floor, self.exponent = transmission_floor, exponent
        self.edge_gain, self.edge_index = edge_gain, edge_index

    def statistics(self, image: Tensor) -> dict[str, Tensor]:
        """The `airlight`, `(3,)`, and the standard deviation `sigma` (0 to 255) of one image `(3, H, W)` in [0, 1]."""
        airlight = color_constancy_airlight(
            image, self.airlight_window, self.airlight_share, self.airlight_discard, self.airlight_rank
        )
        return {"airlight": airlight, "sigma": 255 * image.double().std(correction=0)}

    def estimate_image(self, image: Tensor, statistics: dict[str, Tensor]) -> Estimate:
        """The estimate of one image `(3, H, W)` in [0, 1] with these `statistics`, without the batch axis."""
        airlight = statistics["airlight"]
        scene_depth = self.scene_depth(image, airlight, float(statistics["sigma"]))
        transmission = self.transmission(image, scene_depth)
        radiance = recover(image, airlight, transmission, self.transmission_floor, self.exponent)
        restored = edge_modulation(radiance, self.edge_gain, self.edge_index)
        return Estimate(restored, scene_depth, transmission, airlight)

    def scene_depth(self, image: Tensor, airlight: Tensor, sigma: float) -> Tensor:
        """The depth d of equation 13, `(1, H, W)`, of one image `(3, H, W)` in [0, 1].

        It lies in [0, 1] but for `dark_channel_prior`, which alone uses the airlight `(3,)`; `sigma` decides the patch.
        """
        if self.channel == "dark":
            return dark_channel(image, self.dark_patch)
        if self.channel == "dark_channel_prior":
            t = dark_channel_transmission(image, airlight, self.dark_patch, self.dark_omega)
            return -t.clamp(min=self.transmission_floor).log() / self.attenuation
        patch = patch_size(sigma, self.patch_divisor, self.smallest_patch, self.largest_patch)
        return weighted_median_channel(image, patch, self.statistic, self.neighbours)

    def transmission(self, image: Tensor, scene_depth: Tensor) -> Tensor:
        """The eroded and refined transmission of equation 16, `(1, H, W)`.

        For depths in [0, 1] it lies in [exp(-attenuation), 1].

        The guided filter fits lines and may overshoot at edges; its result is held to the range of what it
        smooths.
        """
        rough = min_filter((-self.attenuation * scene_depth).exp(), self.erosion)
        if not self.guided:
            return rough
        grey = image.mean(0, keepdim=True)
        refined = fast_guided_filter(grey, rough, self.guided_radius, self.guided_epsilon, self.guided_subsampling)
        return refined.clamp(rough.amin(), rough.amax())
