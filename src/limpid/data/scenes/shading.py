"""Light and camera of drawn scenes: from what each pixel sees (surface, depth) to a developed photograph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from limpid.data.scenes.arrays import Array, resized, vector
from limpid.data.scenes.raster import ROUND, ROWS_PER_SOLID, Camera, Frames, Solid
from limpid.data.scenes.textures import TILE, Atlas

TILE_NUMBER = 3  # the row of `Surfaces.paint` that holds the number of the tile
_BAND = 1 << 16  # pixels shaded at a time, so that large images need little memory


class Light(NamedTuple):
    """A lamp or the sun.

    Attributes:
        position: of a lamp in metres; for the sun, the direction towards it.
        colour: strength in red, green and blue.
        reach: distance in metres at which a lamp's light has fallen to half; None for the sun.
    """

    position: tuple[float, float, float]
    colour: tuple[float, float, float]
    reach: float | None


@dataclass(frozen=True)
class Lighting:
    """All light of a scene.

    Attributes:
        lights: lamps or the sun; the first one casts shadows.
        ambient: light from everywhere, (3,).
        shadow: strength of the cast shadows in [0, 1].
        corner: strength of the darkening in the corners of a room in [0, 1].
        softness: width of the shadows' edges relative to the object.
        occluders: numbers of the solids that cast shadows.
    """

    lights: Sequence[Light]
    ambient: Array
    shadow: float = 0.7
    corner: float = 0.4
    softness: float = 0.5
    occluders: Sequence[int] = field(default_factory=tuple)


@dataclass(frozen=True)
class Surfaces:
    """One column per surface number of `rasterise`: what shading needs to know of it."""

    normal: Array  # (3, 4, n): outward normal, affine in the position relative to the camera
    texture: Array  # (2, 4, n): texture coordinates in pixels of a tile, affine likewise
    paint: Array  # (6, n): tint (3), tile number, glow, metres per pixel of the tile

    @classmethod
    def of(cls, solids: Sequence[Solid], camera: Camera, enclosed: bool, offsets: Array) -> Surfaces:
        """The surfaces of all solids. `offsets` (n, 2) in [0, 1) shift each solid's texture, in tiles."""
        frames = Frames.of(solids)
        count = len(solids)
        eye = np.einsum("nij,nj->ni", frames.inverse, camera.position - frames.centre)
        normal = np.zeros((count, ROWS_PER_SOLID, 3, 4), np.float32)
        texture = np.zeros((count, ROWS_PER_SOLID, 2, 4), np.float32)
        paint = np.zeros((count, ROWS_PER_SOLID, 6), np.float32)
        unit = frames.inverse * frames.half[..., None]
        outward = np.where(eye > 0, 1, -1)
        normal[..., 3] = unit * outward[..., None]
        metres = np.array([s.material.metres or 0 for s in solids], np.float32)
        stretched = metres == 0
        for face, (across, along) in enumerate(((2, 1), (0, 2), (0, 1))):
            for slot, axis in enumerate((across, along)):
                scale = np.where(stretched, (TILE - 1) / 2, frames.half[:, axis] * TILE / np.maximum(metres, 1e-6))
                sign = 1 if slot == 0 else -1  # rows of a tile run downwards
                texture[:, face, slot, :3] = frames.inverse[:, axis] * (sign * scale)[:, None]
                start = np.where(stretched, (TILE - 1) / 2, offsets[:, slot] * TILE)
                texture[:, face, slot, 3] = eye[:, axis] * sign * scale + start
            paint[:, face, 5] = np.where(stretched, 2 * frames.half[:, across], metres) / TILE
        paint[:, :, :3] = np.array([s.material.tint for s in solids], np.float32)[:, None]
        paint[:, :, 3:5] = np.array([(s.material.tile, s.material.glow) for s in solids], np.float32)[:, None]
        _round_surfaces(solids, frames.inverse, eye, normal, texture)
        if enclosed:  # a room takes two solids' places: its low sides and its high ones, all facing inwards
            inward = normal[:1].copy()
            inward[0, :, :, 3] = unit[0]
            normal = np.concatenate([inward, -inward, normal[1:]])
            texture = np.concatenate([texture[:1], texture])
            paint = np.concatenate([paint[:1], paint])
        return cls(*(_columns(rows) for rows in (normal, texture, paint)))


def _columns(rows: Array) -> Array:
    """Rows (n, faces, ...) as columns (..., 1 + n faces); column 0 is for pixels that see nothing."""
    flat = rows.reshape(-1, *rows.shape[2:])
    flat = np.concatenate([np.zeros_like(flat[:1]), flat])
    return np.ascontiguousarray(np.moveaxis(flat, 0, -1))


def _round_surfaces(solids: Sequence[Solid], inverse: Array, eye: Array, normal: Array, texture: Array) -> None:
    """For solids other than boxes, overwrite face 0 with the curved side and face 1 with the cap.

    The side's normal is the gradient of x² + z² + e (y - y0)² in the solid's own frame, see `raster`.
    """
    bent = np.array([i for i, solid in enumerate(solids) if solid.shape != "box"], np.int64)
    if not bent.size:
        return
    squash, apex, _ = np.array([ROUND[solids[i].shape] for i in bent], np.float32).T
    inverse, eye = inverse[bent], eye[bent].copy()
    weight = np.stack([np.ones_like(squash), squash, np.ones_like(squash)], axis=-1)
    eye[:, 1] -= apex
    normal[bent, 0, :, :3] = np.einsum("nji,nj,njk->nik", inverse, weight, inverse)
    normal[bent, 0, :, 3] = np.einsum("nji,nj->ni", inverse, weight * eye)
    # The pattern of a curved side is neither that of a front nor of a side.
    texture[bent, 0] = texture[bent, 2] + 0.5 * texture[bent, 0]
    texture[bent, 1] = texture[bent, 0]


