"""Furnished rooms, seen from inside."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from limpid.data.scenes.arrays import vector
from limpid.data.scenes.furniture import FREE, HANGING, STANDING, box, clutter, door, placed
from limpid.data.scenes.layout import Layout, camera_for, clearance, lamp_colour, largest, noise_fields
from limpid.data.scenes.palette import Palette
from limpid.data.scenes.raster import Material, Solid, Triple
from limpid.data.scenes.shading import Light, Lighting

_TILES = ["plain", "plain", "stone", "wood", "wood", "stripes", "checks", "books", "picture", "picture"]
_TILES += ["foliage"]
_RARE_WALLS = ("speckle", "bricks", "stone")  # one of these is the last tile, for walls that are not painted
_SHELL = 3  # the first solids: room, floor covering, ceiling


def indoor(rng: np.random.Generator, size: tuple[int, int], full_size: int) -> Layout:
    """Lay out a room.

    Args:
        rng: source of all choices.
        size: height and width of the window in pixels.
        full_size: see `draw_scene`.
    """
    noise, leaves = noise_fields(rng)
    tiles = [*_TILES, _RARE_WALLS[int(rng.integers(len(_RARE_WALLS)))]]
    p = Palette(rng, tiles)
    room = rng.uniform(2.6, 7), rng.uniform(2.3, 3.3), rng.uniform(3.5, 10)
    wide, tall, long = room
    solids = [*_shell(p, room, bare=len(tiles) - 1), *_contents(p, wide, long)]

    eye = (
        wide * rng.uniform(0.25, 0.75),
        min(tall - 0.5, rng.uniform(1.1, 1.8)),
        rng.uniform(0.2, 0.3 * long),
    )
    aim = (wide * rng.uniform(-0.2, 1.2), rng.uniform(0.4, 1.5), long * rng.uniform(0.7, 1))
    across, ahead = aim[0] - eye[0], aim[2] - eye[2]
    pitch = math.atan2(aim[1] - eye[1], math.hypot(across, ahead))
    camera = camera_for(rng, size, eye, math.atan2(across, ahead), pitch, full_size)
    # Nothing may stand right before the lens.
    kept = solids[:_SHELL] + [solid for solid in solids[_SHELL:] if clearance(solid, eye) > 0.5]
    corners = vector(list(product((0, wide), (0, tall), (0, long))))
    return Layout(
        camera=camera,
        solids=kept,
        enclosed=True,
        lighting=_lighting(rng, room, eye, largest(kept, _SHELL)),
        tiles=tiles,
        noise=noise,
        leaves=leaves,
        furthest=float(camera.project(corners)[:, 2].max()),
    )


def _shell(p: Palette, room: Triple, bare: int) -> list[Solid]:
    """The room itself, its floor covering and its ceiling; `bare` is the tile of unpainted walls."""
    wide, tall, long = room
    tile = bare if p.rng.random() < 0.25 else p.pick("plain", "plain", "stripes")
    red, green, blue = p.muted()
    if p.rng.random() < 0.6:  # most rooms are painted in light colours
        red = 0.6 + 0.4 * red
        green = 0.6 + 0.4 * green
        blue = 0.6 + 0.4 * blue
    half = (wide / 2, tall / 2, long / 2)
    white = p.uniform(0.6, 1)
    ceiling = Material(p.pick("plain"), (white, white, white * 0.95), 2.0)
    floor = p.material("wood", "checks", "stone", metres=1.6)
    return [
        Solid("box", half, half, Material(tile, (red, green, blue), 1.5)),
        box(wide / 2, -0.01, long / 2, wide, 0.012, long, floor),
        box(wide / 2, tall - 0.002, long / 2, wide, 0.012, long, ceiling),
    ]


def _contents(p: Palette, wide: float, long: float) -> list[Solid]:
    """Furniture along three walls, a few things in the middle, clutter on the floor, perhaps a rug."""
    rng = p.rng
    solids = _along_wall(p, wide / 2, long, math.pi, wide)
    solids += _along_wall(p, 0.0, long / 2, math.pi / 2, long)
    solids += _along_wall(p, wide, long / 2, -math.pi / 2, long)
    for x, z, turn in rng.random((int(rng.integers(0, 4)), 3)).tolist():
        thing = FREE[int(rng.integers(len(FREE)))](p)
        solids += placed(thing, wide * (0.2 + 0.6 * x), long * (0.4 + 0.45 * z), 2 * math.pi * turn)
    things = clutter(p, wide * 0.8, long * 0.6, 0, int(rng.integers(0, 7)), 0.6)
    solids += placed(things, wide / 2, long * 0.35, 0)
    if rng.random() < 0.4:
        cloth = p.material("picture", "stripes", "stone")
        rug = box(0, 0, 0, p.uniform(1, 2.5), 0.01, p.uniform(1, 2), cloth)
        solids += placed([rug], wide / 2, long * 0.6, p.uniform(0, 3))
    return solids


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


def _lighting(rng: np.random.Generator, room: Triple, eye: Triple, occluders: list[int]) -> Lighting:
    """A lamp under the ceiling, and in half of the rooms daylight from a side or a flash at the camera."""
    wide, tall, long = room
    lamp = (wide * rng.uniform(0.2, 0.8), tall - 0.3, long * rng.uniform(0.2, 0.8))
    lights = [Light(lamp, lamp_colour(rng, rng.uniform(1, 3)), rng.uniform(1.5, 5))]
    if rng.random() < 0.5:
        side = (wide * (1.1 if rng.random() < 0.5 else -0.1), 1.5, long * rng.uniform(0.2, 0.8))
        where = eye if rng.random() < 0.25 else side
        lights.append(Light(where, lamp_colour(rng, rng.uniform(0.5, 2)), rng.uniform(1, 3)))
    return Lighting(
        lights=lights,
        ambient=vector(lamp_colour(rng, rng.uniform(0.15, 0.6))),
        shadow=rng.uniform(0.4, 0.9),
        corner=rng.uniform(0.2, 0.6),
        softness=rng.uniform(0.3, 0.9),
        occluders=occluders,
    )
