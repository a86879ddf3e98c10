"""The colour of the haze: He et al.'s brightest pixel, and the colour constancy prior of Gautam et al."""

from __future__ import annotations

import math

from torch import Tensor

from limpid.priors.filters import min_filter

#: What the colour constancy prior may rank its candidates by.
RANKS = ("value", "darkest_channel")


def brightest_hazy_pixel(image: Tensor, dark_channel: Tensor, share: float = 0.001) -> Tensor:
    """The brightest pixel of the image among the haziest ones (He et al. 2011).

    Args:
        image: `(3, H, W)` in [0, 1].
        dark_channel: `(1, H, W)`; its largest values mark the haziest pixels.
        share: how many of the pixels count as haziest; at least one does.

    Returns:
        The colour of that pixel, `(3,)`; brightness is the mean of the channels; of equals the first counts.
    """
    haziest = _first(dark_channel.flatten(), share)
    colours = image.flatten(1)[:, haziest]
    return colours[:, colours.sum(0).argmax()]


def brightest_of_haziest(image: Tensor, patch: int, share: float) -> Tensor:
    """The largest value of each channel among the haziest pixels, `(3,)`: a colour that no pixel need have.

    Args:
        image: `(3, H, W)` in [0, 1].
        patch: side of the dark channel's patch in pixels, odd; its largest values mark the haziest pixels.
        share: how many of the pixels count as haziest; at least one does.
    """
    haziest = _first(min_filter(image.amin(0), patch).flatten(), share)
    return image.flatten(1)[:, haziest].amax(1)


def color_constancy_airlight(
    image: Tensor, window: int = 15, share: float = 0.10, discard: float = 0.40, rank: str = "value"
) -> Tensor:
    """The colour constancy prior (Gautam et al., IEEE SPL 2020): a hazy pixel, not one of the brightest.

    1. The minimum filter of V = max(R, G, B) is sorted; its largest `share` gives the candidates K_B.
    2. The brightest `discard` of the candidates is dropped: lamps, white walls, reflections.
    3. Of those left, the brightest pixel is the airlight; among equals the first in column order.

    Args:
        image: `(3, H, W)` in [0, 1].
        window: side of the minimum filter's window in pixels, odd.
        share: alpha, the share of all pixels that are candidates.
        discard: gamma, the share of the candidates that is dropped; 0 keeps the brightest (wmcp table 3,
            case 4).
        rank: `value` ranks candidates by V, as printed; `darkest_channel` by min(R, G, B).

    Returns:
        The colour of that pixel, `(3,)`.
    """
    by_columns = image.transpose(1, 2)
    value = by_columns.amax(0)
    candidates = _first(min_filter(value, window).flatten(), share)
    brightness = (value if rank == "value" else by_columns.amin(0)).flatten()[candidates]
    order = brightness.argsort(descending=True, stable=True)
    left = order[min(math.floor(discard * len(order)), len(order) - 1) :]
    equals = left[brightness[left] == brightness[left[0]]]
    return by_columns.flatten(1)[:, candidates[equals].min()]


def _first(values: Tensor, share: float) -> Tensor:
    """Positions of the largest `share` of `values`, at least one, equals in their order."""
    count = max(1, math.floor(share * len(values)))
    return values.argsort(descending=True, stable=True)[:count]
