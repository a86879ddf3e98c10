"""Textures of drawn scenes: small square tiles made of noise, stripes, bricks, planks, books and the like.

A tile is (TILE, TILE, 3) float32 reflectance in [0, 1]. A scene's tiles are stacked into an atlas, together
with a blurred copy and the mean of each, so that distant surfaces do not alias.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from limpid.data.scenes.arrays import Array, resized, vector

TILE = 128
COARSE = 8  # side of the blur of the coarse level, in pixels of the fine one


def fractal_noise(rng: np.random.Generator, size: int = TILE, coarsest: int = 4, slope: float = 0.8) -> Array:
    """Noise in octaves whose amplitude falls as 1 / frequency^slope, (size, size), stretched to [0, 1].

    Its power spectrum falls as 1 / frequency^(2 + 2 slope).

    Args:
        rng: source of the noise.
        size: side in pixels.
        coarsest: cells along a side in the slowest octave; each further one has twice as many.
        slope: 0 gives every octave the same energy, larger values a smoother field.
    """
    total = np.zeros((1, 1), np.float32)
    for octave in range(1 + math.ceil(math.log2(max(size / coarsest, 1)))):
        side = min(coarsest << octave, size)
        grain = rng.random((side, side), np.float32) * 0.5 ** (octave * slope)
        total = resized(total, side, side, cv2.INTER_CUBIC) + grain
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def _mix(first: Array, second: Array, share: Array) -> Array:
    """From one colour (3,) to another by a share per pixel (H, W): (H, W, 3)."""
    line = np.stack([second - first, first], axis=-1)
    return np.asarray(cv2.transform(np.ascontiguousarray(share, np.float32), line), np.float32)


def _over(image: Array, colour: Array | float, cover: Array) -> Array:
    """A colour (3,) or an image laid over an image where `cover` (H, W) is 1."""
    return image + (colour - image) * cv2.merge((cover,) * 3)


def _dim(image: Array, factor: Array) -> Array:
    """An image (H, W, 3) times a factor (H, W)."""
    return image * cv2.merge((factor,) * 3)


def _shift(rng: np.random.Generator, noise: Array) -> Array:
    """The noise field cut and flipped at random, so that one field serves several tiles."""
    row, column = rng.integers(0, noise.shape[0] - TILE + 1, 2)
    piece = noise[row : row + TILE, column : column + TILE]
    return piece.T if rng.random() < 0.5 else piece[::-1]


def _bars(count: float, duty: float, soft: float = 0.15) -> Array:
    """A periodic soft bar in [0, 1] along one side of a tile, (TILE,)."""
    phase = np.abs((np.arange(TILE, dtype=np.float32) / TILE * count) % 1 - 0.5) * 2
    return np.asarray(np.clip((duty - phase) / soft + 0.5, 0, 1), np.float32)


def plain(rng: np.random.Generator, noise: Array, dark: Array, light: Array) -> Array:
    """Paint: the light colour with a little mottling."""
    return _mix(light, light * rng.uniform(0.8, 0.98), _shift(rng, noise))


def stone(rng: np.random.Generator, noise: Array, dark: Array, light: Array) -> Array:
    """Stucco, carpet, soil or foliage: band-limited noise between two colours."""
    share = _shift(rng, noise) - 0.5
    return _mix(dark, light, np.clip(share * rng.uniform(1, 4) + 0.5, 0, 1))


def speckle(rng: np.random.Generator, noise: Array, dark: Array, light: Array) -> Array:
    """Carpet, gravel or leaves: grains of two sizes under slow mottling."""
    cells = int(rng.integers(24, TILE + 1))
    grain = rng.random((cells, cells), np.float32)
    grain = resized(grain, TILE, TILE)
    return _mix(dark, light, np.clip(grain + 0.8 * _shift(rng, noise) - 0.4, 0, 1))


def wood(rng: np.random.Generator, noise: Array, dark: Array, light: Array) -> Array:
    """Planks along the columns: stretched grain, each plank with its own brightness, and dark joints."""
    grain = resized(np.ascontiguousarray(_shift(rng, noise)[:: TILE // 8]), TILE, TILE).T
    rings = 0.5 + 0.5 * np.sin(grain * rng.uniform(15, 60))
    planks = int(rng.integers(1, 9))
    tone = np.repeat(rng.uniform(0.7, 1, planks).astype(np.float32), -(-TILE // planks))[:TILE]
    joints = 1 - 0.6 * _bars(planks, 0.04, 0.05) * (planks > 1)
    planed = np.repeat((tone * joints)[:, None], TILE, axis=1)
    return _dim(_mix(dark, light, 0.6 * rings + 0.4 * grain), planed)


def stripes(rng: np.random.Generator, noise: Array, dark: Array, light: Array) -> Array:
    """Cloth or wallpaper with upright stripes of two periods."""
    broad, narrow = rng.integers((2, 8), (17, 33)).tolist()
    bars = 0.7 * _bars(broad, rng.uniform(0.2, 0.8)) + 0.3 * _bars(narrow, 0.5)
    return _dim(_mix(dark, light, np.broadcast_to(bars, (TILE, TILE))), 0.8 + 0.2 * _shift(rng, noise))


def checks(rng: np.random.Generator, noise: Array, dark: Array, light: Array) -> Array:
    """Floor tiles, either chequered or alike, with joints."""
    count = 2 * int(rng.integers(1, 5))
    cell = np.arange(TILE) * count // TILE
    tone = rng.uniform(0.6, 1, (count, count)).astype(np.float32)[cell[:, None], cell]
    share = ((cell[:, None] + cell) % 2).astype(np.float32) if rng.random() < 0.4 else tone
    joint = np.maximum(_bars(count, 0.06, 0.06)[:, None], _bars(count, 0.06, 0.06))
    body = _mix(dark, light, share * (0.85 + 0.15 * _shift(rng, noise)))
    return _over(body, rng.uniform(0.05, 0.8), joint)


def bricks(rng: np.random.Generator, noise: Array, dark: Array, light: Array) -> Array:
    """Courses of bricks, each with its own tone, in mortar."""
    courses = 2 * int(rng.integers(3, 8))
    row = np.arange(TILE) * courses // TILE
    column = (np.arange(TILE)[None] * courses // TILE + row[:, None] % 2) // 2
    tone = rng.uniform(0, 1, (courses, courses)).astype(np.float32)[row[:, None], column % courses]
    step = np.zeros((TILE, TILE), np.float32)
    step[:, 1:] = column[:, 1:] != column[:, :-1]
    mortar = np.maximum(_bars(courses, 0.12, 0.1)[:, None], step)
    body = _mix(dark, light, 0.7 * tone + 0.3 * _shift(rng, noise))
    return _over(body, rng.uniform(0.3, 0.8), mortar)


def books(rng: np.random.Generator, noise: Array, dark: Array, light: Array) -> Array:
    """A bookcase from the front: rows of upright coloured spines between boards."""
    tile = np.empty((TILE, TILE, 3), np.float32)
    tile[:] = 0.2 * dark + 0.1 * light
    shelves = int(rng.integers(3, 7))
    pitch = TILE / shelves
    spines = rng.uniform(0, 1, (shelves * 40, 5)).astype(np.float32)
    spines[:, :3] = np.clip(spines[:, :3] ** 1.5 * 0.5 + spines[:, 3:4] ** 2 * 0.6, 0.02, 1)
    for shelf in range(shelves):
        foot, left = int((shelf + 1) * pitch) - 2, 1
        for red, green, blue, wide, tall in spines[shelf * 40 : shelf * 40 + 40].tolist():
            right = left + 1 + int(wide * 6)
            if wide < 0.93:
                top = foot - int(pitch * (0.55 + 0.35 * tall))
                tile[top:foot, left:right] = (red, green, blue)
                if right - left > 2:  # a title on the spine
                    middle = (top + foot) // 2
                    tile[middle - 2 : middle + 1, left + 1 : right - 1] = (green, blue, 1 - red)
            left = right
        tile[foot : foot + 2] = dark
    return tile


def picture(rng: np.random.Generator, noise: Array, dark: Array, light: Array) -> Array:
    """A poster or painting: leaves of many sizes and colours one over another, on a graded ground."""
    ramp = np.linspace(0, 1, TILE, dtype=np.float32)[:, None]
    tile = _mix(dark, light, np.broadcast_to(ramp, (TILE, TILE)))
    count = int(rng.integers(8, 40))
    place = rng.integers(0, TILE, (count, 2)).tolist()
    shape = rng.random((count, 6)).tolist()
    for (x, y), (red, green, blue, size, flat, turn) in zip(place, shape, strict=True):
        radius = int(3 + 40 * size**4)
        colour = (red**2, green**2, blue**2)
        if turn < 0.5:
            cv2.rectangle(tile, (x, y), (x + radius, y + int(radius * (0.3 + 2 * flat))), colour, -1)
        else:
            axes = (radius, max(1, int(radius * flat)))
            cv2.ellipse(tile, (x, y), axes, 360 * turn, 0, 360, colour, -1)
    return _dim(tile, 0.7 + 0.3 * _shift(rng, noise))


def facade(rng: np.random.Generator, noise: Array, dark: Array, light: Array) -> Array:
    """The front of a house: rows of windows, some lit, some curtained, in a plastered or striped wall."""
    wall = stone(rng, noise, light * 0.75, light)
    rows, columns = rng.integers(3, 8, 2)
    wide, tall = rng.uniform(0.35, 0.7, 2)
    pane = np.minimum(_bars(columns, wide, 0.05)[None], _bars(rows, tall, 0.05)[:, None])
    frame = np.minimum(_bars(columns, wide + 0.15, 0.05)[None], _bars(rows, tall + 0.15, 0.05)[:, None])
    cells = rng.uniform(0, 1, (rows, columns, 1)).astype(np.float32) ** 3 * vector([0.7, 0.75, 0.8]) + 0.02
    at = (np.arange(TILE) * rows // TILE)[:, None], np.arange(TILE) * columns // TILE
    return _over(_over(wall, rng.random(), frame), cells[at], pane)


#: The kinds of tiles by name. Foliage is speckle in greens, which the layouts see to.
KINDS: dict[str, Callable[[np.random.Generator, Array, Array, Array], Array]] = {
    "plain": plain,
    "stone": stone,
    "speckle": speckle,
    "foliage": speckle,
    "wood": wood,
    "stripes": stripes,
    "checks": checks,
    "bricks": bricks,
    "books": books,
    "picture": picture,
    "facade": facade,
}


def draw_tile(rng: np.random.Generator, kind: str, noise: Array) -> Array:
    """A tile of one of the `KINDS` in drawn colours; `noise` is a fractal field larger than a tile."""
    light = rng.uniform(0.6, 1, 3) ** rng.uniform(0, 1)
    dark = light * rng.uniform(0.1, 0.9) * rng.uniform(0.8, 1, 3)
    if kind == "foliage":
        light = rng.uniform((0.2, 0.35, 0.05), (0.55, 0.65, 0.3))
        dark = light * rng.uniform(0.05, 0.3)
    return KINDS[kind](rng, noise, dark.astype(np.float32), light.astype(np.float32))


class Atlas:
    """Tiles one below another, thrice: `fine` (n TILE, TILE, 3), `coarse` (smaller) and their `mean` (n, 3).

    Args:
        tiles: the tiles; None for one that no pixel shows.
    """

    def __init__(self, tiles: Sequence[Array | None]) -> None:
        count, small = len(tiles), TILE // COARSE
        self.fine = np.zeros((count * TILE, TILE, 3), np.float32)
        for number, tile in enumerate(tiles):
            if tile is not None:
                self.fine[number * TILE : (number + 1) * TILE] = tile
        self.coarse = resized(self.fine, count * small, small, cv2.INTER_AREA)
        self.mean = self.coarse.reshape(count, small * small, 3).mean(axis=1)

    def sample(self, tile: Array, u: Array, v: Array, footprint: Array) -> Array:
        """Reflectance (H, W, 3) at texture coordinates in pixels of a tile; tiles repeat as between mirrors.

        Args:
            tile: tile numbers, (H, W) float32.
            u: column coordinate, (H, W).
            v: row coordinate, (H, W).
            footprint: how many pixels of the tile one pixel of the image covers, (H, W).
        """
        column, row = _mirror(u), _mirror(v)
        fine = _look_up(self.fine, column, row, tile)
        # The first pixel of a coarse tile lies in the middle of the COARSE fine ones that it stands for.
        column, row = ((side + 0.5) * (1 / COARSE) - 0.5 for side in (column, row))
        coarse = _look_up(self.coarse, column, row, tile)
        sharp = _clipped((COARSE - footprint) * (1 / (COARSE - 1)))
        faded = _clipped((footprint - COARSE) * (1 / (TILE // 2 - COARSE)))
        return _over(_over(coarse, fine, sharp), np.take(self.mean, tile.astype(np.int32), axis=0), faded)


def _look_up(stack: Array, column: Array, row: Array, tile: Array) -> Array:
    """Colours between the pixels of tiles that lie one below another; never of the neighbouring tile."""
    last = stack.shape[1] - 1
    row = np.clip(row, 0, last) + tile * (last + 1)
    return np.asarray(cv2.remap(stack, np.clip(column, 0, last), row, cv2.INTER_LINEAR), np.float32)


def _clipped(share: Array) -> Array:
    return np.asarray(np.clip(share, 0, 1), np.float32)


def _mirror(coordinate: Array) -> Array:
    """Fold a coordinate into [0, TILE - 1] as between two mirrors."""
    period = 2 * (TILE - 1)
    folded = coordinate - np.floor(coordinate / period) * period
    return np.minimum(folded, period - folded)
