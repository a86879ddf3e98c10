"""Where things stand: a furnished room, or a view outdoors. Each layout is a camera, solids and light."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limpid.data.scenes import textures
from limpid.data.scenes.furniture import FREE, HANGING, STANDING, Palette, box, clutter, door, placed
from limpid.data.scenes.raster import Camera, Material, Solid, Triple
from limpid.data.scenes.shading import Light, Lighting
from limpid.data.scenes.textures import Array

_OCCLUDERS = 10  # objects that cast shadows; the largest ones


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


def _numbers(kinds: Sequence[str]) -> dict[str, list[int]]:
    """Where each kind of tile is in the list."""
    return {kind: [number for number, other in enumerate(kinds) if other == kind] for kind in kinds}


def _noises(rng: np.random.Generator) -> tuple[Array, Array]:
    """The smooth and the rough field of a scene."""
    return textures.fractal_noise(rng, 2 * textures.TILE), textures.fractal_noise(rng, coarsest=8, slope=0.3)


def _camera(
    rng: np.random.Generator, size: tuple[int, int], position: Triple, yaw: float, pitch: float, full_size: int
) -> Camera:
    """A camera whose window is a random part of a larger picture.

    Training on small windows should show what small windows of photographs show, so a window smaller than
    `full_size` pixels is taken from a picture up to that size (longer side).
    """
    longest = max(size)
    zoom = max(1.0, full_size / longest) ** rng.random()
    height, width = size[0] * zoom, size[1] * zoom
    focal = max(height, width) * rng.uniform(0.7, 1.3)
    centre = (width / 2 - rng.random() * (width - size[1]), height / 2 - rng.random() * (height - size[0]))
    return Camera.looking(position, yaw, pitch, rng.normal(0, 0.02), focal, centre, size)


def _largest(solids: Sequence[Solid], start: int) -> list[int]:
    """The solids from `start` on that cast the largest shadows."""
    bulk = {i: math.prod(sorted(s.half)[1:]) for i, s in enumerate(solids) if i >= start and s.half[1] < 30}
    return sorted(bulk, key=lambda i: -bulk[i])[:_OCCLUDERS]


def _lamp_colour(rng: np.random.Generator, strength: float) -> Triple:
    """Between candle (warm) and shade (bluish)."""
    warmth = rng.normal(0.1, 0.15)
    return strength * (1 + warmth), strength, strength * (1 - 1.3 * warmth)


def indoor(rng: np.random.Generator, size: tuple[int, int], full_size: int) -> Layout:
    """A furnished room seen from inside."""
    noise, leaves = _noises(rng)
    tiles = ["plain", "plain", "stone", "wood", "wood", "stripes", "checks", "books", "picture", "picture", "foliage"]
    tiles.append(("speckle", "bricks", "stone")[int(rng.integers(3))])
    p = Palette(rng, _numbers(tiles))
    wide, tall, long = rng.uniform(2.6, 7), rng.uniform(2.3, 3.3), rng.uniform(3.5, 10)
    wall = Material(len(tiles) - 1 if rng.random() < 0.25 else p.pick("plain", "plain", "stripes"), p.muted(), 1.5)
    if rng.random() < 0.6:  # most rooms are painted in light colours
        wall = wall._replace(tint=tuple(0.6 + 0.4 * c for c in wall.tint))  # type: ignore[arg-type]
    solids = [Solid("box", (wide / 2, tall / 2, long / 2), (wide / 2, tall / 2, long / 2), wall)]
    floor = p.material("wood", "checks", "stone", metres=1.6)
    white = rng.uniform(0.6, 1)
    ceiling = Material(p.pick("plain"), (white, white, white * 0.95), 2.0)
    solids.append(box(wide / 2, -0.01, long / 2, wide, 0.012, long, floor))
    solids.append(box(wide / 2, tall - 0.002, long / 2, wide, 0.012, long, ceiling))
    for x, z, turn, length in (
        (wide / 2, long, math.pi, wide),
        (0.0, long / 2, math.pi / 2, long),
        (wide, long / 2, -math.pi / 2, long),
    ):
        solids += _along_wall(p, x, z, turn, length)
    for x, z, turn in rng.random((int(rng.integers(0, 4)), 3)).tolist():
        thing = FREE[int(rng.integers(len(FREE)))](p)
        solids += placed(thing, wide * (0.2 + 0.6 * x), long * (0.4 + 0.45 * z), 2 * math.pi * turn)
    solids += placed(clutter(p, wide * 0.8, long * 0.6, 0, int(rng.integers(0, 7)), 0.6), wide / 2, long * 0.35, 0)
    if rng.random() < 0.4:
        rug = box(0, 0, 0, p.uniform(1, 2.5), 0.01, p.uniform(1, 2), p.material("picture", "stripes", "stone"))
        solids += placed([rug], wide / 2, long * 0.6, p.uniform(0, 3))

    eye = (wide * rng.uniform(0.25, 0.75), min(tall - 0.5, rng.uniform(1.1, 1.8)), rng.uniform(0.2, 0.3 * long))
    aim = (wide * rng.uniform(-0.2, 1.2), rng.uniform(0.4, 1.5), long * rng.uniform(0.7, 1))
    across, ahead = aim[0] - eye[0], aim[2] - eye[2]
    pitch = math.atan2(aim[1] - eye[1], math.hypot(across, ahead))
    camera = _camera(rng, size, eye, math.atan2(across, ahead), pitch, full_size)
    # Nothing may stand right before the lens.
    kept = [s for i, s in enumerate(solids) if i < 3 or _clearance(s, eye) > 0.5]

    lamp = (wide * rng.uniform(0.2, 0.8), tall - 0.3, long * rng.uniform(0.2, 0.8))
    lights = [Light(lamp, _lamp_colour(rng, rng.uniform(1, 3)), rng.uniform(1.5, 5))]
    if rng.random() < 0.5:  # daylight from a side, or a flash
        side = (wide * rng.choice([-0.1, 1.1]), 1.5, long * rng.uniform(0.2, 0.8))
        flash = rng.random() < 0.25
        lights.append(Light(eye if flash else side, _lamp_colour(rng, rng.uniform(0.5, 2)), rng.uniform(1, 3)))
    ambient = np.float32(_lamp_colour(rng, rng.uniform(0.15, 0.6)))
    lighting = Lighting(lights, ambient, rng.uniform(0.4, 0.9), rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.9), _largest(kept, 3))
    corners = np.float32([(x, y, z) for x in (0, wide) for y in (0, tall) for z in (0, long)])
    return Layout(camera, kept, True, lighting, tiles, noise, leaves, float(camera.project(corners)[:, 2].max()))


def _clearance(solid: Solid, eye: Triple) -> float:
    """Distance in metres between the eye and the ball around a solid, along the floor."""
    reach = math.hypot(solid.half[0], solid.half[2])
    return math.hypot(solid.centre[0] - eye[0], solid.centre[2] - eye[2]) - min(reach, 1.0)


def _along_wall(p: Palette, x: float, z: float, turn: float, length: float) -> list[Solid]:
    """Things side by side along a wall whose foot's middle is at (x, z) and which faces `turn`."""
    solids: list[Solid] = []
    along = -length / 2 + p.uniform(0.3, 1.0)
    while along < length / 2 - 0.5:
        choice = p.rng.random()
        things: list[Solid] = []
        if choice < 0.12:
            things += door(p)
        else:
            if choice < 0.8:
                things += STANDING[int(p.rng.integers(len(STANDING)))](p)
            if choice > 0.4:
                things += HANGING[int(p.rng.integers(len(HANGING)))](p)
        reach = max((abs(s.centre[0]) + s.half[0] for s in things), default=0.3)
        along += reach
        if along + reach > length / 2 + 0.3:
            break
        solids += placed(things, x + along * math.cos(turn), z - along * math.sin(turn), turn)
        along += reach + p.uniform(0.05, 0.8)
    return solids


