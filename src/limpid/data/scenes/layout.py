"""What a scene is before it is drawn, and what the layouts of rooms and of views outdoors share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limpid.data.scenes.arrays import Array
from limpid.data.scenes.raster import Camera, Solid, Triple
from limpid.data.scenes.shading import Lighting
from limpid.data.scenes.textures import TILE, fractal_noise


@dataclass(frozen=True)
class Layout:
    """A scene before it is drawn.

    Attributes:
        camera: the view.
        solids: the objects; the first is the room if `enclosed`.
        enclosed: whether the first solid is a room seen from inside.
        lighting: lamps, sun, ambient light.
        tiles: kinds of the texture tiles, numbered by place.
        noise: a field in [0, 1] for textures and clouds.
        leaves: a rougher field in [0, 1] for ragged outlines.
        furthest: depth in metres that counts as 1; everything beyond, the sky too, counts as 1.
    """

    camera: Camera
    solids: list[Solid]
    enclosed: bool
    lighting: Lighting
    tiles: list[str]
    noise: Array
    leaves: Array
    furthest: float


def noise_fields(rng: np.random.Generator) -> tuple[Array, Array]:
    """The smooth and the rough field of a scene."""
    return fractal_noise(rng, 2 * TILE), fractal_noise(rng, coarsest=8, slope=0.3)


def camera_for(
    rng: np.random.Generator,
    size: tuple[int, int],
    position: Triple,
    yaw: float,
    pitch: float,
    full_size: int,
    roll: float = 0.02,
    focal: tuple[float, float] = (0.7, 1.3),
) -> Camera:
    """A camera whose window is a random part of a larger picture.

    Training on small windows should show what small windows of photographs show, so a window whose longer
    side is below `full_size` pixels is taken from a picture of up to that size.

    Args:
        rng: source of all choices.
        size: height and width of the window in pixels.
        position: of the camera in metres.
        yaw: angle about the vertical, radians.
        pitch: angle upwards, radians.
        full_size: longer side of the largest whole picture, in pixels.
        roll: standard deviation of the angle about the optical axis, radians.
        focal: range of the focal length relative to the longer side of the whole picture.
    """
    zoom = max(1.0, full_size / max(size)) ** rng.random()
    height, width = size[0] * zoom, size[1] * zoom
    length = max(height, width) * rng.uniform(*focal)
    centre = (width / 2 - rng.random() * (width - size[1]), height / 2 - rng.random() * (height - size[0]))
    return Camera.looking(position, yaw, pitch, rng.normal(0, roll), length, centre, size)


def largest(solids: Sequence[Solid], start: int, count: int = 10, tallest: float = 60) -> list[int]:
    """The places of the `count` solids from `start` on with the largest shadows, none above `tallest` m."""
    bulk = {
        place: math.prod(sorted(solid.half)[1:])
        for place, solid in enumerate(solids)
        if place >= start and 2 * solid.half[1] < tallest
    }
    return sorted(bulk, key=lambda place: -bulk[place])[:count]


def lamp_colour(rng: np.random.Generator, strength: float, warm: float = 0.1, spread: float = 0.15) -> Triple:
    """A light's colour between candle (warm) and shade (bluish)."""
    warmth = min(max(rng.normal(warm, spread), -0.5), 0.5)
    return strength * (1 + warmth), strength, strength * (1 - 1.3 * warmth)


def clearance(solid: Solid, eye: Triple) -> float:
    """Distance along the floor between the eye and a solid; a long box may pass beside the eye."""
    reach = math.hypot(solid.half[0], solid.half[2])
    reach = min(reach, 1.0) if solid.shape == "box" else reach
    return math.hypot(solid.centre[0] - eye[0], solid.centre[2] - eye[2]) - reach
