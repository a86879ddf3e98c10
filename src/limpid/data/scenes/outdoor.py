"""Views outdoors: streets, yards and open country under a sky."""

from __future__ import annotations

import math

import numpy as np

from limpid.data.scenes.arrays import vector
from limpid.data.scenes.furniture import box, clutter, placed
from limpid.data.scenes.layout import Layout, camera_for, clearance, lamp_colour, largest, noise_fields
from limpid.data.scenes.palette import Palette
from limpid.data.scenes.raster import Material, Solid
from limpid.data.scenes.shading import Light, Lighting

_TILES = ["plain", "stone", "speckle", "wood", "bricks", "facade", "facade", "facade", "checks"]
_TILES += ["foliage", "foliage", "stripes", "picture"]


def outdoor(rng: np.random.Generator, size: tuple[int, int], full_size: int) -> Layout:
    """Lay out a view outdoors.

    Args:
        rng: source of all choices.
        size: height and width of the window in pixels.
        full_size: see `draw_scene`.
    """
    noise, leaves = noise_fields(rng)
    p = Palette(rng, _TILES)
    furthest = 15 * 10 ** rng.uniform(0, 0.8)
    solids = [*_ground(p), *_hills(p, furthest)]
    if rng.random() < 0.6:
        solids += _houses(p, furthest)
    for x, z in rng.random((int(rng.integers(0, 12)), 2)).tolist():
        away = 6 + furthest * z**2
        solids += placed(_tree(p), away * (1.6 * x - 0.8), away, 0)
    for x, z in rng.random((int(rng.integers(2, 14)), 2)).tolist():
        away = 3 + 20 * z
        thing = clutter(p, 0.5, 0.5, 0, 1, 0.2 + 1.8 * rng.random() ** 3)
        solids += placed(thing, away * (1.4 * x - 0.7), away, p.uniform(0, 6))
    if rng.random() < 0.4:
        solids += _fence(p)

    eye = (0.0, rng.uniform(1, 2.2), 0.0)
    camera = camera_for(rng, size, eye, rng.normal(0, 0.15), rng.normal(0.03, 0.07), full_size)
    # Nothing may stand right before the lens, but roads and fields may lie under it.
    kept = solids[:1] + [s for s in solids[1:] if clearance(s, eye) > 1.0 or s.half[1] < 0.1]
    return Layout(
        camera=camera,
        solids=kept,
        enclosed=False,
        lighting=_daylight(rng, largest(kept, 1)),
        tiles=_TILES,
        noise=noise,
        leaves=leaves,
        furthest=furthest,
    )


def _ground(p: Palette) -> list[Solid]:
    """Grass, soil or paving to the horizon, perhaps with a road away from the viewer."""
    grass = Material(p.pick("foliage"), (1.0, 1.0, 1.0), p.uniform(1.5, 4))
    paving = p.material("stone", "speckle", "checks", metres=3)._replace(tint=p.muted())
    solids = [box(0, -1, 0, 20000, 1, 20000, grass if p.rng.random() < 0.5 else paving)]
    if p.rng.random() < 0.5:
        x = p.uniform(-4, 4)
        wide = p.uniform(2, 8)
        grey = p.uniform(0.1, 0.5)
        asphalt = Material(p.pick("stone", "speckle"), (grey, grey, grey), 3.0)
        solids.append(box(x, 0, 500, wide, 0.02, 1000, asphalt))
        if p.rng.random() < 0.5:
            paint = Material(p.pick("plain"), (0.9, 0.9, 0.9))
            solids += [box(x, 0.02, 4 * i, 0.15, 0.01, 2, paint) for i in range(1, 9)]
    return solids


def _hills(p: Palette, furthest: float) -> list[Solid]:
    """Up to four hills, whose near slopes come closer than the depth that counts as furthest."""
    solids = []
    for side, away, tall in p.rng.random((int(p.rng.integers(0, 5)), 3)).tolist():
        z, half = furthest * (1.2 + 2 * away), furthest * (0.5 + side)
        bluish = Material(p.pick("foliage", "stone"), (0.6, 0.75, 0.8), furthest / 10)
        at = (z * (1.6 * side - 0.8), 0.0, z)
        solids.append(Solid("ball", at, (half * 1.5, half * (0.1 + 0.4 * tall), half), bluish, ragged=0.05))
    return solids


def _daylight(rng: np.random.Generator, occluders: list[int]) -> Lighting:
    """A sun, weaker the more the sky is overcast, and bluish light from the sky."""
    azimuth, height = rng.uniform(-math.pi, math.pi), rng.uniform(0.2, 1.3)
    sun = (math.cos(height) * math.sin(azimuth), math.sin(height), math.cos(height) * math.cos(azimuth))
    overcast = rng.random() ** 2
    return Lighting(
        lights=[Light(sun, lamp_colour(rng, 2.5 * (1 - overcast)), None)],
        ambient=vector([0.55, 0.62, 0.72]) * rng.uniform(0.6, 1.2),
        shadow=0.85,
        corner=0.0,
        softness=rng.uniform(0.1, 0.4),
        occluders=occluders,
    )


def _tree(p: Palette) -> list[Solid]:
    """A broad-leaved tree, a conifer or a bush."""
    kind, tall = p.rng.random(), p.uniform(2.5, 9)
    leaf = Material(
        p.pick("foliage"), (p.uniform(0.6, 1.2), p.uniform(0.7, 1.1), p.uniform(0.5, 1)), p.uniform(0.6, 1.6)
    )
    if kind < 0.25:
        return [Solid("ball", (0, tall * 0.1, 0), (tall * 0.2, tall * 0.13, tall * 0.2), leaf, ragged=1.0)]
    bark = Material(p.pick("wood", "stone"), (0.35, 0.28, 0.2), 0.7)
    trunk = Solid("cylinder", (0, tall * 0.25, 0), (tall * 0.025, tall * 0.25, tall * 0.025), bark)
    if kind < 0.5:
        tiers = [(0.32 + 0.14 * i, 0.3 - 0.055 * i, 0.14) for i in range(5)]
        return [
            trunk,
            *(Solid("cone", (0, tall * y, 0), (tall * r, tall * h, tall * r), leaf) for y, r, h in tiers),
        ]
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
            wide = p.uniform(5, 12)
            deep = p.uniform(6, 14)
            tall = p.uniform(3, 14)
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
    turn = p.uniform(-1.2, 1.2)
    x = p.uniform(-4, 4)
    z = p.uniform(7, 14)
    if p.rng.random() < 0.4:
        return placed([box(0, 0, 0, 8, tall, 0.2, material)], x, z, turn)
    posts = [box(0.5 * i - 3, 0, 0, 0.12, tall, 0.05, material) for i in range(13)]
    rails = [box(0, tall * y, -0.04, 6.4, 0.08, 0.04, material) for y in (0.3, 0.75)]
    return placed([*posts, *rails], x, z, turn)
