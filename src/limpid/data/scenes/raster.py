"""The geometry of drawn scenes: a pinhole camera, solids, and what each pixel sees of them, with exact depth.

Every pixel's ray is intersected in closed form with boxes, balls, cylinders and cones; the nearest hit wins.
Nothing is tessellated, so the depth of a slanted wall or of a ball is exact at every pixel.
World axes: x right, y up, z forward; lengths in metres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limpid.data.scenes.arrays import Array, resized

Triple = tuple[float, float, float]
Shape = Literal["box", "ball", "cylinder", "cone"]

ROWS_PER_SOLID = 3  # surfaces of one solid: a box's three visible faces, or a round solid's side and cap
_NEAREST = 0.05  # metres; nothing closer to the camera is drawn


class Material(NamedTuple):
    """What a surface looks like.

    Attributes:
        tile: number of the texture tile.
        tint: factors of red, green and blue on the tile's colour.
        metres: side of one tile on the surface; None stretches one tile over the whole face.
        glow: light that the surface sends out by itself, in units of a sunlit white.
    """

    tile: int
    tint: Triple
    metres: float | None = 1.0
    glow: float = 0.0


class Solid(NamedTuple):
    """A box, ball (ellipsoid), upright cylinder or cone.

    Attributes:
        shape: which of the four.
        centre: world position of the middle of its bounding box.
        half: half lengths along its own axes.
        material: of all its faces.
        turn: angle about the vertical, radians.
        tilt: angle about its own z axis, radians, applied before the turn.
        ragged: 0 for a clean outline, up to 1 for a leafy one (balls only).
    """

    shape: Shape
    centre: Triple
    half: Triple
    material: Material
    turn: float = 0.0
    tilt: float = 0.0
    ragged: float = 0.0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera whose rays are scaled so that the ray parameter is the depth along the optical axis.

    Attributes:
        position: world position of the pinhole, (3,).
        rotation: rows are the camera's right, up and forward, (3, 3).
        focal: focal length in pixels.
        centre: column and row of the principal point, in pixels from the window's corner.
        rays: world direction of each pixel's ray, (3, H, W); its component along `rotation[2]` is 1.
    """

    position: Array
    rotation: Array
    focal: float
    centre: tuple[float, float]
    rays: Array

    @classmethod
    def looking(
        cls,
        position: Triple,
        yaw: float,
        pitch: float,
        roll: float,
        focal: float,
        centre: tuple[float, float],
        size: tuple[int, int],
    ) -> Camera:
        """A camera at `position` (metres) with angles in radians and a window of `size` = (H, W) pixels."""
        ahead = math.cos(pitch)
        forward = np.array([math.sin(yaw) * ahead, math.sin(pitch), math.cos(yaw) * ahead])
        level = np.array([math.cos(yaw), 0.0, -math.sin(yaw)])
        upright = np.cross(forward, level)
        right = math.cos(roll) * level + math.sin(roll) * upright
        up = math.cos(roll) * upright - math.sin(roll) * level
        rotation = np.stack([right, up, forward]).astype(np.float32)
        columns = ((np.arange(size[1]) + 0.5 - centre[0]) / focal).astype(np.float32)
        rows = ((centre[1] - np.arange(size[0]) - 0.5) / focal).astype(np.float32)
        rays = rotation[0, :, None, None] * columns + rotation[1, :, None, None] * rows[:, None]
        rays += rotation[2, :, None, None]
        return cls(np.array(position, np.float32), rotation, focal, centre, rays)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the window in pixels."""
        return self.rays.shape[1], self.rays.shape[2]

    def project(self, points: Array) -> Array:
        """Column, row and depth (last axis) of world points (..., 3); only meaningful where depth > 0."""
        seen = np.einsum("...j,ij->...i", points - self.position, self.rotation)
        depth = np.maximum(seen[..., 2], 1e-6)
        column = self.centre[0] + self.focal * seen[..., 0] / depth
        row = self.centre[1] - self.focal * seen[..., 1] / depth
        return np.stack([column, row, seen[..., 2]], axis=-1)


@dataclass(frozen=True)
class Frames:
    """The frames of n solids, in which each fills [-1, 1]^3; `inverse` maps offsets from `centre` there."""

    centre: Array  # (n, 3)
    half: Array  # (n, 3)
    axes: Array  # (n, 3, 3), rows are half axes in the world
    inverse: Array  # (n, 3, 3)

    @classmethod
    def of(cls, solids: Sequence[Solid]) -> Frames:
        """The frames of a list of solids."""
        centre = np.array([s.centre for s in solids], np.float32)
        half = np.array([s.half for s in solids], np.float32)
        turn, tilt = np.array([(s.turn, s.tilt) for s in solids], np.float64).T
        ct = np.cos(turn)
        st = np.sin(turn)
        cr = np.cos(tilt)
        sr = np.sin(tilt)
        zero = np.zeros(len(solids))
        unit = np.stack([ct * cr, sr, -st * cr, -ct * sr, cr, st * sr, st, zero, ct], axis=-1)
        unit = unit.reshape(-1, 3, 3).astype(np.float32)
        return cls(centre, half, unit * half[..., None], np.divide(unit, half[..., None]))


def _windows(camera: Camera, frames: Frames) -> NDArray[np.int64]:
    """First row, end row, first column, end column of each solid's window, (n, 4); empty where unseen."""
    signs = np.array(list(product((-1, 1), repeat=3)), np.float32)
    corners = frames.centre[:, None] + np.einsum("kc,ncw->nkw", signs, frames.axes)
    seen = camera.project(corners)
    height, width = camera.size
    low, high = seen.min(axis=1), seen.max(axis=1)
    low[:, :2], high[:, :2] = np.floor(low[:, :2]), np.ceil(high[:, :2])
    window = np.stack([low[:, 1], high[:, 1], low[:, 0], high[:, 0]], axis=-1)
    window[low[:, 2] <= _NEAREST] = (0, height, 0, width)  # partly behind the camera: search everywhere
    window[high[:, 2] <= _NEAREST] = 0
    return np.clip(window, 0, (height, height, width, width)).astype(np.int64)


