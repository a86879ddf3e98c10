"""Things that stand in rooms, composed of boxes, balls, cylinders and cones.

Each builder returns solids in its own frame: x along the wall, y up from the floor, z away from the wall,
origin at the middle of its foot against the wall; lengths in metres. `placed` moves them into the world.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

from limpid.data.scenes.palette import Palette
from limpid.data.scenes.raster import Material, Shape, Solid

#: Where the four legs of a thing stand: left or right, back or front.
_CORNERS = tuple(product((-1, 1), (-1, 1)))


def box(x: float, y: float, z: float, wide: float, tall: float, deep: float, material: Material) -> Solid:
    """A box whose foot's middle is at (x, y, z)."""
    return Solid("box", (x, y + tall / 2, z), (wide / 2, tall / 2, deep / 2), material)


def placed(solids: Sequence[Solid], x: float, z: float, turn: float, y: float = 0.0) -> list[Solid]:
    """The solids turned about the vertical (radians) and moved to (x, y, z)."""
    cosine, sine = math.cos(turn), math.sin(turn)
    return [
        solid._replace(
            centre=(
                x + solid.centre[0] * cosine + solid.centre[2] * sine,
                y + solid.centre[1],
                z - solid.centre[0] * sine + solid.centre[2] * cosine,
            ),
            turn=solid.turn + turn,
        )
        for solid in solids
    ]


def clutter(p: Palette, wide: float, deep: float, y: float, count: int, largest: float = 0.3) -> list[Solid]:
    """Small things on a board: sizes follow a power law, so that there are edges at every scale."""
    solids = []
    for place, across, size, kind, aspect in p.rng.random((count, 5)).tolist():
        half = 0.5 * max(0.03, largest * (0.15 + 0.85 * size**2))
        shape: Shape = ("box", "box", "ball", "cylinder", "cylinder", "cone")[int(kind * 6)]
        tall = half * (0.4 + 2 * aspect)
        at = ((place - 0.5) * (wide - half), y + tall, (across - 0.5) * (deep - half) + deep / 2)
        material = p.material("plain", "stone", "picture", "stripes", metres=None if kind < 0.15 else 0.3)
        solids.append(Solid(shape, at, (half, tall, half * (0.6 + 0.5 * aspect)), material, turn=6 * kind))
    return solids


def table(p: Palette) -> list[Solid]:
    """A table or desk with things on it."""
    wide = p.uniform(0.7, 1.8)
    deep = p.uniform(0.5, 0.9)
    tall = p.uniform(0.4, 0.8)
    top, leg = p.material("wood", "wood", "plain"), p.solid_colour()
    legs = [box(x * (wide / 2 - 0.06), 0, deep / 2 + z * (deep / 2 - 0.06), 0.06, tall, 0.06, leg) for x, z in _CORNERS]
    things = clutter(p, wide, deep, tall + 0.04, int(p.uniform(1, 6)))
    return [box(0, tall, deep / 2, wide, 0.04, deep, top), *legs, *things]


def chair(p: Palette) -> list[Solid]:
    """A chair with its back against the wall."""
    wide, tall = p.uniform(0.4, 0.55), p.uniform(0.4, 0.5)
    seat, leg = p.material("wood", "plain", "stripes"), p.solid_colour()
    legs = [box(x * wide * 0.45, 0, wide * (0.5 + 0.45 * z), 0.04, tall, 0.04, leg) for x, z in _CORNERS]
    back = box(0, tall, 0.03, wide, p.uniform(0.4, 0.6), 0.05, seat)
    return [box(0, tall, wide / 2, wide, 0.05, wide, seat), back, *legs]


def cabinet(p: Palette) -> list[Solid]:
    """A cupboard or chest: a body, its doors or drawers with handles, and things on top."""
    wide = p.uniform(0.6, 1.8)
    deep = p.uniform(0.35, 0.6)
    tall = p.uniform(0.5, 2.0)
    body = p.material("wood", "plain", "plain")
    front = body if p.rng.random() < 0.5 else p.material("wood", "plain")
    handle = p.solid_colour()
    columns, rows = max(1, round(wide / 0.5)), 1 if tall > 1.2 else max(1, round(tall / 0.3))
    step, rise = wide / columns, (tall - 0.05) / rows
    solids = [box(0, 0, deep / 2, wide, tall, deep, body)]
    for column in range(columns):
        x = -wide / 2 + step * (column + 0.5)
        for row in range(rows):
            y = 0.05 + rise * row
            solids.append(box(x, y + 0.01, deep + 0.01, step - 0.03, rise - 0.03, 0.02, front))
            solids.append(box(x + 0.1 * step, y + rise / 2, deep + 0.03, 0.1, 0.025, 0.02, handle))
    return solids + clutter(p, wide, deep, tall, int(p.uniform(0, 5)), 0.45)


