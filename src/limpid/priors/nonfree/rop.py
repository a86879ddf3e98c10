"""ROP: the scattered light has the mean colour of the image (Liu et al., CVPR 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limpid.errors import UserError
from limpid.priors.base import within
from limpid.priors.nonfree.rank_one import RankOnePrior, light_of
from limpid.priors.resizing import bicubic
from limpid.ranges import Percentile, Pixels, PositiveFloat, PositiveShare, Share

_LEAST_SHRINKING = 1e-4  #: a pixel is left of an image with sides of 10,000


class ROP(RankOnePrior):
    """Removes light of the image's mean colour from each pixel, as much as the pixel is like that colour.

    The map of what is removed is smoothed by shrinking it to a fiftieth or a few times that. Values are those of the
    authors' program of 2021; the paper of 2023 takes a projection without a reflection, and resamples bilinearly.

    Args:
        allow_nonfree: see `RankOnePrior`.
        airlight_share: see `RankOnePrior`.
        omega: see `RankOnePrior`.
        sizes: sides in pixels from which on an image counts as larger; the shorter side counts.
        shrinkings: the factor by which the map of an image below the first of `sizes` is shrunk, of one below the
            second, and of larger ones; one more than `sizes`.
        transmission_floor: see `RankOnePrior`.
        low: see `RankOnePrior`.
        high: see `RankOnePrior`.
        gamma: see `RankOnePrior`.
        double_megapixels: see `RankOnePrior`.

    Raises:
        CannotRun: see `RankOnePrior`.
        UserError: a number is out of its range, or there are more or fewer shrinkings.
    """

    TITLE, NAME = "ROP", "rop"
    LIMITS = "It makes greys of any cast, also of a sunset's, and may be used where its patent and authors allow it."

    def __init__(
        self,
        allow_nonfree: bool = False,
        airlight_share: PositiveShare = 0.001,
        omega: Share = 0.8,
        sizes: tuple[Pixels, ...] = (800, 1500),
        shrinkings: tuple[PositiveFloat, ...] = (0.02, 0.01, 0.005),
        transmission_floor: PositiveShare = 1e-3,
        low: Percentile = 1.0,
        high: Percentile = 99.0,
        gamma: PositiveFloat = 5 / 6,
        double_megapixels: PositiveFloat = 4.0,
    ) -> None:
        super().__init__(allow_nonfree, airlight_share, omega, transmission_floor, low, high, gamma, double_megapixels)
        if len(shrinkings) != len(sizes) + 1:
            raise UserError(
                f"network.shrinkings has {len(shrinkings)} numbers, but it must have {len(sizes) + 1}: one for images "
                f"below each of the {len(sizes)} network.sizes, and one for larger ones."
            )
        for shrinking in shrinkings:
            within("shrinkings", shrinking, _LEAST_SHRINKING, 1)
        self.sizes, self.shrinkings = tuple(sizes), tuple(shrinkings)

    def haze(self, image: Tensor) -> dict[str, Tensor]:
        """See `RankOnePrior`: the scattered light has the mean colour of the image."""
        mean = image.mean((1, 2))
        colour = mean / mean.sum().clamp(min=1e-12)
        # Of `colour` as in `transmission`: rounded otherwise, the pixel that is the threshold could lie beyond it.
        airlight, threshold = self.brightest(image, light_of(image, colour))
        return {"airlight": airlight, "scattered": colour, "threshold": threshold}

    def transmission(self, image: Tensor, found: dict[str, Tensor]) -> Tensor:
        """See `RankOnePrior`."""
        colour, threshold = found["scattered"].to(image), found["threshold"].to(image)
        amount = light_of(image, colour)
        beyond = amount > threshold
        height, width = amount.shape
        shrinking = self.shrinkings[sum(min(height, width) >= size for size in self.sizes)]
        small = (math.ceil(shrinking * height), math.ceil(shrinking * width))
        maps = []
        for share in colour:
            scattered = amount * share
            scattered = torch.where(beyond, 2 / 3 * threshold - scattered, scattered)
            shrunk = bicubic((1 - self.omega * scattered)[None], small, shrinking)
            maps.append(bicubic(shrunk, (height, width)))
        return torch.cat(maps)
