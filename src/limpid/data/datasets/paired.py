"""What all sets of pairs share: parts, scenes, sizes; how pairs are found is the business of each kind."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limpid.data.datasets.base import Files, ImageSet, Pair, Sample, Wrap
from limpid.data.image_io import read_image
from limpid.errors import CannotRun, UserError
from limpid.ranges import NonNegativeFloat, PixelsOrNone


def examples(found: Sequence[object], most: int = 5) -> str:
    """The first of what was found, and whether there are more."""
    return ", ".join(map(str, found[:most])) + (" ..." if len(found) > most else "")


def held_out_scenes(scenes: Iterable[str], held_out: float) -> set[str]:
    """The scenes that validate: a count, or a share below 1, and never more than half of them.

    By a hash of the name, so that the choice is the same wherever the set lies and however much of it is there.
    """
    ordered = sorted(set(scenes), key=lambda s: (zlib.crc32(s.encode()), s))
    count = round(held_out * len(ordered)) if held_out < 1 else int(held_out)
    return set(ordered[: min(count, len(ordered) // 2)])


@dataclass(kw_only=True, eq=False)
class PairedFiles(Files):
    """What all sets of pairs share: parts that validate, and sizes that agree.

    Args:
        scene: a regular expression; what it finds in the reference's key is the scene. By default the whole key.
        border: how many pixels a reference may be larger on each side; it is then cropped to the middle.
        part: ``all``, or ``train`` or ``val``: without or only the held-out scenes.
        held_out: how many scenes validate: a count, or a share below 1. Scenes, not images: the degraded versions of
            one reference, or the frames of one sequence, stay together.

    Raises:
        UserError: the part is none of the three.
    """

    scene: str = ".+"
    border: PixelsOrNone = 0
    part: str = "all"
    held_out: NonNegativeFloat = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.part not in ("all", "train", "val"):
            raise UserError(f"The part of set {self.name} is {self.part!r}, but it must be all, train or val.")

    def pairs(self) -> list[Pair]:
        """The pairs of all parts.

        Raises:
            CannotRun: the set is missing or empty.
            UserError: an image has no partner, or as in `matched`.
        """
        matched = self.matched()
        if matched.strays:
            raise UserError(self.lacking(matched.strays))
        if not matched.pairs:
            raise CannotRun(
                f"The set {self.name} is empty: {self.require_root()} holds no pairs. {self.how_to_get}".rstrip()
            )
        return matched.pairs

    @cached_property
    def _all_parts(self) -> list[Pair]:
        return self.pairs()

    @property
    def whole_count(self) -> int:
        """How many pairs there are in all parts of the split; raises as `pairs` does."""
        return len(self._all_parts)

    @cached_property
    def chosen(self) -> list[Pair]:
        """The pairs of this part; raises as `pairs` does."""
        pairs = self._all_parts
        if self.part == "all":
            return pairs
        held = held_out_scenes((pair.scene for pair in pairs), self.held_out)
        return [pair for pair in pairs if (pair.scene in held) == (self.part == "val")]

    @property
    def files(self) -> list[tuple[Path, Path]]:
        """The pairs of this part as (degraded, reference); raises as `pairs` does."""
        return [(Path(pair.input), Path(pair.target)) for pair in self.chosen]

    @property
    def roles(self) -> tuple[str, ...]:
        """The keys of the images in a sample."""
        return ("input", "target")

    def name_of(self, index: int) -> str:
        """The key of pair `index`."""
        return self.chosen[index].key

    def facts_of(self, index: int) -> Sample:
        """The `name` of pair `index`."""
        return {"name": self.name_of(index)}

    def files_of(self, index: int) -> tuple[str, ...]:
        """The files of pair `index`, the degraded image first."""
        return self.chosen[index].input, self.chosen[index].target

    def wrap_files(self, wrap: Wrap) -> ImageSet:
        """The set as `wrap` gives it."""
        return wrap(self)

    def scene_of(self, key: str) -> str:
        """The name of the scene that the reference with this key shows."""
        match = re.search(self.scene, key)
        return match[0] if match else key

    def __len__(self) -> int:
        return len(self.chosen)

    def load(self, index: int, *rng: np.random.Generator) -> Sample:
        """Pair `index`: `input`, `target`, `name`.

        Raises:
            UserError: a file cannot be read, or the sizes of the two differ by something else than the card's border.
        """
        pair = self.chosen[index]
        degraded, reference = self.read(pair)
        if reference.shape != degraded.shape:
            reference = self._without_border(reference, degraded.shape, pair)
        return {"input": degraded, "target": reference, **self.facts_of(index)}

    def read(self, pair: Pair) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The degraded image and its reference as they are stored."""
        return read_image(Path(pair.input)), read_image(Path(pair.target))

    def size_problem(self, degraded: Sequence[int], reference: Sequence[int], pair: Pair) -> str | None:
        """A sentence if images of these sizes (height, width, ...) are no pair, else None."""
        grown = [2 * self.border + side for side in degraded[:2]]
        if list(reference[:2]) in (list(degraded[:2]), grown):
            return None
        return (
            f"{pair.input} is {degraded[1]}x{degraded[0]} but its reference {pair.target} is "
            f"{reference[1]}x{reference[0]}; the two must have one size"
            + (f", or the reference a border of {self.border} pixels." if self.border else ".")
        )

    def _without_border(
        self, reference: NDArray[np.float32], shape: tuple[int, ...], pair: Pair
    ) -> NDArray[np.float32]:
        if problem := self.size_problem(shape, reference.shape, pair):
            raise UserError(problem)
        b = self.border
        return reference[b : reference.shape[0] - b, b : reference.shape[1] - b]
