"""Dehazing by saturation: a clear scene is more saturated, and how much more gives the transmission.

Kim, Park & Eom, "Fast single image dehazing using saturation based transmission map estimation", IEEE TIP 29, 2020;
the numbers are those of its authors' demonstration.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from limpid.priors.base import Estimate, Prior
from limpid.priors.channels import dark_channel
from limpid.priors.order_statistics import median, percentile
from limpid.ranges import Count, Percentile, Pixels, PositiveFloat, PositiveShare, Share

_EPSILON = torch.finfo(torch.float32).eps


class Kim2020(Prior):
    """Saturation-based transmission, white balance where the haze is coloured, and a stretch of the result.

    The values are those of the authors' demonstration.

    Args:
        patch: side of the dark channel's patch for the airlight, in pixels, odd.
        airlight_bins: bins of the histogram of the dark channel.
        airlight_share: share of the pixels whose dark channel is below that of the airlight's.
        colour_margin: by how much white balance must reduce the range of the airlight's colours to be used.
        saturation_gamma: exponent of the curve that enhances saturation; 1 finds no haze.
        low: percentile of the result that becomes 0.
        high: percentile of the result that becomes 1.
        clahe: equalise the value channel of the result in 8 bits by tiles with a limited contrast, as the
            demonstration's second result.
        clahe_clip: OpenCV's limit of contrast for it.
        clahe_tiles: tiles along each side for it.
    """

    LIMITS = "Even surfaces without saturation keep their haze, and contrast is stretched even where there was no haze."

    def __init__(
        self,
        patch: Pixels = 15,
        airlight_bins: Count = 200,
        airlight_share: PositiveShare = 0.99,
        colour_margin: Share = 0.02,
        saturation_gamma: PositiveFloat = 0.2,
        low: Percentile = 0.5,
        high: Percentile = 99.9,
        clahe: bool = False,
        clahe_clip: PositiveFloat = 1.0,
        clahe_tiles: Count = 8,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.airlight_bins, self.airlight_share = airlight_bins, airlight_share
        self.colour_margin, self.saturation_gamma = colour_margin, saturation_gamma
        self.low, self.high = low, high
        self.clahe = clahe
        self.clahe_clip, self.clahe_tiles = clahe_clip, clahe_tiles

    def statistics(self, image: Tensor) -> dict[str, Tensor]:
        """What is found over the whole of one image `(3, H, W)` in [0, 1].

        The `airlight`, `(3,)`; the `range` of the radiance that becomes [0, 1], `(2,)`; and the factors of the white
        `balance` of the result, `(3,)`, all 1 where there is none.
        """
        airlight, tinted = self._airlight(image)
        radiance, _ = self._radiance(image, airlight)
        return {"airlight": airlight} | self._tones(radiance, tinted)

    def estimate_image(self, image: Tensor, statistics: dict[str, Tensor]) -> Estimate:
        """The estimate of one image `(3, H, W)` in [0, 1]; the depth is the optical one, ``-log t``."""
        return self._finished(*self._radiance(image, statistics["airlight"]), statistics)

    def estimate_alone(self, image: Tensor) -> Estimate:
        """The estimate of one image `(3, H, W)` in [0, 1] with its own statistics, without the batch axis."""
        airlight, tinted = self._airlight(image)
        radiance, transmission = self._radiance(image, airlight)
        return self._finished(radiance, transmission, {"airlight": airlight} | self._tones(radiance, tinted))

    def transmission(self, image: Tensor, airlight: Tensor) -> Tensor:
        """The transmission, `(1, H, W)` in [eps, 1], of one image `(3, H, W)` with its airlight `(3,)`."""
        normalised = image / airlight.clamp(min=_EPSILON).view(3, 1, 1)
        lowest = normalised.amin((1, 2), keepdim=True)
        span = normalised.amax((1, 2), keepdim=True) - lowest
        normalised.sub_(lowest).div_(span.clamp(min=_EPSILON))
        value = normalised.mean(0, keepdim=True)
        saturation = 1 - normalised.amin(0, keepdim=True) / (value + _EPSILON)
        power = 1 / self.saturation_gamma
        clear = torch.maximum(0.5 * (saturation**power + 1 - (1 - saturation) ** power), saturation)
        # (S' - S) / S' -> 1 - 2 gamma for S -> 0
        gain = torch.where(clear > 0, (clear - saturation) / clear, 1 - 2 * self.saturation_gamma)
        return (1 - value * gain).clamp(_EPSILON, 1)

    def _airlight(self, image: Tensor) -> tuple[Tensor, bool]:
        """The airlight `(3,)`: that of the white-balanced image where it is clearly greyer, and whether it is."""
        plain = self._haziest_colour(image)
        balanced = self._haziest_colour(_balanced(image, _grey_world(image)))
        tinted = _range(plain) >= _range(balanced) + self.colour_margin
        return (balanced if tinted else plain), tinted

    def _haziest_colour(self, image: Tensor) -> Tensor:
        """The median colour of the pixels with the largest dark channel, `(3,)`."""
        dark = dark_channel(image, self.patch)[0]
        low, high = dark.amin(), dark.amax()
        # As numpy.histogram has it: of a constant channel half a step to either side.
        edges = np.histogram_bin_edges(np.array([low.item(), high.item()], np.float32), self.airlight_bins)
        counts, _ = np.histogram(dark.cpu().numpy(), edges)
        reached = np.cumsum(counts) > self.airlight_share * dark.numel()
        haziest = dark >= torch.as_tensor(edges[int(reached.argmax())], dtype=dark.dtype, device=dark.device)
        return median(image[:, haziest])

    def _radiance(self, image: Tensor, airlight: Tensor) -> tuple[Tensor, Tensor]:
        """The radiance before it is stretched, `(3, H, W)` in [0, 1], and the transmission.

        In the demonstration a tinted image lends its white-balanced airlight, and is not balanced itself.
        """
        transmission = self.transmission(image, airlight)
        colour = airlight.view(3, 1, 1)
        return (image - colour).div_(transmission).add_(colour).clamp_(0, 1), transmission

    def _tones(self, radiance: Tensor, tinted: bool) -> dict[str, Tensor]:
        """The range of `radiance` that is stretched, and the white balance of the result of a tinted image."""
        span = percentile(radiance, torch.tensor([self.low, self.high]))
        factors = _grey_world(_stretched(radiance, span)) if tinted else torch.ones_like(radiance[:, 0, 0])
        return {"range": span, "balance": factors}

    def _finished(self, radiance: Tensor, transmission: Tensor, found: dict[str, Tensor]) -> Estimate:
        restored = _balanced(_stretched(radiance, found["range"]), found["balance"])
        if self.clahe:
            restored = self._equalised(restored)
        return Estimate(restored, -transmission.log(), transmission, found["airlight"])

    def _equalised(self, image: Tensor) -> Tensor:
        """`image` with its value channel equalised in tiles, in 8 bits."""
        levels = (image * 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        colours = cv2.cvtColor(levels, cv2.COLOR_RGB2HSV)
        tiles = (self.clahe_tiles, self.clahe_tiles)
        colours[..., 2] = cv2.createCLAHE(self.clahe_clip, tiles).apply(np.ascontiguousarray(colours[..., 2]))
        equalised = torch.from_numpy(cv2.cvtColor(colours, cv2.COLOR_HSV2RGB))
        return (equalised.permute(2, 0, 1).float() / 255).to(image)


def _range(colour: Tensor) -> float:
    return float(colour.amax() - colour.amin())


def _grey_world(image: Tensor) -> Tensor:
    """The factors `(3,)` that give red and blue the mean of green."""
    means = image.mean((1, 2))
    return means[1] / means.clamp(min=_EPSILON)


def _balanced(image: Tensor, factors: Tensor) -> Tensor:
    """`image` with each channel times its factor, at most 1."""
    return (image * factors.view(3, 1, 1)).clamp_(max=1)


def _stretched(image: Tensor, span: Tensor) -> Tensor:
    """`image` with the range `span` stretched to [0, 1]; as it is where the range is empty."""
    low, high = span
    if high <= low:
        return image
    return (image - low).div_(high - low).clamp_(0, 1)
