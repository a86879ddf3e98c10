"""What all sets share: what a sample is, what is asked of a set, and where the files of a set lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from limpid.errors import CannotRun, UserError, nearest
from limpid.ranges import NonNegativeInt

#: One image: `input` and, where there is one, `target` as `(H, W, 3)` float32 RGB in [0, 1]; `name`; and what a task
#: adds, such as `depth` `(H, W)`.
Sample = dict[str, Any]


class Pair(NamedTuple):
    """A degraded image and its reference; `key` names the pair and `scene` what they show."""

    key: str
    scene: str
    input: str
    target: str


class Matched(NamedTuple):
    """What a rule finds: pairs, degraded images without a reference (or absent files), references without use.

    Sets of single images have `singles` alone.
    """

    pairs: list[Pair]
    strays: list[str]
    unused: list[str]
    singles: list[str]


class ImageSet(Protocol):
    """What the datamodule asks of a set."""

    name: str
    domain: str

    @property
    def expected(self) -> int | None:
        """The number of images that the publisher's set has, or None where nobody says."""

    def __len__(self) -> int:
        """How many images there are; raises CannotRun where the set is missing."""

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Image `index`; all randomness comes from `rng`."""

    def why_missing(self) -> str | None:
        """Why the set cannot be used, in a sentence, or None if it can."""


class CleanSet(Protocol):
    """Clean images to be degraded: each a pure function of its index."""

    def __len__(self) -> int:
        """How many there are."""

    def load(self, index: int) -> Sample:
        """`target`, `name`, and `depth` where it is known: relative to the furthest point of the scene."""


@runtime_checkable
class FileSet(Protocol):
    """What a set of files offers besides its images, for those who cache, check or list the files."""

    @property
    def name(self) -> str:
        """The set's name."""

    @property
    def domain(self) -> str:
        """The degradation of the set."""

    @property
    def expected(self) -> int | None:
        """The number of images that the publisher's set has, or None where nobody says."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The keys of the images and maps in a sample, such as ``("input", "target")``."""

    def __len__(self) -> int:
        """How many images there are; raises CannotRun where the set is missing."""

    def load(self, index: int, *rng: np.random.Generator) -> Sample:
        """Image `index`; nothing is drawn."""

    def name_of(self, index: int) -> str:
        """The name of image `index`."""

    def facts_of(self, index: int) -> Sample:
        """What is known of image `index` without reading its files: its `name`, and for instance its `airlight`."""

    def files_of(self, index: int) -> tuple[str, ...]:
        """The files that image `index` is read from, the image itself first."""

    def settings_of(self, index: int) -> str:
        """All settings that decide the pixels of image `index`, given its files."""

    def why_missing(self) -> str | None:
        """Why the set cannot be used, in a sentence, or None if it can."""


#: Gives a set that stands for a set of files, such as one with a cache.
Wrap = Callable[[FileSet], ImageSet]

_Set = TypeVar("_Set")


def wrap_files(images: _Set, wrap: Wrap) -> _Set:
    """The set `images` with `wrap` applied to each set of files that it is, or that it is made from.

    A set of files has a method `wrap_files(wrap)`, and so has a set that is made from others. What has none, such as
    scenes that are drawn, comes back as it is.
    """
    own: Callable[[Wrap], _Set] | None = getattr(images, "wrap_files", None)
    return images if own is None else own(wrap)


def why_not_whole(images: object) -> str | None:
    """Why `images` are not a published set, all of it, in a phrase; None if they are.

    A set says so itself, by a method of this name: a set of files by their number, a set made from others by these. Of
    a set without one, such as scenes that are drawn, there is no published set.
    """
    own: Callable[[], str | None] | None = getattr(images, "why_not_whole", None)
    return f"{getattr(images, 'name', 'a set')} is not a published set" if own is None else own()


#: What `limpid data make` leaves in the folder of a set that it made.
_MANIFESTS = "manifest-*.jsonl"

#: Settings of a set that do not change its pixels.
_DESCRIBES = frozenset(
    {"name", "domain", "root", "roots", "how_to_get", "licence", "url", "version", "expected", "rain_level"}
)


