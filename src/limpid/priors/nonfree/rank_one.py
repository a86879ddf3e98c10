"""What ROP and ROP+ share: who may use them, where they find the airlight, and how they finish an image.

Liu, Liu, Liu, He & Ma, "Rank-One Prior: Toward Real-Time Scene Recovery", CVPR 2021, and IEEE TPAMI 45(7), 2023. The
values are those of their authors' programs, which compute in double precision and end in 8 bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from limpid.errors import CannotRun
from limpid.priors.base import Estimate, Prior, within
from limpid.priors.nonfree.tone import toned
from limpid.priors.order_statistics import percentile, places_of_largest
from limpid.ranges import Percentile, PositiveFloat, PositiveShare, Share

#: Below it a length or a sum is not divided by.
_LEAST = 1e-3
_LEAST_FLOOR = 1e-6  #: of the transmission that is divided by
_GAMMAS = (0.01, 100.0)  #: beyond them all becomes white or black


class RankOnePrior(Prior):
    """A prior by which the light that is scattered has one colour, so that its map has rank one.

    Args:
        allow_nonfree: that the method may be used; see NOTICE.md beside this module.
        airlight_share: share of the pixels, those with the most scattered light, whose mean is the airlight.
        omega: share of the scattered light that is removed.
        transmission_floor: the least transmission divided by.
        low: percentile of each channel of the radiance that becomes black.
        high: percentile that becomes white.
        gamma: exponent that brightens the luma of the result at last.
        double_megapixels: up to which an image is computed in double precision, as the authors' programs do; a larger
            one takes half the memory and time without, and few of its values differ, by up to three levels.

    Raises:
        CannotRun: `allow_nonfree` is not set.
        UserError: a number is out of its range.
    """

    #: What people call it.
    TITLE = ""
    #: Its name in the registry.
    NAME = ""

    def __init__(
        self,
        allow_nonfree: bool,
        airlight_share: PositiveShare,
        omega: Share,
        transmission_floor: PositiveShare,
        low: Percentile,
        high: Percentile,
        gamma: PositiveFloat,
        double_megapixels: PositiveFloat,
    ) -> None:
        super().__init__()
        if not allow_nonfree:
            raise CannotRun(
                f"{self.TITLE} is off, because its algorithm is patented in China (ZL 202011281893.3) and its authors "
                "allow it for non-commercial use only (Limpid's program is its own, written from the formulas); where "
                f'you may use it, type allow_nonfree=true, or limpid.build("{self.NAME}", allow_nonfree=True) in '
                "Python."
            )
        within("airlight_share", airlight_share, 0, 1)
        within("omega", omega, 0, 1)
        within("transmission_floor", transmission_floor, _LEAST_FLOOR)
        within("low", low, 0, 100)
        within("high", high, low, 100)
        within("gamma", gamma, *_GAMMAS)
        within("double_megapixels", double_megapixels, 0)
        self.airlight_share, self.omega = airlight_share, omega
        self.transmission_floor = transmission_floor
        self.low, self.high = low, high
        self.gamma = gamma
        self.double_megapixels = double_megapixels

    def statistics(self, image: Tensor) -> dict[str, Tensor]:
        """What is found over the whole of one image `(3, H, W)` in [0, 1].

        The `airlight`, `(3,)`; the `scattered` light's colour, `(3,)` with the sum 1; the `threshold` of its amount
        beyond which it is reflected; and of the radiance the `black` and the `white` of each channel, `(3,)`.
        """
        image = self.precise(image)
        found = self.haze(image)
        radiance, _ = self.radiance(image, found)
        return found | self._ends(radiance)

    def estimate_image(self, image: Tensor, statistics: dict[str, Tensor]) -> Estimate:
        """The estimate of one image `(3, H, W)` in [0, 1].

        Its transmission is the mean of those of the channels, and its depth the optical one, ``-log t``.
        """
        radiance, transmission = self.radiance(self.precise(image), statistics)
        return self._finished(radiance, transmission, statistics)

    def estimate_alone(self, image: Tensor) -> Estimate:
        """The estimate of one image `(3, H, W)` in [0, 1] with its own statistics, without the batch axis."""
        image = self.precise(image)
        found = self.haze(image)
        radiance, transmission = self.radiance(image, found)
        return self._finished(radiance, transmission, found | self._ends(radiance))

    def haze(self, image: Tensor) -> dict[str, Tensor]:
        """The `airlight`, the colour of the `scattered` light and its `threshold`; see `statistics`."""
        raise NotImplementedError

    def transmission(self, image: Tensor, found: dict[str, Tensor]) -> Tensor:
        """The transmission of each channel, `(3, H, W)`, of an image `(3, H, W)`."""
        raise NotImplementedError

    def radiance(self, image: Tensor, found: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """``(I - A) / max(T, floor) + A``, `(3, H, W)` of any range, and the mean of T over channels, `(1, H, W)`."""
        transmission = self.transmission(image, found)
        mean = transmission.mean(0, keepdim=True)
        A = found["airlight"].to(image).view(3, 1, 1)
        return (image - A).div_(transmission.clamp_(min=self.transmission_floor)).add_(A), mean

    def precise(self, image: Tensor) -> Tensor:
        """`image` in double precision, unless it is large, with values of 8 bit exact: float32 holds k / 255 nearly.

        Without it some values would be rounded to another level in the end.
        """
        if image[0].numel() > self.double_megapixels * 1e6:
            return image
        levels = image.double() * 255
        whole = levels.round()
        return torch.where((levels - whole).abs() < 1e-4, whole, levels).div_(255)

    def brightest(self, image: Tensor, amount: Tensor) -> tuple[Tensor, Tensor]:
        """The mean colour `(3,)` of the pixels with the largest `amount` `(H, W)`, and the least amount among these.

        Of equal amounts the first are taken column by column, as the authors' programs sort.
        """
        by_columns = amount.T.flatten()
        count = max(1, int(self.airlight_share * len(by_columns)))
        places = places_of_largest(by_columns, count, first=True)
        height = amount.shape[0]
        return image[:, places % height, places // height].mean(1), by_columns[places].amin()

    def _ends(self, radiance: Tensor) -> dict[str, Tensor]:
        percents = torch.tensor([self.low, self.high])
        ends = torch.stack([percentile(channel, percents, centred=True) for channel in radiance])
        return {"black": ends[:, 0], "white": ends[:, 1]}

    def _finished(self, radiance: Tensor, transmission: Tensor, found: dict[str, Tensor]) -> Estimate:
        for channel, black, white in zip(radiance, found["black"], found["white"], strict=True):
            if white > black:  # otherwise there is no contrast to stretch
                channel.sub_(black).div_(white - black)
        depth = -transmission.clamp(_LEAST, 1).log()
        restored = toned(radiance, self.gamma)
        airlight = found["airlight"].float()
        return Estimate(restored, depth.float(), transmission.clamp(0, 1).float(), airlight)


def directions(image: Tensor) -> Tensor:
    """The colour of each pixel of `image` `(3, H, W)` as a vector of length 1; what is nearly black is shorter."""
    squares = image[0].square().addcmul_(image[1], image[1]).addcmul_(image[2], image[2])
    return image / squares.sqrt_().clamp_(min=_LEAST)


def likeness(toward: Tensor, colour: Tensor) -> Tensor:
    """The cosine between each pixel's colour and `colour` `(3,)`, `(H, W)`, of the pixels' `directions`."""
    red, green, blue = (colour / colour.norm().clamp(min=_LEAST)).tolist()
    return (toward[0] * red).add_(toward[1], alpha=green).add_(toward[2], alpha=blue)


def light_of(image: Tensor, colour: Tensor) -> Tensor:
    """The light of `colour` `(3,)` in each pixel of `image` `(3, H, W)`, summed over channels: `(H, W)`."""
    return likeness(directions(image), colour) * image.sum(0)
