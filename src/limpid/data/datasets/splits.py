"""Parts of a set of clean images: what is trained on, what validates, what tests, without an image in common."""

from __future__ import annotations

import zlib
from functools import cached_property

import numpy as np

from limpid.data.datasets.base import ImageSet, Sample, Wrap
from limpid.data.datasets.images import Clean
from limpid.errors import UserError
from limpid.ranges import CountOrNone, NonNegativeInt


class Subset:
    """One part of a folder of clean images.

    The images are put in the order of a hash of their names, so that the choice is the same wherever they lie and
    however many there are. The first validate, the next test, the rest train. It is the order in which sets of pairs
    hold out scenes: as many held-out scenes of RESIDE ITS are the same ones.

    Args:
        clean: all images.
        part: ``train``, ``val`` or ``test``.
        validate: how many images validate.
        test: how many images test. Of few images each takes a quarter at most.

    Raises:
        UserError: the part is none of the three.
    """

    def __init__(self, clean: Clean, part: str, validate: NonNegativeInt = 20, test: CountOrNone = 100) -> None:
        if part not in ("train", "val", "test"):
            raise UserError(f"The part of set {clean.name} is {part!r}, but it must be train, val or test.")
        self.clean = clean
        self.part = part
        self.validate = validate
        self.test = test

    def _bounds(self, count: int) -> tuple[int, int]:
        validate = min(self.validate, count // 4)
        test = validate + min(self.test, count // 4)
        return {"val": (0, validate), "test": (validate, test), "train": (test, count)}[self.part]

    @property
    def expected(self) -> int | None:
        """The number of images in this part of the publisher's whole set, or None where nobody says."""
        if self.clean.expected is None:
            return None
        first, last = self._bounds(self.clean.expected)
        return last - first

    @cached_property
    def _chosen(self) -> list[int]:
        names = [file.stem for file in self.clean.files]
        order = sorted(range(len(names)), key=lambda i: (zlib.crc32(names[i].encode()), names[i]))
        return sorted(order[slice(*self._bounds(len(order)))])

    def __len__(self) -> int:
        return len(self._chosen)

    def load(self, index: int, *rng: np.random.Generator) -> Sample:
        """Image `index` of the part; see `Clean`."""
        return self.clean.load(self._chosen[index])

    @property
    def name(self) -> str:
        """The name of the whole set."""
        return self.clean.name

    @property
    def domain(self) -> str:
        """The degradation of the whole set."""
        return self.clean.domain

    @property
    def roles(self) -> tuple[str, ...]:
        """The keys of the image and its map in a sample."""
        return self.clean.roles

    def name_of(self, index: int) -> str:
        """The key of image `index` of the part."""
        return self.clean.name_of(self._chosen[index])

    def facts_of(self, index: int) -> Sample:
        """What is known of image `index` of the part without reading its files."""
        return self.clean.facts_of(self._chosen[index])

    def files_of(self, index: int) -> tuple[str, ...]:
        """The files of image `index` of the part."""
        return self.clean.files_of(self._chosen[index])

    def settings_of(self, index: int) -> str:
        """All settings that decide the pixels of image `index`, given its files."""
        return self.clean.settings_of(self._chosen[index])

    def wrap_files(self, wrap: Wrap) -> ImageSet:
        """The part as `wrap` gives it."""
        return wrap(self)

    def why_not_whole(self) -> str | None:
        """Why the images of all parts are not a published set, all of it, in a phrase, or None."""
        return self.clean.why_not_whole()

    def why_missing(self) -> str | None:
        """Why the images cannot be had, in a sentence, or None."""
        return self.clean.why_missing()