def shade(
    camera: Camera,
    depth: Array,
    surface: NDArray[np.int32],
    surfaces: Surfaces,
    atlas: Atlas,
    light: Lighting,
    solids: Sequence[Solid],
    enclosed: bool,
) -> Array:
    """Linear light of every visible surface, (H, W, 3); undefined where depth is infinite."""
    height, width = camera.size
    image = np.empty((height, width, 3), np.float32)
    seen = np.where(np.isfinite(depth), depth, 1)
    exposed = _exposure_to_light(camera, seen, light, solids, enclosed)
    step = max(1, _BAND // width)
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        image[rows] = _shade_band(
            camera, seen[rows], camera.rays[:, rows], surface[rows], surfaces, atlas, light, exposed[:, rows]
        )
    return image


def _affine(table: Array, surface: NDArray[np.int32], offset: Array) -> Array:
    a, b, c, d = np.take(table, surface, axis=1)
    return a * offset[0] + b * offset[1] + c * offset[2] + d


def _shade_band(
    camera: Camera,
    depth: Array,
    rays: Array,
    surface: NDArray[np.int32],
    surfaces: Surfaces,
    atlas: Atlas,
    light: Lighting,
    exposed: Array,
) -> Array:
    offset = rays * depth
    normal = np.stack([_affine(rows, surface, offset) for rows in surfaces.normal])
    normal /= np.sqrt(np.einsum("iyx,iyx->yx", normal, normal)) + 1e-6
    u, v = (_affine(rows, surface, offset) for rows in surfaces.texture)
    red, green, blue, tile, glow, texel = np.take(surfaces.paint, surface, axis=1)
    slant = np.abs(np.einsum("iyx,iyx->yx", normal, rays)) + 0.05
    texel = np.maximum(texel, 1e-6)
    reflectance = atlas.sample(tile, u, v, depth / (camera.focal * slant * texel))
    reflectance *= cv2.merge((red, green, blue))
    around = exposed[1] * (0.75 + 0.25 * normal[1])
    received = np.stack([glow + around * strength for strength in light.ambient])
    for number, lamp in enumerate(light.lights):
        facing = _facing(lamp, camera, offset, normal)
        if number == 0:
            facing *= exposed[0]
        for channel, strength in zip(received, lamp.colour, strict=True):
            channel += facing * strength
    return reflectance * cv2.merge(tuple(received))


def _facing(lamp: Light, camera: Camera, offset: Array, normal: Array) -> Array:
    """Share of a lamp's light that a surface receives: cosine of its angle times fall with distance."""
    where = vector(lamp.position)
    if lamp.reach is None:
        return np.maximum(np.einsum("i,iyx->yx", where / np.linalg.norm(where), normal), 0)
    towards = (where - camera.position)[:, None, None] - offset
    square = np.einsum("iyx,iyx->yx", towards, towards)
    cosine = np.einsum("iyx,iyx->yx", towards, normal) / np.sqrt(square + 1e-4)
    # The floor of 0.15 stands for light that comes back from the walls.
    return np.maximum(cosine * 0.85 + 0.15, 0) / (1 + square / (lamp.reach**2))


def _exposure_to_light(camera: Camera, depth: Array, light: Lighting, solids: Sequence[Solid], enclosed: bool) -> Array:
    """How much of the first light and of the ambient light reaches each pixel, (2, H, W) in [0, 1].

    Found at half resolution. Each shadow is that of the ellipsoid inside the object's bounding box: cheap,
    and soft as under a large lamp.
    """
    point = (camera.rays[:, ::2, ::2] * depth[::2, ::2]) + camera.position[:, None, None]
    direct = np.ones(point.shape[1:], np.float32)
    ambient = np.ones(point.shape[1:], np.float32)
    lamp = light.lights[0]
    where = vector(lamp.position)[:, None, None]
    towards = np.broadcast_to(where, point.shape) if lamp.reach is None else where - point
    for index in light.occluders:
        half = vector(solids[index].half)[:, None, None] + 0.02
        away = (vector(solids[index].centre)[:, None, None] - point) / half
        aim = towards / half
        along = np.einsum("iyx,iyx->yx", away, aim)
        square = np.einsum("iyx,iyx->yx", aim, aim)
        passing = np.einsum("iyx,iyx->yx", away, away) - along * along / square
        blocked = np.clip((1 + light.softness - passing) / (2 * light.softness), 0, 1)
        between = (along > 0) & (True if lamp.reach is None else along < square)
        direct *= 1 - light.shadow * np.where(between, blocked, 0)
    if enclosed:
        middle, half = vector(solids[0].centre), vector(solids[0].half)
        for axis in range(3):
            gap = np.maximum(half[axis] - np.abs(point[axis] - middle[axis]), 0)
            # The pixel's own wall has gap 0; only the neighbouring ones darken it.
            ambient *= 1 - light.corner * np.exp(gap * -2.5) * (gap > 1e-3)
    return np.stack([resized(part, *depth.shape) for part in (direct, ambient)])
