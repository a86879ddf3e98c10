"""Motion blur as the mean of sharp frames, in the light that a sensor sees.

Nah et al., Deep multi-scale convolutional neural network for dynamic scene deblurring, CVPR 2017, equations 2 and 3:

    B = g(1/n sum_i g^-1(S_i)),   g(x) = x^(1/gamma)

S_i are the frames as files have them, g the camera's response, which GoPro approximates by gamma = 2.2. Gamma = 1
averages what files have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from limpid.data.degradations.operators import Image, Sample, checked_range, current
from limpid.errors import UserError
from limpid.ranges import CountOrNone, Layers, NonNegativeFloat, PositiveFloat

#: GoPro's approximation of the camera's response.
GOPRO_GAMMA = 2.2


def average_frames(frames: Iterable[Image], gamma: float = GOPRO_GAMMA) -> Image:
    """The blurred image B of frames `(H, W, 3)` in [0, 1], all of one size.

    Args:
        frames: one or more; they are taken one by one, so a generator saves memory.
        gamma: of the camera's response; 1 is the plain mean.

    Raises:
        UserError: there is no frame.
    """
    total, count = None, 0
    for frame in frames:
        light = frame.astype(np.float64) ** gamma
        total, count = light if total is None else total + light, count + 1
    if total is None:
        raise UserError("Motion blur needs at least one frame to average, but there is none.")
    return ((total / count) ** (1 / gamma)).astype(np.float32)


class FrameAverage:
    """Averages the frames that a sample brings; the middle one is the target (of an even number, the later one).

    Args:
        gamma: of the camera's response.

    Raises:
        UserError: gamma is not above 0.
    """

    def __init__(self, gamma: PositiveFloat = GOPRO_GAMMA) -> None:
        self.gamma = _checked_gamma(gamma)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with `input` and `target` `(H, W, 3)` in place of its `frames` (n, H, W, 3); draws nothing.

        Raises:
            UserError: the sample has no frames.
        """
        if "frames" not in sample:
            raise UserError(
                f"Averaging frames needs the frames of a video, but {sample.get('name', 'a sample')} has none; use a "
                "set of videos, or CameraShake, which moves a single image."
            )
        rest = {key: value for key, value in sample.items() if key != "frames"}
        frames = sample["frames"]
        return rest | {"input": average_frames(frames, self.gamma), "target": frames[len(frames) // 2]}


class CameraShake:
    """Moves the image along a drawn path while the shutter is open, and averages.

    At the time u, from -1/2 to 1/2, the image is shifted by p(u) = L (u e + b u^2 e') and turned around its middle by
    r u, where e is a direction and e' is square to it. At u = 0 it is where it was, so the target stays aligned. What
    comes in from outside is mirrored. Moving and averaging happen in linear light.

    With `objects`, some ellipses of the picture take a path and a turn of their own, drawn by the same rule, in front
    of the rest; their targets stay where they were too.

    Args:
        length: range of the path's length L in pixels.
        bend: largest b; it is drawn uniformly within -b and b.
        roll: largest turn r in degrees, drawn uniformly within -r and r.
        frames: how many moments are averaged; an odd number has u = 0 among them. Steps of more than about one pixel
            show as copies.
        gamma: of the camera's response.
        objects: how many things move on their own at most; their number is drawn from 0 to this.

    Raises:
        UserError: a setting is out of bounds.
    """

    def __init__(
        self,
        length: Sequence[NonNegativeFloat] = (4.0, 24.0),
        bend: NonNegativeFloat = 0.5,
        roll: NonNegativeFloat = 1.0,
        frames: Layers = 25,
        gamma: PositiveFloat = GOPRO_GAMMA,
        objects: CountOrNone = 0,
    ) -> None:
        self.length, self.gamma = checked_range("camera shake", "length", length), _checked_gamma(gamma)
        if bend < 0 or roll < 0 or frames < 1:
            raise UserError(
                f"The camera shake's bend is {bend}, its roll {roll} and its frames {frames}, but the first two must "
                "not be negative and the last at least 1."
            )
        self.bend = bend
        self.roll = roll
        self.frames = frames
        self.objects = objects

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with `input` shaken, `shake_length` and `shake_angle` in degrees.

        Draws L, the direction, b and r of the camera; with `objects`, their number, and of each its shape and its own.
        """
        camera = self._motion(rng)
        image = current(sample)
        count = int(rng.integers(self.objects + 1)) if self.objects else 0
        things = [_ellipse(image.shape[:2], rng) for _ in range(count)]
        motions = [self._motion(rng) for _ in things]
        times = np.linspace(-0.5, 0.5, self.frames) if self.frames > 1 else np.zeros(1)
        light = image**self.gamma

        def frame(u: float) -> Image:
            seen = camera.applied(light, u)
            for shape, motion in zip(things, motions, strict=True):
                cover = motion.applied(shape, u)[..., None]
                seen = seen + cover * (motion.applied(light, u) - seen)
            return seen

        blurred = np.clip(average_frames(map(frame, times), 1), 0, 1) ** np.float32(1 / self.gamma)
        return sample | {"input": blurred, "shake_length": camera.length, "shake_angle": camera.angle}

    def _motion(self, rng: np.random.Generator) -> _Motion:
        length, angle = float(rng.uniform(*self.length)), float(rng.uniform(0, 180))
        bend, roll = rng.uniform(-self.bend, self.bend), rng.uniform(-self.roll, self.roll)
        return _Motion(length, angle, bend, roll)


class _Motion(NamedTuple):
    """A drawn path and turn: L in pixels, the direction in degrees, b, and r in degrees."""

    length: float
    angle: float
    bend: float
    roll: float

    def applied(self, image: Image, u: float) -> Image:
        """The image or mask at time u."""
        return _moved(image, *_path(u, self.length, self.angle, self.bend), self.roll * u)


def _ellipse(shape: tuple[int, int], rng: np.random.Generator) -> Image:
    """A mask `(H, W)` in [0, 1] of a soft-edged ellipse, a fifth to four fifths of the image's shorter side long."""
    height, width = shape
    middle = (int(rng.integers(width)), int(rng.integers(height)))
    half = rng.uniform(0.1, 0.4, 2) * min(height, width)
    axes = (max(1, int(half[0])), max(1, int(half[1])))
    mask = np.zeros(shape, np.float32)
    cv2.ellipse(mask, middle, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (5, 5), 1.0), np.float32)


def _path(u: float, length: float, angle: float, bend: float) -> tuple[float, float]:
    """The shift (to the right, down) in pixels at time u."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return length * (u * cos - bend * u**2 * sin), length * (u * sin + bend * u**2 * cos)


def _moved(image: Image, right: float, down: float, turn: float) -> Image:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn, 1.0)
    matrix[:, 2] += np.array([right, down])
    moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.float32)


def _checked_gamma(gamma: float) -> float:
    if gamma <= 0:
        raise UserError(f"Motion blur's gamma is {gamma}, but it must be above 0; 1 is the plain mean.")
    return gamma
