"""Materials for drawn scenes: which texture, and which colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from limpid.data.scenes.raster import Material, Triple


class Palette:
    """Draws materials: which tile, and which colour.

    Args:
        rng: source of all choices.
        tiles: kinds of the scene's tiles, numbered by place.
    """

    def __init__(self, rng: np.random.Generator, tiles: Sequence[str]) -> None:
        self.rng = rng
        self.tiles: dict[str, list[int]] = {}
        for number, kind in enumerate(tiles):
            self.tiles.setdefault(kind, []).append(number)

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`."""
        return low + (high - low) * self.rng.random()

    def pick(self, *kinds: str) -> int:
        """The number of a tile of one of these kinds."""
        numbers = self.tiles[kinds[int(self.rng.random() * len(kinds))]]
        return numbers[int(self.rng.random() * len(numbers))]

    def tint(self) -> Triple:
        """A reflectance as things in rooms have: often grey, white or brown, some saturated, some black."""
        kind, value, red, green, blue = self.rng.random(5).tolist()
        if kind < 0.30:  # grey to white
            grey = 0.25 + 0.75 * value
            return grey, grey * (0.94 + 0.08 * green), grey * (0.86 + 0.16 * blue)
        if kind < 0.55:  # wood, leather, cardboard
            level = 0.2 + 0.8 * value**1.5
            return level, level * (0.5 + 0.35 * green), level * (0.2 + 0.45 * blue)
        if kind < 0.70:  # black things
            level = 0.02 + 0.12 * value
            return level, level * (0.8 + 0.4 * green), level * (0.8 + 0.4 * blue)
        level, least = 0.25 + 0.75 * value, min(red, green, blue)  # any hue
        spread = max(red, green, blue) - least + 1e-6
        pale = self.rng.random() ** 0.7
        r, g, b = ((c - least) / spread * (1 - pale) + pale for c in (red, green, blue))
        return level * r, level * g, level * b

    def muted(self) -> Triple:
        """A paler tint, as walls and grounds have."""
        red, green, blue = self.tint()
        grey, keep = (red + green + blue) / 3, 0.6 * self.rng.random()
        return grey + keep * (red - grey), grey + keep * (green - grey), grey + keep * (blue - grey)

    def material(self, *kinds: str, metres: float | None = 1.0) -> Material:
        """A tile of one of these kinds in a drawn colour; `metres` is the tile's side, varied by half."""
        side = None if metres is None else metres * self.uniform(0.5, 1.5)
        return Material(self.pick(*kinds), self.tint(), side)

    def solid_colour(self) -> Material:
        """Any smooth or faintly grained colour."""
        return self.material("plain", "plain", "stone", metres=0.8)