def outdoor(rng: np.random.Generator, size: tuple[int, int], full_size: int) -> Layout:
    """A street, a yard or open country under a sky."""
    noise, leaves = _noises(rng)
    tiles = ["plain", "stone", "speckle", "wood", "bricks", "facade", "facade", "facade", "checks"]
    tiles += ["foliage", "foliage", "stripes", "picture"]
    p = Palette(rng, _numbers(tiles))
    furthest = 25 * 10 ** rng.uniform(0, 1)
    grass = Material(p.pick("foliage"), (1.0, 1.0, 1.0), rng.uniform(1.5, 4))
    ground = grass if rng.random() < 0.5 else p.material("stone", "speckle", "checks", metres=3)._replace(tint=p.muted())
    solids = [box(0, -1, 0, 20000, 1, 20000, ground)]
    if rng.random() < 0.5:  # a road away from the viewer
        x, wide = rng.uniform(-4, 4), rng.uniform(2, 8)
        grey = rng.uniform(0.1, 0.5)
        solids.append(box(x, 0, 500, wide, 0.02, 1000, Material(p.pick("stone", "speckle"), (grey,) * 3, 3.0)))
        if rng.random() < 0.5:
            solids += [box(x, 0.02, 4 * i, 0.15, 0.01, 2, Material(p.pick("plain"), (0.9,) * 3)) for i in range(1, 9)]
    for side, away, tall in rng.random((int(rng.integers(0, 5)), 3)).tolist():  # hills
        z, half = furthest * (1.2 + 2 * away), furthest * (0.5 + side)
        blue = Material(p.pick("foliage", "stone"), (0.6, 0.75, 0.8), furthest / 10)
        at = (z * (1.6 * side - 0.8), 0.0, z)
        solids.append(Solid("ball", at, (half * 1.5, half * (0.1 + 0.4 * tall), half), blue, ragged=0.05))
    if rng.random() < 0.6:
        solids += _houses(p, furthest)
    for x, z in rng.random((int(rng.integers(0, 12)), 2)).tolist():
        z = 4 + furthest * z**2
        solids += placed(_tree(p), z * (1.6 * x - 0.8), z, 0)
    for x, z in rng.random((int(rng.integers(2, 14)), 2)).tolist():
        z = 3 + 20 * z
        size_law = 0.2 + 1.8 * p.rng.random() ** 3
        solids += placed(clutter(p, 0.5, 0.5, 0, 1, size_law), z * (1.4 * x - 0.7), z, p.uniform(0, 6))
    if rng.random() < 0.4:
        solids += _fence(p)

    eye = (0.0, rng.uniform(1, 2.2), 0.0)
    camera = _camera(rng, size, eye, rng.normal(0, 0.15), rng.normal(0.03, 0.07), full_size)
    kept = [s for i, s in enumerate(solids) if i == 0 or _clearance(s, eye) > 1.0 or s.half[1] < 0.1]
    azimuth, height = rng.uniform(-math.pi, math.pi), rng.uniform(0.2, 1.3)
    sun = (math.cos(height) * math.sin(azimuth), math.sin(height), math.cos(height) * math.cos(azimuth))
    overcast = rng.random() ** 2
    lights = [Light(sun, _lamp_colour(rng, 2.5 * (1 - overcast)), None)]
    ambient = np.float32([0.55, 0.62, 0.72]) * np.float32(rng.uniform(0.6, 1.2))
    lighting = Lighting(lights, ambient, 0.85, 0.0, rng.uniform(0.1, 0.4), _largest(kept, 1))
    return Layout(camera, kept, False, lighting, tiles, noise, leaves, furthest)


