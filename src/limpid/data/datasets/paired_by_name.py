"""Pairs matched by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from limpid.data.datasets import file_index
from limpid.data.datasets.base import Matched, Pair
from limpid.data.datasets.paired import PairedFiles, examples
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
    """

    input: str
    target: str
    pair: str
    target_name: str = "{target}"

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
            wanted = None if match is None else self._target_key(match)
            if wanted is None or wanted not in references:
                strays.append(file)
            else:
                pairs.append(Pair(key, self.scene_of(wanted), file, references[wanted]))
                used.update((wanted, key) if self.input == self.target else (wanted,))
        return Matched(pairs, strays, [file for key, file in references.items() if key not in used], [])

    def _target_key(self, match: re.Match[str]) -> str:
        try:
            return self.target_name.format(**match.groupdict())
        except (KeyError, IndexError) as error:
            raise UserError(
                f"target_name {self.target_name!r} of the set {self.name} asks for {error.args[0]!r}, "
                f"but the pair rule {self.pair!r} has no such group; name it (?P<...>)."
            ) from error

    def lacking(self, strays: Sequence[str]) -> str:
        """A sentence on degraded images without a reference."""
        degraded, references = (self.require_root() / folder for folder in (self.input, self.target))
        return (
            f"{len(strays)} of the images in {degraded} have no reference in {references} (pair rule "
            f"{self.pair!r}): {examples([Path(file).name for file in strays])}; complete the set or remove them."
        )
