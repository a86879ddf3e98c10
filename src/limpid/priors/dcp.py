"""The dark channel prior: in a clear image some colour is nearly black almost everywhere.

He, Sun & Tang, "Single image haze removal using dark channel prior", TPAMI 33(12), 2011.
"""

from __future__ import annotations

from torch import Tensor

from limpid.priors.airlight import brightest_hazy_pixel
from limpid.priors.base import Estimate, Prior, choice, recover
from limpid.priors.channels import dark_channel, dark_channel_transmission
from limpid.priors.filters import guided_filter
from limpid.priors.matting import soft_matting
from limpid.ranges import NonNegativeFloat, Pixels, PixelsOrNone, PositiveFloat, PositiveShare, Share

REFINEMENTS = ("guided", "matting", "none")


class DCP(Prior):
    """Dark channel prior (He et al. 2011).

    Args:
        patch: side of the local patch in pixels, printed.
        omega: share of the haze that is removed, so that far things keep some, printed.
        airlight_share: share of the pixels, haziest first, among which the airlight is sought, printed.
        transmission_floor: t0, the least transmission that is divided by, printed.
        refinement: `guided`, the guided filter that its authors later put in the place of soft matting (TPAMI
            2013); `matting`, the paper's own soft matting, hundreds of times slower; `none`, the transmission
            in blocks.
        guided_radius: radius of the guided filter in pixels: four times the patch.
        guided_epsilon: variance below which a window counts as flat, customary for dehazing.
        matting_weight: lambda of soft matting: how closely the block-wise transmission is followed, printed.
        matting_epsilon: what the matting Laplacian adds to the colour covariance of its 3 x 3 windows;
            Levin et al.'s customary value.

    Raises:
        UserError: `refinement` is none of those named.
    """

    LIMITS = "Results are darker, and skies and other pale surfaces take on strong or odd colours."

    def __init__(
        self,
        patch: Pixels = 15,
        omega: Share = 0.95,
        airlight_share: PositiveShare = 0.001,
        transmission_floor: PositiveShare = 0.1,
        refinement: str = "guided",
        guided_radius: PixelsOrNone = 60,
        guided_epsilon: PositiveFloat = 1e-3,
        matting_weight: NonNegativeFloat = 1e-4,
        matting_epsilon: PositiveFloat = 1e-7,
    ) -> None:
        super().__init__()
        self.patch, self.omega = patch, omega
        self.airlight_share, self.transmission_floor = airlight_share, transmission_floor
        self.refinement = choice("refinement", refinement, REFINEMENTS)
        self.guided_radius, self.guided_epsilon = guided_radius, guided_epsilon
        self.matting_weight, self.matting_epsilon = matting_weight, matting_epsilon

    def statistics(self, image: Tensor) -> dict[str, Tensor]:
        """The `airlight`, `(3,)`, of one image `(3, H, W)` in [0, 1]."""
        return {"airlight": brightest_hazy_pixel(image, dark_channel(image, self.patch), self.airlight_share)}

    def estimate_image(self, image: Tensor, statistics: dict[str, Tensor]) -> Estimate:
        """The estimate of one image `(3, H, W)` in [0, 1]; the depth is the optical one, ``-log t``."""
        airlight = statistics["airlight"]
        transmission = self.transmission(image, airlight)
        restored = recover(image, airlight, transmission, self.transmission_floor)
        return Estimate(restored, -transmission.log(), transmission, airlight)

    def transmission(self, image: Tensor, airlight: Tensor) -> Tensor:
        """The refined transmission, `(1, H, W)` in [transmission_floor, 1], of one image `(3, H, W)`."""
        t = dark_channel_transmission(image, airlight, self.patch, self.omega)
        if self.refinement == "guided":
            t = guided_filter(image.mean(0, keepdim=True), t, self.guided_radius, self.guided_epsilon)
        elif self.refinement == "matting":
            t = soft_matting(image, t, self.matting_weight, self.matting_epsilon)
        return t.clamp(self.transmission_floor, 1)
