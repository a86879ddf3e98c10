"""Rain: layers of oriented streaks over a scene, from far and fine to near and coarse.

    S = sum over layers l of  n_l * k_l         (* is convolution; S is clipped to [0, 1])
    I = B + S (1 - B)   (screen)    or    I = B + S   (additive), clipped to [0, 1]
    B = J (1 - v) + a v                         (the veil of rain too far away to be seen as streaks)

J is the clear image. n_l holds the drops: zero but for randomly placed pixels with a drop's brightness. k_l is the
picture of one falling drop, with c across and s along its path in pixels:

    k_l(c, s) = exp(-c^2 / (2 w^2)) * cos^2(pi s / (2 length)),   |s| < length

so that a streak fades at both ends and is `length` long where it has half its brightness. The additive form is that of
Yang et al., Deep joint rain detection and removal, CVPR 2017; screen is the usual blend of rain that is painted with
Photoshop, as that of DID-MDN was (Zhang and Patel, CVPR 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from limpid.data.degradations.operators import Image, Sample, checked_range, current
from limpid.errors import UserError, nearest
from limpid.ranges import FiniteFloat, Layers, NonNegativeFloat, Share

#: Share of the image that streaks cover, by level. The numbers are the amounts of noise from which DID-MDN's rain of
#: these levels was made; as coverage they are our reading.
LEVELS = {"light": (0.05, 0.35), "medium": (0.35, 0.65), "heavy": (0.65, 0.95)}
#: These, and below them from no rain to single streaks.
COVERAGES = {**LEVELS, "sparse": (0.0, 0.08)}
BLENDS = ("screen", "additive")


def streak(length: float, width: float, angle: float) -> NDArray[np.float32]:
    """The picture k of one drop: odd sides, brightest in the middle.

    Across the path, k is averaged over a pixel, whose own standard deviation is 1 / sqrt(12): the profile is as wide as
    both together, and dimmer by as much. So thin streaks are faint lines, not rows of dots.

    Args:
        length: extent along the path, between the points of half brightness, in pixels, above 0.
        width: standard deviation across, in pixels, above 0.
        angle: from the vertical, in degrees; positive leans the upper end to the right.
    """
    lean = math.radians(angle)
    half_height = math.ceil(length * abs(math.cos(lean)) + 3 * width)
    half_width = math.ceil(length * abs(math.sin(lean)) + 3 * width)
    y, x = np.mgrid[-half_height : half_height + 1, -half_width : half_width + 1].astype(np.float64)
    along, across = x * math.sin(lean) - y * math.cos(lean), x * math.cos(lean) + y * math.sin(lean)
    fade = np.where(np.abs(along) < length, np.cos(np.pi * along / (2 * length)) ** 2, 0)
    widened = math.hypot(width, 1 / math.sqrt(12))
    return (width / widened * np.exp(-(across**2) / (2 * widened**2)) * fade).astype(np.float32)


def streak_layer(
    shape: tuple[int, int], kernel: NDArray[np.float32], coverage: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Drops of brightness 0.2 to 1 at random places, each drawn as `kernel`; overlapping drops add.

    Args:
        shape: (height, width).
        kernel: one drop.
        coverage: expected number of drops times the kernel's sum, over the number of pixels: the expected brightness
            of the layer if all drops had brightness 1.
        rng: source of one uniform number per pixel of the layer and a margin of the kernel's size, then of the drops'
            brightness, in the order of the pixels.
    """
    top, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    field = rng.random((shape[0] + 2 * top, shape[1] + 2 * left), dtype=np.float32)
    places = field < coverage / kernel.sum()
    drops = np.zeros_like(field)
    drops[places] = 0.2 + 0.8 * rng.random(int(places.sum()), dtype=np.float32) ** 2  # few are bright
    # filter2D correlates, which is convolution here: a drop's picture is the same when turned by 180 degrees.
    layer = cv2.filter2D(drops, -1, kernel, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(layer[top : top + shape[0], left : left + shape[1]], np.float32)


def blend_rain(image: Image, streaks: NDArray[np.float32], blend: str = "screen") -> Image:
    """Streaks `(H, W)` in [0, 1] over an image `(H, W, 3)` in [0, 1], by ``screen`` or ``additive``."""
    light = streaks[..., None]
    return image + light * (1 - image) if blend == "screen" else np.clip(image + light, 0, 1)


class Rain:
    """Rain streaks of a drawn density, direction and brightness.

    Args:
        level: ``light``, ``medium`` or ``heavy``; ``any``, one of the three drawn; or ``sparse``, less than light.
        angle: range of the direction, in degrees from the vertical, within -90 and 90.
        length: range of a streak's length in pixels.
        width: range of a streak's standard deviation across, in pixels.
        brightness: range of the streaks' brightness, by which all are multiplied.
        layers: how many layers. From the first to the last, length and width grow from 0.6 to 1.4 of what was drawn.
        angle_spread: standard deviation of a layer's direction around the drawn one, in degrees.
        veil: range of the share of light that comes from the veil; 0 is none, as in the deraining sets.
        veil_brightness: the veil's brightness, in [0, 1].
        blend: ``screen`` or ``additive``.

    Raises:
        UserError: a setting is out of bounds.
    """

    def __init__(
        self,
        level: str = "any",
        angle: Sequence[FiniteFloat] = (-25.0, 25.0),
        length: Sequence[NonNegativeFloat] = (8.0, 24.0),
        width: Sequence[NonNegativeFloat] = (0.35, 0.7),
        brightness: Sequence[Share] = (0.25, 0.6),
        layers: Layers = 4,
        angle_spread: NonNegativeFloat = 2.0,
        veil: Sequence[Share] = (0.0, 0.0),
        veil_brightness: Share = 0.75,
        blend: str = "screen",
    ) -> None:
        if level not in (*COVERAGES, "any"):
            raise UserError(
                f"The rain's level is {level!r}, but it must be one of {', '.join(COVERAGES)} and any"
                f"{nearest(str(level), COVERAGES)}."
            )
        if blend not in BLENDS:
            raise UserError(f"The rain's blend is {blend!r}, but it must be one of {', '.join(BLENDS)}.")
        if len(angle) != 2 or not -90 <= angle[0] <= angle[1] <= 90:
            raise UserError(
                f"The rain's angle is {list(angle)}, but it must be two numbers within -90 and 90, the lower first."
            )
        self.length = checked_range("rain", "length", length)
        self.width = checked_range("rain", "width", width)
        if min(self.length[0], self.width[0]) == 0 or layers < 1 or angle_spread < 0:
            raise UserError(
                f"The rain's length is {list(length)}, its width {list(width)}, its layers {layers} and its "
                f"angle_spread {angle_spread}, but the first three must be above 0 and the last not negative."
            )
        self.brightness = checked_range("rain", "brightness", brightness, 1)
        self.veil = checked_range("rain", "veil", veil, 1)
        self.veil_brightness = checked_range("rain", "veil_brightness", (veil_brightness, veil_brightness), 1)[0]
        self.level = level
        self.angle = (float(angle[0]), float(angle[1]))
        self.layers = layers
        self.blend = blend
        self.angle_spread = angle_spread

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample in the rain.

        Args:
            sample: `target` `(H, W, 3)`, and `input` where something was degraded before.
            rng: source of the level (where it is ``any``), coverage, brightness, angle, length, width and veil, and
                then, per layer, of its direction and its drops.

        Returns:
            The sample with `input`, `streaks` (H, W) in [0, 1], and the drawn `rain_level`, `rain_coverage` and
            `rain_angle`.
        """
        image = current(sample)
        level = list(LEVELS)[rng.integers(len(LEVELS))] if self.level == "any" else self.level
        coverage, brightness = float(rng.uniform(*COVERAGES[level])), rng.uniform(*self.brightness)
        angle = float(rng.uniform(*self.angle))
        length = rng.uniform(*self.length)
        width = rng.uniform(*self.width)
        veil = np.float32(rng.uniform(*self.veil))
        height, width_of_image = image.shape[:2]
        streaks = np.zeros((height, width_of_image), np.float32)
        for nearness in np.linspace(0.6, 1.4, self.layers) if self.layers > 1 else [1.0]:
            kernel = streak(length * nearness, width * nearness, angle + self.angle_spread * rng.standard_normal())
            streaks += streak_layer((height, width_of_image), kernel, coverage / self.layers, rng)
        streaks = np.clip(np.float32(brightness) * streaks, 0, 1)
        behind = image * (1 - veil) + np.float32(self.veil_brightness) * veil
        drawn = {"streaks": streaks, "rain_level": level, "rain_coverage": coverage, "rain_angle": angle}
        return sample | {"input": blend_rain(behind, streaks, self.blend)} | drawn
