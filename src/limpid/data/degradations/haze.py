"""Haze by the atmospheric scattering model: I = J t + A (1 - t), t = exp(-beta d).

McCartney, Optics of the Atmosphere, 1976; Narasimhan and Nayar, IJCV 2002. I is the hazy image, J the clear
one, t the transmission, A the airlight, beta the scattering coefficient and d the scene depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from limpid.data.degradations.operators import Sample, checked_range, current
from limpid.data.degradations.pseudo_depth import checked_source, depth_of
from limpid.errors import UserError, nearest
from limpid.ranges import NonNegativeFloat, PositiveFloat, Share

if TYPE_CHECKING:  # sets that only describe haze shall not load torch
    import torch

#: Scattering coefficients of the three levels of haze in WMCP-EM's table 1 (SOTS indoor references).
WMCP_BETA = {"mild": (0.2, 0.7), "moderate": (0.8, 1.3), "dense": (1.4, 1.8)}

Maps = TypeVar("Maps", NDArray[np.float32], "torch.Tensor")


def transmission_from_depth(scene_depth: Maps, beta: float | Maps) -> Maps:
    """The share of light that passes the haze, t = exp(-beta d).

    Args:
        scene_depth: depth d, not negative, of any shape; a NumPy array or a tensor.
        beta: scattering coefficient in units of 1 / depth; a number, or an array that broadcasts.

    Returns:
        t in (0, 1], of the type of `scene_depth`.
    """
    exponent = -beta * scene_depth
    return np.exp(exponent) if isinstance(exponent, np.ndarray | np.generic) else exponent.exp()


def scatter(image: Maps, transmission: Maps, airlight: float | Maps) -> Maps:
    """The hazy image I = J t + A (1 - t); nothing is clipped.

    Arrays and tensors alike; all three must broadcast, for instance (H, W, 3), (H, W, 1) and (3,) for NumPy
    images, or (N, 3, H, W), (N, 1, H, W) and (N, 3, 1, 1) for batches.

    Args:
        image: the clear image J in [0, 1].
        transmission: t in [0, 1].
        airlight: A, a number or a colour, in [0, 1].
    """
    return image * transmission + airlight * (1 - transmission)


class Haze:
    """Puts haze of a drawn density and airlight on a sample whose depth is known.

    The defaults are those of RESIDE's indoor sets (Li et al., TIP 2019): beta uniform in [0.6, 1.8], airlight
    uniform in [0.7, 1.0] and alike in all channels, depth relative to the furthest point of the scene.
    With them, windows of 96x96 of the set `scenes` come to 12.9 dB of PSNR on average (standard deviation
    4.0; 5 % are below 7.5, 5 % above 19.5; 600 images). 22 pairs of SOTS indoor, whose airlight is 1, have
    12.1 dB (2.5).

    Args:
        beta: range of the scattering coefficient, per `depth_scale` of relative depth.
        airlight: range of the airlight's brightness.
        airlight_tint: each channel of the airlight differs from its brightness by a uniform number up to
            this; the sum is kept in [0, 1].
        depth_scale: factor on the sample's depth. 1 keeps depth relative to the furthest point, as
            RESIDE has it.
        depth: ``sample`` takes the sample's `depth`, ``stand_in`` guesses it from the clear image (see
            `stand_in_depth`; it is no measurement), ``either`` guesses where the sample has none, ``drawn`` draws one
            (see `drawn_depth`).

    Raises:
        UserError: a range is not two numbers in ascending order, a value is out of bounds, or `depth` is none of the
            four.
    """

    def __init__(
        self,
        beta: Sequence[NonNegativeFloat] = (0.6, 1.8),
        airlight: Sequence[Share] = (0.7, 1.0),
        airlight_tint: Share = 0.0,
        depth_scale: PositiveFloat = 1.0,
        depth: str = "sample",
    ) -> None:
        self.beta = checked_range("haze", "beta", beta)
        self.airlight = checked_range("haze", "airlight", airlight, 1)
        if airlight_tint < 0 or depth_scale <= 0:
            raise UserError(
                f"The haze's airlight_tint is {airlight_tint} and its depth_scale {depth_scale}, but the "
                "first must not be negative and the second must be above 0."
            )
        self.airlight_tint, self.depth_scale = airlight_tint, depth_scale
        self.depth = checked_source("haze", depth)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """A copy of the sample with haze.

        Args:
            sample: `target` (H, W, 3) float32 in [0, 1] and, unless it is guessed, `depth` (H, W) float32 in
                [0, 1], which are kept; where there is `input` already, haze is put on that.
            rng: source of beta and airlight, drawn in this order.

        Returns:
            The sample and `input` (H, W, 3) float32 in [0, 1], `beta` (a float; what multiplies `depth`, so
            `depth_scale` is in it), `transmission` (H, W) float32 in (0, 1], and `airlight` (3,) float32.

        Raises:
            UserError: the sample has no depth.
        """
        scene_depth = depth_of(sample, self.depth, "Haze", rng)
        beta = float(rng.uniform(*self.beta)) * self.depth_scale
        brightness = rng.uniform(*self.airlight)
        tint = rng.uniform(-self.airlight_tint, self.airlight_tint, 3)
        airlight = np.clip(brightness + tint, 0, 1).astype(np.float32)
        transmission = transmission_from_depth(scene_depth, beta)
        hazy = np.clip(scatter(current(sample), transmission[..., None], airlight), 0, 1)
        return sample | {"input": hazy, "beta": beta, "transmission": transmission, "airlight": airlight}


def wmcp_haze(level: str, airlight: Sequence[float] = (0.7, 1.0), depth_scale: float = 1.0) -> Haze:
    """The haze of one level of WMCP-EM's table 1, for clear indoor images with depth.

    The table prints the ranges of beta only; that beta is drawn uniformly, the airlight and the scale of depth are
    RESIDE's, on whose SOTS indoor references the table was made.

    Args:
        level: ``mild``, ``moderate`` or ``dense``.
        airlight: range of the airlight's brightness.
        depth_scale: factor on the sample's depth.

    Raises:
        UserError: the level is none of the three, or as for `Haze`.
    """
    if level not in WMCP_BETA:
        raise UserError(
            f"The level of haze is {level!r}, but it must be one of {', '.join(WMCP_BETA)}"
            + (nearest(level, WMCP_BETA) or ".")
        )
    return Haze(WMCP_BETA[level], airlight, depth_scale=depth_scale)
