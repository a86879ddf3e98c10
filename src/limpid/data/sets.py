"""Data sets: pairs of files as publishers lay them out, plain folders, and clean images degraded on the fly.

A set is described by a card in `conf/set/`; the classes here read it. Making a set touches no disk, so that a missing
one costs nothing until it is needed.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from limpid.data.files import list_images, read_image
from limpid.errors import CannotRun, UserError

#: One image: `input` and, where there is one, `target` as `(H, W, 3)` float32 RGB in [0, 1]; `name`; and what a task
#: adds, such as `depth` `(H, W)`.
Sample = dict[str, Any]


class ImageSet(Protocol):
    """What the datamodule asks of a set."""

    name: str
    domain: str
    expected: int | None

    def __len__(self) -> int:
        """How many images there are; raises CannotRun where the set is missing."""

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Image `index`; all randomness comes from `rng`."""

    def missing(self) -> str | None:
        """Why the set cannot be used, in a sentence, or None if it can."""


class CleanSet(Protocol):
    """Clean images to be degraded: each a pure function of its index."""

    def __len__(self) -> int:
        """How many there are."""

    def load(self, index: int) -> Sample:
        """`target`, `name`, and `depth` where it is known."""


class _Files:
    """What sets of files share: where they lie, and what to say when they are not there."""

    def __init__(
        self,
        name: str,
        domain: str,
        root: str,
        homes: Sequence[str],
        obtain: str,
        licence: str,
        expected: int | None,
    ) -> None:
        self.name, self.domain, self.root, self.homes = name, domain, Path(root), list(homes)
        self.obtain, self.licence, self.expected = obtain, licence, expected

    def _is_home(self, folder: Path) -> bool:
        raise NotImplementedError  # each kind of set knows its own layout

    @cached_property
    def home(self) -> Path | None:
        """The first of the set's homes below the root that has its layout."""
        return next((self.root / h for h in self.homes if self._is_home(self.root / h)), None)

    def missing(self) -> str | None:
        """Why the set cannot be used, in a sentence, or None if it can."""
        if self.home is not None:
            return None
        looked = ", ".join(str(self.root / home) for home in self.homes)
        there = "" if self.root.is_dir() else f" (the data root {self.root} does not exist)"
        return f"The set {self.name} is not there{there}; looked in {looked}. {self.obtain}"

    def _found(self) -> Path:
        if self.home is None:
            raise CannotRun(str(self.missing()))
        return self.home