def _enter_box(origin: Array, rays: Array) -> tuple[Array, NDArray[np.int32], NDArray[np.bool_]]:
    """Depth, face (0, 1, 2: across x, y, z) and hits of rays with the cube [-1, 1]^3, from outside."""
    rate = 1.0 / rays
    start = origin[:, None, None]
    first, second = (-1.0 - start) * rate, (1.0 - start) * rate
    near = np.minimum(first, second)
    enter = near.max(axis=0)
    leave = np.maximum(first, second, out=first).min(axis=0)
    face = (near[1] == enter).astype(np.int32)
    face[near[2] == enter] = 2
    return enter, face, enter < leave


def _leave_box(origin: Array, rays: Array) -> tuple[Array, NDArray[np.int32]]:
    """Depth and face (0, 1, 2 low sides, 3, 4, 5 high sides) where rays leave the cube from inside."""
    start = origin[:, None, None]
    # Divided by the absolute value, so that a ray along a wall leaves through it at +inf.
    far = (1 - np.where(rays > 0, start, -start)) / np.abs(rays)
    leave = far.min(axis=0)
    axis = (far[1] == leave).astype(np.int32)
    axis[far[2] == leave] = 2
    side = np.take_along_axis(rays, axis[None], axis=0)[0] > 0
    return leave, axis + 3 * side


#: e, y0 and s of each round solid in x² + z² + e (y - y0)² = s
ROUND = {"ball": (1.0, 0.0, 1.0), "cylinder": (0.0, 0.0, 1.0), "cone": (-0.25, 1.0, 0.0)}