def bookcase(p: Palette) -> list[Solid]:
    """Shelves full of books."""
    wide = p.uniform(0.6, 1.6)
    tall = p.uniform(1.0, 2.2)
    deep = 0.3
    frame = p.material("wood", "plain")
    spines = Material(p.pick("books"), (1.0, 1.0, 1.0), None)
    sides = [box(x * (wide / 2 + 0.02), 0, deep / 2 + 0.02, 0.04, tall + 0.04, deep + 0.06, frame) for x in (-1, 1)]
    board = box(0, tall, deep / 2 + 0.02, wide + 0.08, 0.04, deep + 0.06, frame)
    return [
        box(0, 0, deep / 2, wide, tall, deep, spines),
        *sides,
        board,
        *clutter(p, wide, deep, tall + 0.04, 2),
    ]


def sofa(p: Palette) -> list[Solid]:
    """A sofa with cushions."""
    wide = p.uniform(1.2, 2.2)
    deep = p.uniform(0.7, 0.95)
    seat = p.uniform(0.35, 0.45)
    cloth = p.material("plain", "stone", "stripes", "checks", metres=0.6)
    arms = [box(x * (wide / 2 - 0.1), 0, deep / 2, 0.2, seat + 0.2, deep, cloth) for x in (-1, 1)]
    cushions = [
        Solid(
            "ball",
            (p.uniform(-0.35, 0.35) * wide, seat + 0.2, 0.3),
            (0.24, 0.2, 0.12),
            p.material("plain", "stripes", "checks", metres=0.3),
            tilt=p.uniform(-0.5, 0.5),
        )
        for _ in range(2)
    ]
    back = box(0, 0, 0.1, wide, p.uniform(0.7, 1.0), 0.2, cloth)
    return [box(0, 0, deep / 2, wide, seat, deep, cloth), back, *arms, *cushions]


def bed(p: Palette) -> list[Solid]:
    """A bed, head against the wall."""
    wide = p.uniform(0.9, 1.8)
    deep = 2.0
    tall = p.uniform(0.25, 0.5)
    frame, sheet = p.material("wood", "plain"), p.material("plain", "stripes", "checks", "stone", metres=0.7)
    pillows = [Solid("ball", (x * wide / 4, tall + 0.2, 0.3), (wide / 5, 0.12, 0.2), p.solid_colour()) for x in (-1, 1)]
    blanket = box(0, tall + 0.16, 1.4, wide + 0.06, 0.06, 1.25, p.material("stripes", "checks", "stone", "plain"))
    head = box(0, 0, 0.04, wide + 0.1, tall + p.uniform(0.3, 0.9), 0.08, frame)
    mattress = box(0, tall, deep / 2, wide, 0.18, deep, sheet)
    return [box(0, 0, deep / 2, wide, tall, deep, frame), mattress, head, blanket, *pillows]


def plant(p: Palette) -> list[Solid]:
    """A pot with leaves."""
    size = p.uniform(0.15, 0.4)
    pot = Solid("cylinder", (0, size * 0.6, size), (size * 0.6, size * 0.6, size * 0.6), p.solid_colour())
    leaf = Material(p.pick("foliage"), (0.5 + 0.5 * p.rng.random(), 1.0, 0.5), 0.6)
    leaves = [
        Solid("ball", (size * a, size * (1.6 + 1.6 * b), size * (1 + c)), (size, size, size), leaf, ragged=0.9)
        for a, b, c in (p.rng.random((3, 3)) - (0.5, 0, 0.5)).tolist()
    ]
    return [pot, *leaves]


def floor_lamp(p: Palette) -> list[Solid]:
    """A standing lamp, lit or not."""
    tall = p.uniform(1.1, 1.8)
    glow = p.uniform(0.5, 2) if p.rng.random() < 0.5 else 0.0
    shade = Material(p.pick("plain"), (1.0, 0.9, 0.7), 1.0, glow)
    pole = Solid("cylinder", (0, tall / 2, 0.25), (0.02, tall / 2, 0.02), p.solid_colour())
    return [pole, Solid("cone", (0, tall + 0.1, 0.25), (0.25, 0.3, 0.25), shade)]