class Pairs(_Files):
    """Degraded images in one folder, their references in another, matched by name.

    Args:
        name: the set's name in tables.
        domain: its degradation, such as ``haze``.
        root: the data root.
        homes: folders below the root where the set may lie, in the order they are tried.
        input: folder of the degraded images inside the home.
        target: folder of the references inside the home.
        pair: a regular expression for the whole stem of a degraded image; its group `target` is the stem of the
            reference. Suffixes may differ.
        border: how many pixels a reference may be larger on each side; it is then cropped to the middle.
        part: ``all``, or ``train`` or ``val``: without or only the held-out scenes.
        held_out: how many scenes validate: a count, or a share below 1. Scenes, not images: the degraded versions of
            one reference stay together.
        expected: how many degraded images the publisher's set has; a result on fewer is not comparable.
        licence: under which terms the publisher gives the set.
        obtain: a sentence that says how to get it.
    """

    def __init__(
        self,
        name: str,
        domain: str,
        root: str,
        homes: Sequence[str],
        input: str,
        target: str,
        pair: str,
        border: int = 0,
        part: str = "all",
        held_out: float = 0,
        expected: int | None = None,
        licence: str = "",
        obtain: str = "",
    ) -> None:
        super().__init__(name, domain, root, homes, obtain, licence, expected)
        if part not in ("all", "train", "val"):
            raise UserError(f"The part of set {name} is {part!r}, but it must be all, train or val.")
        self.input, self.target, self.pair = input, target, re.compile(pair)
        self.border, self.part, self.held_out = border, part, held_out

    def _is_home(self, folder: Path) -> bool:
        return (folder / self.input).is_dir() and (folder / self.target).is_dir()

    @cached_property
    def files(self) -> list[tuple[Path, Path]]:
        """The pairs (degraded, reference), sorted by the degraded image's name.

        Raises:
            CannotRun: the set is missing or empty.
            UserError: an image has no reference.
        """
        home = self._found()
        references = {file.stem: file for file in list_images(home / self.target)}
        pairs, strays = [], []
        for file in list_images(home / self.input):
            match = self.pair.fullmatch(file.stem)
            reference = references.get(match["target"]) if match else None
            if reference is None:
                strays.append(file.name)
            else:
                pairs.append((file, reference))
        if strays:
            raise UserError(
                f"{len(strays)} of the images in {home / self.input} have no reference in {home / self.target} (pair "
                f"rule {self.pair.pattern!r}): {', '.join(strays[:5])}{' ...' if len(strays) > 5 else ''}; "
                "complete the set or remove them."
            )
        if not pairs:
            raise CannotRun(f"The set {self.name} is empty: {home / self.input} holds no images. {self.obtain}")
        return self._of_part(pairs)

    def _of_part(self, pairs: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
        if self.part == "all":
            return pairs
        # By a hash of the name, so that the choice is the same wherever the set lies and however much of it is there.
        scenes = sorted({reference.stem for _, reference in pairs}, key=lambda s: (zlib.crc32(s.encode()), s))
        count = round(self.held_out * len(scenes)) if self.held_out < 1 else int(self.held_out)
        held = set(scenes[: min(count, len(scenes) // 2)])
        return [pair for pair in pairs if (pair[1].stem in held) == (self.part == "val")]

    def __len__(self) -> int:
        return len(self.files)

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Pair `index`: `input`, `target`, `name`.

        Raises:
            UserError: the sizes of the two differ by something else than the card's border.
        """
        degraded_file, reference_file = self.files[index]
        degraded, reference = read_image(degraded_file), read_image(reference_file)
        if reference.shape != degraded.shape:
            reference = self._without_border(reference, degraded.shape, degraded_file, reference_file)
        return {"input": degraded, "target": reference, "name": degraded_file.stem}

    def _without_border(
        self,
        reference: NDArray[np.float32],
        shape: tuple[int, ...],
        degraded_file: Path,
        reference_file: Path,
    ) -> NDArray[np.float32]:
        b = self.border
        cropped = reference[b : reference.shape[0] - b, b : reference.shape[1] - b]
        if cropped.shape != shape:
            raise UserError(
                f"{degraded_file} is {shape[1]}x{shape[0]} but its reference {reference_file} is "
                f"{reference.shape[1]}x{reference.shape[0]}; the two must have one size"
                + (f", or the reference a border of {b} pixels." if b else ".")
            )
        return cropped


class Images(_Files):
    """A plain folder of images without references.

    Args:
        name: the set's name in tables.
        domain: its degradation.
        root: the data root.
        homes: folders below the root where the images may lie, in the order they are tried.
        expected: how many the publisher's set has.
        licence: under which terms the publisher gives the set.
        obtain: a sentence that says how to get it.
    """

    def __init__(
        self,
        name: str,
        domain: str,
        root: str,
        homes: Sequence[str],
        expected: int | None = None,
        licence: str = "",
        obtain: str = "",
    ) -> None:
        super().__init__(name, domain, root, homes, obtain, licence, expected)

    def _is_home(self, folder: Path) -> bool:
        return bool(list_images(folder))

    @cached_property
    def files(self) -> list[Path]:
        """The image files, sorted by name."""
        return list_images(self._found())

    def __len__(self) -> int:
        return len(self.files)

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Image `index`: `input`, `name`."""
        return {"input": read_image(self.files[index]), "name": self.files[index].stem}


class Degraded:
    """Clean images, degraded when they are loaded.

    Args:
        name: the set's name in tables.
        domain: its degradation.
        clean: the clean images.
        degradation: adds `input` (and what it knows about it) to a sample, drawing from a generator.
    """

    expected: int | None = None

    def __init__(
        self,
        name: str,
        domain: str,
        clean: CleanSet,
        degradation: Callable[[Sample, np.random.Generator], Sample],
    ) -> None:
        self.name, self.domain, self.clean, self.degradation = name, domain, clean, degradation

    def __len__(self) -> int:
        return len(self.clean)

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Image `index`, degraded with `rng`: `input`, `target`, `name` and what the degradation adds."""
        return self.degradation(self.clean.load(index), rng)

    def missing(self) -> str | None:
        """None: clean images that cannot be had raise when they are made."""
        return None