def _tree(p: Palette) -> list[Solid]:
    """A broad-leaved tree, a conifer or a bush."""
    kind, tall = p.rng.random(), p.uniform(2.5, 9)
    leaf = Material(p.pick("foliage"), (p.uniform(0.6, 1.2), p.uniform(0.7, 1.1), p.uniform(0.5, 1)), p.uniform(0.6, 1.6))
    if kind < 0.25:
        return [Solid("ball", (0, tall * 0.1, 0), (tall * 0.2, tall * 0.13, tall * 0.2), leaf, ragged=1.0)]
    bark = Material(p.pick("wood", "stone"), (0.35, 0.28, 0.2), 0.7)
    trunk = Solid("cylinder", (0, tall * 0.25, 0), (tall * 0.025, tall * 0.25, tall * 0.025), bark)
    if kind < 0.5:
        tiers = [(0.32 + 0.14 * i, 0.3 - 0.055 * i, 0.14) for i in range(5)]
        return [trunk, *(Solid("cone", (0, tall * y, 0), (tall * r, tall * h, tall * r), leaf) for y, r, h in tiers)]
    crown = []
    for x, y, z, r in p.rng.random((int(p.uniform(2, 6)), 4)).tolist():
        radius = tall * (0.12 + 0.14 * r)
        at = (tall * 0.3 * (x - 0.5), tall * (0.55 + 0.3 * y), tall * 0.3 * (z - 0.5))
        crown.append(Solid("ball", at, (radius, radius, radius), leaf, ragged=1.0))
    return [trunk, *crown]


def _houses(p: Palette, furthest: float) -> list[Solid]:
    """Buildings along both sides of the view, some with gable roofs."""
    solids: list[Solid] = []
    for side in (-1, 1):
        z, gap = p.uniform(4, 15), p.uniform(4, 12)
        while z < furthest * 1.2 and len(solids) < 24:
            wide, deep, tall = p.uniform(5, 12), p.uniform(6, 14), p.uniform(3, 14)
            wall = p.material("facade", "facade", "bricks", "plain", metres=10)._replace(tint=p.muted())
            x, middle = side * (gap + wide / 2), z + deep / 2
            solids.append(box(x, 0, middle, wide, tall, deep, wall))
            if tall < 8 and p.rng.random() < 0.8:  # a square prism on its edge shows as a gable roof
                half = wide / 2 / math.sqrt(2)
                roof = p.material("bricks", "stripes", "stone", metres=3)._replace(tint=p.muted())
                solids.append(Solid("box", (x, tall, middle), (half, half, deep / 2 + 0.3), roof, tilt=math.pi / 4))
            door_wood = p.material("wood", "plain")
            solids.append(box(x - side * (wide / 2 + 0.02), 0, middle, 0.08, 2.1, 1.0, door_wood))
            z += deep + p.uniform(0, 12)
    return solids


def _fence(p: Palette) -> list[Solid]:
    """A fence or a wall across or along the view."""
    material, tall = p.material("wood", "bricks", "plain"), p.uniform(0.6, 1.4)
    turn, x, z = p.uniform(-1.2, 1.2), p.uniform(-4, 4), p.uniform(7, 14)
    if p.rng.random() < 0.4:
        return placed([box(0, 0, 0, 8, tall, 0.2, material)], x, z, turn)
    posts = [box(0.5 * i - 3, 0, 0, 0.12, tall, 0.05, material) for i in range(13)]
    rails = [box(0, tall * y, -0.04, 6.4, 0.08, 0.04, material) for y in (0.3, 0.75)]
    return placed([*posts, *rails], x, z, turn)
