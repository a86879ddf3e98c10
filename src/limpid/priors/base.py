"""What dehazing priors share: one image at a time, one kind of estimate, one recovery of the radiance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from limpid.errors import UserError, nearest


class Estimate(NamedTuple):
    """What a prior finds in hazy images.

    Attributes:
        restored: the clear image, `(N, 3, H, W)` in [0, 1].
        scene_depth: `(N, 1, H, W)`, >= 0; its unit is that of 1 / attenuation.
        transmission: the share of the scene's light that reaches the camera, `(N, 1, H, W)` in (0, 1].
        airlight: the colour of the haze, `(N, 3)` in [0, 1].
    """

    restored: Tensor
    scene_depth: Tensor
    transmission: Tensor
    airlight: Tensor


class Prior(nn.Module):
    """Inverts the haze model without having learnt anything; subclasses write `statistics` and `estimate_image`."""

    #: What it cannot, in a sentence or two, for those who choose among methods.
    LIMITS: ClassVar[str] = ""

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape and range."""
        return self.estimate(x).restored

    @torch.no_grad()
    def estimate(self, x: Tensor) -> Estimate:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], and the depth, transmission and airlight found."""
        return stacked([self.estimate_alone(image) for image in x.float()])

    def estimate_alone(self, image: Tensor) -> Estimate:
        """The estimate of one image `(3, H, W)` in [0, 1] with its own statistics, without the batch axis.

        Methods override it whose last statistics are found in what they restored: here they restore it only once.
        """
        return self.estimate_image(image, self.statistics(image))

    def statistics(self, image: Tensor) -> dict[str, Tensor]:
        """What is found over the whole of one image `(3, H, W)` in [0, 1] by name, such as its `airlight`, `(3,)`.

        In a video these are smoothed over time before `estimate_image` is given them.
        """
        raise NotImplementedError

    def estimate_image(self, image: Tensor, statistics: dict[str, Tensor]) -> Estimate:
        """The estimate of one image `(3, H, W)` with these `statistics` of it, without the batch axis."""
        raise NotImplementedError


def stacked(estimates: Sequence[Estimate]) -> Estimate:
    """The estimate of a batch from those of its images, which come without the batch axis; of one image no copy."""
    if len(estimates) == 1:
        return Estimate(*(part[None] for part in estimates[0]))
    return Estimate(*(torch.stack(parts) for parts in zip(*estimates, strict=True)))


def recover(image: Tensor, airlight: Tensor, transmission: Tensor, floor: float, exponent: float = 1.0) -> Tensor:
    """The radiance ``J = (I - A) / max(T, floor)^exponent + A`` (wmcp, equation 17), held to [0, 1].

    Args:
        image: `(3, H, W)` in [0, 1].
        airlight: `(3,)` in [0, 1].
        transmission: `(1, H, W)`.
        floor: the smallest transmission divided by.
        exponent: below 1 it removes less haze than the model says; 1 is the recovery of He et al. 2011.
    """
    A = airlight.view(3, 1, 1)
    divisor = transmission.clamp(min=floor)
    return ((image - A) / (divisor if exponent == 1 else divisor**exponent)).add_(A).clamp_(0, 1)


def choice(name: str, value: str, known: tuple[str, ...]) -> str:
    """`value` if it is one of `known`.

    Raises:
        UserError: it is not.
    """
    if value not in known:
        raise UserError(f"{name}={value!r} is not one of {', '.join(known)}{nearest(value, known) or '.'}")
    return value


def within(name: str, value: float, least: float, most: float = math.inf) -> None:
    """Refuse a setting of a network that is too small or too large.

    Raises:
        UserError: it is below `least` or above `most`, or no number.
    """
    if not least <= value <= most:
        bounds = f"{least:g} or more" if most == math.inf else f"from {least:g} to {most:g}"
        raise UserError(f"network.{name} is {value:g}, but it must be {bounds}.")