@dataclass(kw_only=True, eq=False)
class Files:
    """A set of files: where it lies, what it is, and what to say when it is not there.

    Args:
        name: the set's name in tables.
        domain: its degradation, such as ``haze``.
        root: the data root.
        roots: folders below the data root where the set may lie, in the order they are tried.
        split: which split of the publisher this is, such as ``train``; ``all`` where there is one.
        splits: what differs from split to split: for each its own values of the other arguments.
        layouts: where the set is found in several forms, what differs from one to the next; the first that is there
            is taken.
        expected: how many degraded images the publisher's set has; a result on fewer is not comparable.
        version: which of several published versions the card describes.
        licence: under which terms the publisher gives the set.
        url: the publisher's page.
        how_to_get: a sentence that says how to get it.

    Raises:
        UserError: the split is none of the card's, or a split or layout sets something that none can.
    """

    name: str
    domain: str
    root: str | Path
    roots: Sequence[str]
    split: str = "all"
    splits: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    layouts: Sequence[Mapping[str, Any]] = ()
    expected: NonNegativeInt | None = None
    version: str = ""
    licence: str = ""
    url: str = ""
    how_to_get: str = ""

    #: What kind of set this is, as `limpid data list` says.
    kind: ClassVar[str] = "pairs"
    #: Whether a file holds two images side by side.
    two_in_a_file: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.root = Path(self.root)
        if self.splits:
            if self.split not in self.splits:
                known = nearest(self.split, self.splits) or f"; it has {', '.join(self.splits)}."
                raise UserError(f"The set {self.name} has no split {self.split!r}{known}")
            self._change(self.splits[self.split], f"splits.{self.split}")
        changed = dict.fromkeys(chain.from_iterable(self.layouts))
        self._unchanged = {key: getattr(self, key, None) for key in changed}

    def _change(self, values: Mapping[str, object], where: str) -> None:
        known = {f.name for f in fields(self)} - {"name", "domain", "root", "split", "splits"}
        for key, value in values.items():
            if key not in known:
                hint = nearest(key, known) or f"; there are {', '.join(sorted(known))}."
                raise UserError(f"{where}.{key} of the set {self.name} cannot be set{hint}")
            setattr(self, key, value)

    def matched(self) -> Matched:
        """The pairs or single images of the set, and the files that belong to none.

        Raises:
            CannotRun: the set is missing.
            UserError: the set does not say clearly which files are pairs.
        """
        raise NotImplementedError  # each kind of set knows its own rule

    def lacking(self, strays: Sequence[str]) -> str:
        """A sentence on degraded images without a reference, or files that are not there."""
        raise NotImplementedError

    def depth_file(self, image: Path) -> Path | None:
        """Where the depth of an image lies; None where the set has none."""
        return None

    def has_layout(self, folder: Path) -> bool:
        """Whether `folder` has the layout of this set."""
        raise NotImplementedError  # each kind of set knows its own layout

    @cached_property
    def root_dir(self) -> Path | None:
        """The folder of the set: the first of its roots that has its layout, or one of its layouts; None without one.

        The layout that is found becomes the set's own.
        """
        for number, layout in enumerate(self.layouts or [{}]):
            self._change({**self._unchanged, **layout}, f"layouts[{number}]")
            for below in self.roots:
                if self.has_layout(Path(self.root) / below):
                    return Path(self.root) / below
        return None

    @property
    def whole_count(self) -> int:
        """How many images there are in all parts of the split; raises CannotRun where the set is missing."""
        raise NotImplementedError  # each kind of set counts its own

    def why_not_whole(self) -> str | None:
        """Why this is not its publisher's split, all of it, in a phrase; None if it is.

        A set that `limpid data make` wrote in a publisher's layout is none of the publisher's.
        """
        if self.expected is None:
            return f"nobody says how many images {self.name} has"
        if any(self.require_root().glob(_MANIFESTS)):
            return f"{self.name} was made by limpid data make"
        there = self.whole_count
        return None if there == self.expected else f"{self.name} has {there} of {self.expected} images"

    def why_missing(self) -> str | None:
        """Why the set cannot be used, in a sentence, or None if it can."""
        if self.root_dir is not None:
            return None
        root = Path(self.root)
        common = self._unchanged.get("roots", self.roots)
        tried: dict[str, None] = {}
        for layout in self.layouts or [{}]:
            tried.update(dict.fromkeys(layout.get("roots", common)))
        looked = ", ".join(str(root / below) for below in tried)
        there = "" if root.is_dir() else f" (the data root {root} does not exist)"
        which = f"{self.split} split of the set {self.name}" if self.splits else f"set {self.name}"
        return f"The {which} is not there{there}; looked in {looked}. {self.how_to_get}".rstrip()

    @cached_property
    def _settings(self) -> str:
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _DESCRIBES}
        return f"{type(self).__name__} {sorted(settings.items())}"

    def settings_of(self, index: int) -> str:
        """All settings that decide the pixels of image `index`, given its files."""
        return self._settings

    def require_root(self) -> Path:
        """The folder of the set.

        Raises:
            CannotRun: the set is missing.
        """
        if self.root_dir is None:
            raise CannotRun(str(self.why_missing()))
        return self.root_dir
