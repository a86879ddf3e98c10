"""Pairs whose two images lie side by side in one file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from limpid.data.datasets import file_index
from limpid.data.datasets.base import Matched, Pair, Sample
from limpid.data.datasets.paired import PairedFiles
from limpid.data.image_io import read_image
from limpid.errors import UserError

#: The kind of an image's values.
Kind = TypeVar("Kind", bound=np.generic)


@dataclass(kw_only=True, eq=False)
class SideBySidePairs(PairedFiles):
    """Files that hold a degraded image and its reference side by side.

    Args:
        images: folders of the files inside the set's folder: one pattern, or several. Whole parts may hold ``*``.
        halves: what the left and the right half are: ``input`` and ``target`` in the file's order.
        rain_level: a regular expression; what its group finds in a key, in small letters, is the sample's `rain_level`.
    """

    two_in_a_file: ClassVar[bool] = True

    images: str | Sequence[str]
    halves: Sequence[str] = ("input", "target")
    rain_level: str | None = None

    def has_layout(self, folder: Path) -> bool:
        """Whether there is an image."""
        return bool(file_index.images(folder, self.images))

    def matched(self) -> Matched:
        """All files, sorted by key.

        Raises:
            CannotRun: the set is missing.
        """
        files = file_index.images(self.require_root(), self.images)
        return Matched([Pair(key, self.scene_of(key), file, file) for key, file in files], [], [], [])

    def facts_of(self, index: int) -> Sample:
        """The `name` of pair `index`, and its `rain_level` where the key says it."""
        facts = super().facts_of(index)
        found = re.search(self.rain_level, facts["name"]) if self.rain_level else None
        return facts if found is None else facts | {"rain_level": found[1].lower()}

    def read(self, pair: Pair) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The degraded half and the reference.

        Raises:
            UserError: the file's width is odd.
        """
        both = dict(zip(self.halves, halves(read_image(Path(pair.input)), Path(pair.input)), strict=True))
        return both["input"], both["target"]


def halves(pixels: NDArray[Kind], path: Path) -> tuple[NDArray[Kind], NDArray[Kind]]:
    """The left and the right half of an image `(H, W, ...)`.

    Raises:
        UserError: W is odd.
    """
    width = pixels.shape[1]
    if width % 2:
        raise UserError(f"{path} is {width} pixels wide, which is odd, so it is no two images side by side; remove it.")
    return pixels[:, : width // 2], pixels[:, width // 2 :]
