"""ROP+: the colour of the scattered light is found in rounds, its map by minimisation (Liu et al., TPAMI 2023)."""

from __future__ import annotations

import torch
from torch import Tensor

from limpid.priors.base import choice, within
from limpid.priors.nonfree.rank_one import RankOnePrior, directions, light_of, likeness
from limpid.priors.nonfree.smooth_map import Smoothing
from limpid.ranges import Layers, Percentile, PositiveFloat, PositiveShare, Share

#: Where the search for the colour begins.
STARTS = ("corner", "image")


class ROPPlus(RankOnePrior):
    """Removes light of the commonest colour, by a map that is smooth but where the image has edges.

    Values are those of the authors' program for sand; its default is for pictures under water.

    Args:
        allow_nonfree: see `RankOnePrior`.
        airlight_share: see `RankOnePrior`.
        omega: see `RankOnePrior`; 0.99 for haze.
        start: `corner` begins the search for the colour at the upper left pixel, as the authors' program does; `image`
            with the whole image, as their paper says.
        similarity: least cosine to the colour so far of the pixels that a round takes the next colour from.
        rounds: the most there are.
        smoothing: settings of `limpid.priors.nonfree.smooth_map.Smoothing`; `edges` is 50 for haze.
        transmission_floor: see `RankOnePrior`.
        low: see `RankOnePrior`.
        high: see `RankOnePrior`.
        gamma: see `RankOnePrior`.
        double_megapixels: see `RankOnePrior`.

    Raises:
        CannotRun: see `RankOnePrior`.
        UserError: `start` is none of those named, or a number is out of its range.
    """

    TITLE, NAME = "ROP+", "rop_plus"
    LIMITS = "It makes greys of any cast, also of a sunset's, and may be used where its patent and authors allow it."

    def __init__(
        self,
        allow_nonfree: bool = False,
        airlight_share: PositiveShare = 0.01,
        omega: Share = 0.8,
        start: str = "corner",
        similarity: Share = 0.99,
        rounds: Layers = 20,
        smoothing: Smoothing | None = None,
        transmission_floor: PositiveShare = 0.01,
        low: Percentile = 1.0,
        high: Percentile = 95.0,
        gamma: PositiveFloat = 5 / 6,
        double_megapixels: PositiveFloat = 4.0,
    ) -> None:
        super().__init__(allow_nonfree, airlight_share, omega, transmission_floor, low, high, gamma, double_megapixels)
        self.start = choice("start", start, STARTS)
        within("similarity", similarity, -1, 1)
        within("rounds", rounds, 0)
        self.similarity, self.rounds = similarity, rounds
        self.smoothing = smoothing or Smoothing()

    def haze(self, image: Tensor) -> dict[str, Tensor]:
        """See `RankOnePrior`: the scattered light has the colour that most pixels are like."""
        colour = self.colour(image)
        airlight, threshold = self.brightest(image, light_of(image, colour))
        return {"airlight": airlight, "scattered": colour, "threshold": threshold}

    def colour(self, image: Tensor) -> Tensor:
        """The colour of the scattered light, `(3,)` with the sum 1, of one image `(3, H, W)`.

        In each round it is the mean of the pixels that are like the colour of the round before, until it stays.
        """
        mean = image[:, 0, 0] if self.start == "corner" else image.mean((1, 2))
        toward = directions(image)
        for _ in range(self.rounds):
            alike = likeness(toward, mean) > self.similarity
            if not alike.any():
                break  # as in an image that is black where the search begins
            before, mean = mean, torch.stack([channel[alike].mean() for channel in image])
            if torch.equal(mean / mean.norm(), before / before.norm()):
                break
        return mean / mean.sum().clamp(min=1e-12)

    def transmission(self, image: Tensor, found: dict[str, Tensor]) -> Tensor:
        """See `RankOnePrior`."""
        colour, threshold = found["scattered"].to(image), found["threshold"].to(image)
        amount = light_of(image, colour)
        # The reflected light has the colour of the upper left pixel's, as the authors' program has it.
        corner = amount[0, 0] * colour
        limit = threshold * corner / corner.sum().clamp(min=1e-3)
        beyond = amount > threshold
        rough = torch.zeros_like(amount)
        first = torch.empty_like(colour)
        for channel, share in enumerate(colour):
            scattered = amount * share
            kept = 1 - self.omega * torch.where(beyond, 2 * limit[channel] - scattered, scattered)
            first[channel] = kept[0, 0]
            rough.add_(kept, alpha=1 / 3)
        shares = first / first.sum()
        smooth = self.smoothing(image, rough, shares)
        return smooth * shares.view(3, 1, 1)
