"""Draws views of rooms and of the outdoors from random numbers, with the exact depth of every pixel."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from limpid.data.scenes.arrays import Array, resized, vector
from limpid.data.scenes.indoor import indoor
from limpid.data.scenes.layout import Layout
from limpid.data.scenes.outdoor import outdoor
from limpid.data.scenes.raster import rasterise
from limpid.data.scenes.shading import TILE_NUMBER, Surfaces, shade
from limpid.data.scenes.textures import Atlas, draw_tile
from limpid.errors import UserError

SMALLEST = 16  # pixels; the shortest side that a scene, and every network, takes


class Scene(NamedTuple):
    """A view and its depth.

    Attributes:
        image: (H, W, 3) float32 RGB in [0, 1].
        scene_depth: (H, W) float32 in [0, 1]: depth along the optical axis divided by that of the scene's
            furthest point. 0 is at the camera, 1 is the furthest corner of a room or the sky.
    """

    image: Array
    scene_depth: Array


def check_size(height: int, width: int) -> None:
    """Refuse sizes that are too small to hold a scene.

    Raises:
        UserError: a side is shorter than `SMALLEST`.
    """
    if min(height, width) < SMALLEST:
        raise UserError(
            f"A scene of {width}x{height} pixels was asked for, but both sides must be at least {SMALLEST}; "
            "choose a larger height and width."
        )


def draw_scene(
    rng: np.random.Generator, height: int, width: int, indoor_share: float = 0.7, full_size: int = 480
) -> Scene:
    """A scene, drawn from random numbers.

    The depth is not estimated: each pixel's ray is intersected in closed form with boxes, balls, cylinders
    and cones, and the image is shaded at those points.

    Args:
        rng: source of all randomness; the same state gives the same scene.
        height: rows, at least `SMALLEST`.
        width: columns, at least `SMALLEST`.
        indoor_share: probability of a room; otherwise a view outdoors.
        full_size: a window whose longer side is below this many pixels is a random part of a picture up to
            this size, as a training crop of a photograph is.

    Raises:
        UserError: the size is too small.
    """
    check_size(height, width)
    layout = (indoor if rng.random() < indoor_share else outdoor)(rng, (height, width), full_size)
    offsets = rng.random((len(layout.solids), 2), np.float32)
    depth, surface = rasterise(layout.camera, layout.solids, layout.enclosed, layout.leaves)
    surfaces = Surfaces.of(layout.solids, layout.camera, layout.enclosed, offsets)
    used = set(surfaces.paint[TILE_NUMBER][np.bincount(surface.ravel()).nonzero()].astype(int).tolist())
    tiles = [draw_tile(rng, kind, layout.noise) if n in used else None for n, kind in enumerate(layout.tiles)]
    image = shade(
        layout.camera, depth, surface, surfaces, Atlas(tiles), layout.lighting, layout.solids, layout.enclosed
    )
    if not layout.enclosed:
        image = np.where((surface == 0)[..., None], _sky(rng, layout), image)
    scene_depth = np.minimum(depth / layout.furthest, 1)
    return Scene(develop(rng, image), scene_depth)


def _sky(rng: np.random.Generator, layout: Layout) -> Array:
    """Linear light of the sky: a gradient from the horizon up, with clouds, (H, W, 3)."""
    rays = layout.camera.rays
    rise = np.clip(rays[1] / np.sqrt(np.einsum("iyx,iyx->yx", rays, rays)), 0, 1)[..., None]
    horizon = vector([0.75, 0.82, 0.9]) * rng.uniform(0.7, 1.4)
    zenith = vector([0.15, 0.35, 0.8]) * rng.uniform(0.5, 1.2)
    if rng.random() < 0.3:  # overcast
        zenith = horizon * rng.uniform(0.5, 0.9)
    clear = horizon + (zenith - horizon) * np.sqrt(rise)
    height, width = rays.shape[1:]
    side = int(rng.integers(24, layout.noise.shape[0]))
    cloud = resized(layout.noise[:side, : max(8, side // 2)].T, height, width, cv2.INTER_CUBIC)
    cover = np.clip((cloud - rng.uniform(0.2, 0.9)) * rng.uniform(2, 6), 0, 1)[..., None]
    return clear + (1.1 - clear) * cover * rng.uniform(0.3, 1)


def develop(
    rng: np.random.Generator,
    light: Array,
    brightness: tuple[float, float] = (0.2, 0.65),
    contrast: tuple[float, float] = (0.18, 0.36),
    blur: tuple[float, float] = (0.3, 0.7),
    grain: float = 0.01,
) -> Array:
    """The picture that a camera makes of linear light: exposure, tone curve, white balance, lens blur and grain.

    Args:
        rng: source of all choices.
        light: linear light, (H, W, 3), not negative.
        brightness: range of the mean value that the exposure aims at.
        contrast: range of the standard deviation that the tone curve aims at, by a factor of 0.5 to 2.
        blur: range of the standard deviation of the lens blur, in pixels.
        grain: largest standard deviation of the grain.

    Returns:
        (H, W, 3) float32 in [0, 1].
    """
    aim, spread = rng.uniform(*brightness), rng.uniform(*contrast)
    cast = rng.normal(1, 0.04, 3).astype(np.float32)
    middle = float(np.median(light[::2, ::2])) + 1e-4
    tone = np.sqrt(1 - np.exp(light * (cast * (-0.35 / middle))))
    mean, deviation = float(tone.mean()), float(tone.std())
    gain = min(max(spread / max(deviation, 1e-3), 0.5), 2.0)
    image = cv2.GaussianBlur((tone - mean) * gain + aim, (0, 0), rng.uniform(*blur))
    strength = grain * rng.random()
    image += rng.standard_normal(image.shape[:2], np.float32)[..., None] * strength
    return np.clip(image, 0, 1)