def _enter_round(
    shape: Shape, origin: Array, rays: Array, rim: Array | None
) -> tuple[Array, NDArray[np.int32], NDArray[np.bool_]]:
    """Depth, face (0 side, 1 cap) and hits of rays with x² + z² + e (y - y0)² = s inside |y| <= 1.

    `rim` in [0, 1] per pixel cuts the outline back where it is large; None leaves it whole.
    """
    squash, apex, level = ROUND[shape]
    ox, oy, oz = (float(value) for value in origin)
    x, y, z = rays
    a = x * x + z * z + squash * y * y
    b = ox * x + oz * z + squash * (oy - apex) * y
    c = ox * ox + oz * oz + squash * (oy - apex) ** 2 - level
    inside = b * b - a * c
    depth = (-b - np.sqrt(np.maximum(inside, 0))) / a
    face = np.zeros(depth.shape, np.int32)
    if shape == "ball":
        return depth, face, inside > (0 if rim is None else a * rim)
    hit = (inside > 0) & (a > 0) & (np.abs(oy + depth * y) <= 1)
    if abs(oy) > 1 and (shape == "cylinder" or oy < -1):
        cap = (math.copysign(1, oy) - oy) / y
        on_cap = (ox + cap * x) ** 2 + (oz + cap * z) ** 2 <= 1
        depth = np.where(on_cap, cap, depth)
        face[on_cap] = 1
        hit |= on_cap
    return depth, face, hit


def local_rays(inverse: Array, rays: Array) -> Array:
    """Rays (3, h, w) in a solid's own frame."""
    # Not matmul: the bits of einsum do not depend on the number of threads.
    return np.einsum("ij,jyx->iyx", inverse, rays)


def rasterise(camera: Camera, solids: Sequence[Solid], enclosed: bool, noise: Array) -> tuple[Array, NDArray[np.int32]]:
    """The depth and the surface that every pixel sees.

    Args:
        camera: the view.
        solids: what to draw; if `enclosed`, the first one is a box seen from inside (a room).
        enclosed: see `solids`.
        noise: a square field in [0, 1] that makes ragged outlines.

    Returns:
        Depth along the optical axis in metres, (H, W) float32, infinite where nothing is hit; and the number
        of the surface, (H, W) int32: 0 for nothing, else `1 + ROWS_PER_SOLID * (index + enclosed) + face`,
        because a room, six of whose faces can be seen, takes the places of two solids.
    """
    height, width = camera.size
    depth = np.full((height, width), np.inf, np.float32)
    surface = np.zeros((height, width), np.int32)
    frames = Frames.of(solids)
    origins = np.einsum("nij,nj->ni", frames.inverse, camera.position - frames.centre)
    windows = _windows(camera, frames)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for index, solid in enumerate(solids):
            if index == 0 and enclosed:
                depth, face = _leave_box(origins[0], local_rays(frames.inverse[0], camera.rays))
                surface = 1 + face
                continue
            top, bottom, left, right = windows[index]
            if bottom <= top or right <= left:
                continue
            view = (slice(top, bottom), slice(left, right))
            rays = local_rays(frames.inverse[index], camera.rays[:, view[0], view[1]])
            if solid.shape == "box":
                reach, face, hit = _enter_box(origins[index], rays)
            else:
                rim = _outline(noise, rays.shape[1:], solid.ragged, index) if solid.ragged else None
                reach, face, hit = _enter_round(solid.shape, origins[index], rays, rim)
            hit &= (reach < depth[view]) & (reach > _NEAREST)
            np.copyto(depth[view], reach, where=hit)
            face += 1 + ROWS_PER_SOLID * (index + enclosed)
            np.copyto(surface[view], face, where=hit)
    return depth, surface


def _outline(noise: Array, shape: tuple[int, ...], ragged: float, index: int) -> Array:
    """A piece of the noise stretched over a window; `index` only varies which piece."""
    side = noise.shape[0] // 2
    start = index * 37 % side
    piece = noise[start : start + side, side - start : 2 * side - start]
    return ragged * resized(piece, shape[0], shape[1])
