"""Pairs matched by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from limpid.data.datasets import file_index
from limpid.data.datasets.base import Matched, Pair, Sample
from limpid.data.datasets.paired import PairedFiles, examples
from limpid.data.image_io import read_image
from limpid.errors import UserError


@dataclass(kw_only=True, eq=False)
class PairedByName(PairedFiles):
    """Degraded images and their references, matched by name.

    Names are compared by keys: a file's stem, after what the stars of its folder's pattern matched. So
    ``GOPR0372/blur/000047.png``, found by ``*/blur``, has the key ``GOPR0372/000047``.

    Args:
        input: folder of the degraded images inside the set's folder; whole parts may hold ``*``.
        target: folder of the references; it may be the same, and then files that the rule does not match are no
            degraded images.
        pair: a regular expression for the whole key of a degraded image.
        target_name: the key of its reference, filled from the groups of `pair`. Suffixes may differ.
        transmission: folder of the transmissions of hazy images, as grey images, inside the set's folder; None reads
            none. Where `pair` has a group `airlight`, that number is the brightness of the airlight.
        transmission_name: the key of an image's transmission, filled from the groups of `pair`.
    """

    input: str
    target: str
    pair: str
    target_name: str = "{target}"
    transmission: str | None = None
    transmission_name: str = "{target}"

    def has_layout(self, folder: Path) -> bool:
        """Whether both folders are there; where they are one, whether it holds an image that the rule matches."""
        if not (file_index.folders(folder, self.input) and file_index.folders(folder, self.target)):
            return False
        if self.input != self.target:
            return True
        return any(re.fullmatch(self.pair, key) for key, _ in file_index.images(folder, self.input))

    def matched(self) -> Matched:
        """The pairs sorted by key, degraded images without a reference, and references without a degraded image.

        Raises:
            CannotRun: the set is missing.
            UserError: two references have one name, or `target_name` asks for a group that `pair` lacks.
        """
        root_dir = self.require_root()
        references = file_index.by_key(file_index.images(root_dir, self.target))
        rule = re.compile(self.pair)
        pairs, strays = [], []
        used: set[str] = set()
        for key, file in file_index.images(root_dir, self.input):
            match = rule.fullmatch(key)
            if match is None and self.input == self.target:
                continue
            wanted = None if match is None else self._key("target_name", match)
            if wanted is None or wanted not in references:
                strays.append(file)
            else:
                pairs.append(Pair(key, self.scene_of(wanted), file, references[wanted]))
                used.update((wanted, key) if self.input == self.target else (wanted,))
        return Matched(pairs, strays, [file for key, file in references.items() if key not in used], [])

    @property
    def roles(self) -> tuple[str, ...]:
        """The keys of the images and maps in a sample."""
        return super().roles if self.transmission is None else (*super().roles, "transmission")

    def facts_of(self, index: int) -> Sample:
        """The `name` of pair `index`; and its `airlight` `(3,)` float32 in [0, 1], where its name tells it.

        Raises:
            UserError: the airlight in the name is no number.
        """
        facts = super().facts_of(index)
        told = self._match(index).groupdict().get("airlight")
        if told is None:
            return facts
        try:
            airlight = float(told)
        except ValueError as error:
            raise UserError(
                f"The airlight {told!r} in the name {facts['name']} of the set {self.name} is no number; correct the "
                f"name, or the pair rule {self.pair!r}."
            ) from error
        return {**facts, "airlight": np.full(3, airlight, np.float32)}

    def files_of(self, index: int) -> tuple[str, ...]:
        """The files of pair `index`: the degraded image, the reference, and the transmission where it is read."""
        files = super().files_of(index)
        return files if self.transmission is None else (*files, self._transmission_file(index))

    def load(self, index: int, *rng: np.random.Generator) -> Sample:
        """Pair `index`: `input`, `target`, `name`; `airlight` and `transmission` `(H, W)` in [0, 1] where it has them.

        Raises:
            UserError: a file cannot be read, or is not there; or the sizes differ by something else than the border.
        """
        sample = super().load(index, *rng)
        if self.transmission is not None:
            path = self._transmission_file(index)
            pair = self.chosen[index]._replace(target=path)
            transmission = read_image(Path(path))
            if transmission.shape != sample["input"].shape:
                transmission = self._without_border(transmission, sample["input"].shape, pair)
            sample["transmission"] = np.ascontiguousarray(transmission[..., 0])
        return sample

    @cached_property
    def _transmissions(self) -> dict[str, str]:
        """The files of transmissions by key."""
        return file_index.by_key(file_index.images(self.require_root(), str(self.transmission)))

    def _transmission_file(self, index: int) -> str:
        wanted = self._key("transmission_name", self._match(index))
        if wanted not in self._transmissions:
            raise UserError(
                f"{self.chosen[index].input} has no transmission {wanted} in "
                f"{self.require_root() / str(self.transmission)}; complete the set {self.name}, or train on made haze, "
                "whose transmission is known: data=scenes."
            )
        return self._transmissions[wanted]

    def _match(self, index: int) -> re.Match[str]:
        """What the rule finds in the name of pair `index`."""
        match = re.fullmatch(self.pair, self.chosen[index].key)
        assert match is not None  # the pair was found by it
        return match

    def _key(self, setting: str, match: re.Match[str]) -> str:
        """The key that `setting`, ``target_name`` or ``transmission_name``, gives for an image."""
        pattern: str = getattr(self, setting)
        try:
            return pattern.format(**match.groupdict())
        except (KeyError, IndexError) as error:
            raise UserError(
                f"{setting} {pattern!r} of the set {self.name} asks for {error.args[0]!r}, "
                f"but the pair rule {self.pair!r} has no such group; name it (?P<...>)."
            ) from error

    def lacking(self, strays: Sequence[str]) -> str:
        """A sentence on degraded images without a reference."""
        degraded, references = (self.require_root() / folder for folder in (self.input, self.target))
        return (
            f"{len(strays)} of the images in {degraded} have no reference in {references} (pair rule "
            f"{self.pair!r}): {examples([Path(file).name for file in strays])}; complete the set or remove them."
        )