def screen(p: Palette) -> list[Solid]:
    """A low board with a dark or lit screen on it."""
    wide, tall = p.uniform(0.6, 1.3), p.uniform(0.4, 0.7)
    lit = p.rng.random() < 0.3
    tile = p.pick("picture" if lit else "plain")
    colour = (1.0,) * 3 if lit else (0.03,) * 3
    face = Material(tile, colour, None, 0.6 * lit)
    foot = box(0, 0, 0.22, wide + 0.3, 0.45, 0.45, p.material("wood", "plain"))
    return [foot, box(0, 0.5, 0.15, wide, wide * 0.58, 0.05, face), *clutter(p, wide, 0.4, tall, 1)]


def heap(p: Palette) -> list[Solid]:
    """A stack of cartons."""
    solids, y = [], 0.0
    for size, turn in p.rng.random((int(p.uniform(1, 4)), 2)).tolist():
        side = 0.2 + 0.35 * size
        carton = box(0, y, 0.4, side * 1.3, side, side, p.material("plain", "stone", "picture", metres=None))
        solids.append(carton._replace(turn=turn - 0.5))
        y += side
    return solids


STANDING = (table, chair, cabinet, cabinet, bookcase, sofa, bed, plant, floor_lamp, screen, heap)
FREE = (table, chair, chair, heap, plant, sofa)


def window(p: Palette) -> list[Solid]:
    """A window full of daylight, with a cross and perhaps curtains."""
    wide = p.uniform(0.8, 1.8)
    tall = p.uniform(0.9, 1.5)
    sill = p.uniform(0.7, 1.0)
    glow = p.uniform(0.6, 4)
    pane = Material(p.pick("picture", "plain", "stone"), (0.9, 1.0, 1.0), None, glow)
    frame = p.solid_colour()
    solids = [
        box(0, sill, 0.01, wide, tall, 0.02, pane),
        box(0, sill, 0.03, 0.05, tall, 0.03, frame),
        box(0, sill + tall * 0.6, 0.03, wide, 0.05, 0.03, frame),
        box(0, sill - 0.06, 0.06, wide + 0.15, 0.06, 0.12, frame),
        box(0, sill + tall, 0.03, wide + 0.1, 0.06, 0.06, frame),
    ]
    if p.rng.random() < 0.6:
        cloth, drop = p.material("stripes", "plain", "stripes", metres=0.7), min(sill, p.uniform(0, 1))
        hang = [box(x * (wide / 2 + 0.1), sill - drop, 0.09, 0.4, tall + drop + 0.1, 0.05, cloth) for x in (-1, 1)]
        solids += hang
    return solids


def door(p: Palette) -> list[Solid]:
    """A door with panels and a knob."""
    leaf, panel = p.material("wood", "plain", "plain"), p.material("plain", "wood")
    solids = [box(0, 0, 0.01, 1.05, 2.1, 0.02, panel), box(0, 0, 0.02, 0.9, 2.02, 0.03, leaf)]
    solids += [box(x, y, 0.04, 0.32, 0.7, 0.015, leaf) for x, y in product((-0.2, 0.2), (0.2, 1.1))]
    return [*solids, Solid("ball", (0.38, 1.0, 0.07), (0.035, 0.035, 0.035), p.solid_colour())]


def pictures(p: Palette) -> list[Solid]:
    """One to three framed pictures."""
    solids = []
    for wide, tall, x, y in p.rng.random((int(p.uniform(1, 4)), 4)).tolist():
        w = 0.2 + 0.6 * wide
        h = 0.2 + 0.6 * tall
        at = 1.6 * x - 0.8
        up = 1.3 + 0.4 * y
        solids.append(box(at, up, 0.015, w + 0.07, h + 0.07, 0.03, p.solid_colour()))
        solids.append(box(at, up + 0.035, 0.02, w, h, 0.03, Material(p.pick("picture"), (1.0, 1.0, 1.0), None)))
    return solids


def shelf(p: Palette) -> list[Solid]:
    """One to three boards with things on them."""
    wide, board = p.uniform(0.6, 1.4), p.material("wood", "plain")
    solids = []
    for y in (1.35, 1.75, 2.05)[: int(p.uniform(1, 4))]:
        solids += [box(0, y, 0.13, wide, 0.03, 0.26, board), *clutter(p, wide, 0.25, y + 0.03, 4, 0.26)]
    return solids


HANGING = (window, window, pictures, pictures, shelf)
