"""Sets made from other sets: parts of clean ones, many degraded draws of them, pairs degraded further."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from limpid.data.cropping import in_unit_range, random_crop
from limpid.data.datasets.base import CleanSet, FileSet, ImageSet, Sample, Wrap, wrap_files
from limpid.data.datasets.degraded import Degraded
from limpid.data.datasets.images import Clean
from limpid.data.datasets.paired import held_out_scenes
from limpid.data.degradations.scaling import imresize
from limpid.errors import UserError
from limpid.ranges import NonNegativeFloat, NonNegativeInt, Pixels, PositiveFloat, PositiveInt


@dataclass(kw_only=True, eq=False)
class CleanSubset(Clean):
    """Some of the clean images of a set: those whose names lie between two, and of these all, or a part.

    Args:
        first: the first name, such as ``0001``, without folder and suffix. Names of digits are compared as numbers,
            others as text.
        last: the last name; an empty one sets no end.
        part: ``all``, or ``train`` or ``val``: without or only the held-out images.
        held_out: how many images validate: a count, or a share below 1.

    Raises:
        UserError: the part is none of the three.
    """

    first: str | NonNegativeInt = ""  # an int where it was typed without quotes
    last: str | NonNegativeInt = ""
    part: str = "all"
    held_out: NonNegativeFloat = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.part not in ("all", "train", "val"):
            raise UserError(f"The part of set {self.name} is {self.part!r}, but it must be all, train or val.")

    def _in(self, folder: Path) -> list[tuple[str, str]]:
        files = [(key, file) for key, file in super()._in(folder) if self._within(PurePath(key).name)]
        if self.part == "all":
            return files
        held = held_out_scenes((key for key, _ in files), self.held_out)
        return [(key, file) for key, file in files if (key in held) == (self.part == "val")]

    def _within(self, name: str) -> bool:
        """Whether `name` lies between the first and the last."""
        first, last = str(self.first), str(self.last)
        after = not first or _in_order(first, name)
        return after and (not last or _in_order(name, last))


def _in_order(one: str, other: str) -> bool:
    """Whether `one` is not after `other`: as numbers where both are."""
    return int(one) <= int(other) if one.isdecimal() and other.isdecimal() else one <= other


class MultiScale:
    """Clean images at several scales: number i is image i // n at scale i % n, of n scales.

    Args:
        clean: the clean images.
        scales: factors of their size, descending. Each is reached from the one before by bicubic scaling, and clipped
            to [0, 1].
    """

    def __init__(self, clean: CleanSet, scales: Sequence[float]) -> None:
        self.clean, self.scales = clean, [float(scale) for scale in scales]

    def __len__(self) -> int:
        return len(self.clean) * len(self.scales)

    def wrap_files(self, wrap: Wrap) -> ImageSet | MultiScale:
        """The images at all scales as `wrap` gives them, where they are read from files; else this set as it is."""
        return wrap(ScaledFiles(self.clean, self.scales)) if isinstance(self.clean, FileSet) else self

    def load(self, index: int, *rng: np.random.Generator) -> Sample:
        """Image `index // n` at scale `index % n`: `target`, `name`, and maps."""
        place, number = divmod(index, len(self.scales))
        sample, before = self.clean.load(place), 1.0
        for scale in self.scales[: number + 1]:
            if scale != before:
                sample = {
                    k: np.clip(imresize(v, scale / before), 0, 1) if isinstance(v, np.ndarray) and v.ndim >= 2 else v
                    for k, v in sample.items()
                }
            before = scale
        return sample


class ScaledFiles(MultiScale):
    """Clean images from files at several scales, see `MultiScale`.

    Args:
        clean: the clean images.
        scales: factors of their size, descending.
    """

    clean: FileSet

    @property
    def name(self) -> str:
        """The name of the set."""
        return self.clean.name

    @property
    def domain(self) -> str:
        """The degradation of the set."""
        return self.clean.domain

    @property
    def expected(self) -> int | None:
        """The number of images that the publisher's set has, at one scale."""
        return self.clean.expected

    @property
    def roles(self) -> tuple[str, ...]:
        """The keys of the image and its map in a sample."""
        return self.clean.roles

    def name_of(self, index: int) -> str:
        """The name of the image at any scale."""
        return self.clean.name_of(index // len(self.scales))

    def facts_of(self, index: int) -> Sample:
        """What is known of the image at any scale without reading its files."""
        return self.clean.facts_of(index // len(self.scales))

    def files_of(self, index: int) -> tuple[str, ...]:
        """The files of the image at any scale."""
        return self.clean.files_of(index // len(self.scales))

    def settings_of(self, index: int) -> str:
        """All settings that decide the pixels of image `index`, the scales that lead to its own among them."""
        place, number = divmod(index, len(self.scales))
        return f"{self.clean.settings_of(place)} scales {self.scales[: number + 1]}"

    def why_missing(self) -> str | None:
        """Why the images cannot be had, in a sentence, or None."""
        return self.clean.why_missing()


class RandomDegradations(Degraded):
    """Many degraded draws from few clean images: an epoch is `count` draws, taking turns over the images.

    Each draw has its own randomness. Training sees the draws of an epoch once; a test set of draws is the same in
    every run.

    Args:
        name: the set's name in tables.
        domain: its degradation.
        clean: the clean images.
        degradation: adds `input` (and what it knows about it) to a sample, drawing from a generator.
        count: how many draws there are; None for one of each image.
        crop: side of a random window that is cut from the clean image before it is degraded; None takes the whole.
        scales: factors of the image's size, descending, as for `MultiScale`. One is drawn with a probability in
            proportion to its square, which is about the share of patches that it has.
    """

    def __init__(
        self,
        name: str,
        domain: str,
        clean: CleanSet,
        degradation: Callable[[Sample, np.random.Generator], Sample],
        count: PositiveInt | None = None,
        crop: Pixels | None = None,
        scales: Sequence[PositiveFloat] = (1.0,),
    ) -> None:
        super().__init__(name, domain, clean, degradation)
        self.count = count
        self.crop = crop
        self.scales = [float(scale) for scale in scales]
        if not scales or min(self.scales) <= 0 or self.scales != sorted(self.scales, reverse=True):
            raise UserError(f"The scales of set {name} are {list(scales)}, but must be above 0, from high to low.")
        self.scaled: CleanSet = MultiScale(clean, self.scales)

    @property
    def expected(self) -> int | None:
        """The number of draws; that of the clean images where there is one of each."""
        return super().expected if self.count is None else self.count

    def wrap_files(self, wrap: Wrap) -> RandomDegradations:
        """This set, made from files, at their scales, as `wrap` gives them."""
        self.scaled = wrap_files(self.scaled, wrap)
        return self

    def __len__(self) -> int:
        return 0 if len(self.clean) == 0 else self.count or len(self.clean)

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """The sample of draw `index`; its name tells how often the image was drawn before, as in ``0001_3``."""
        turn, place = divmod(index, len(self.clean))
        weights = np.square(self.scales) / np.square(self.scales).sum()
        number = int(rng.choice(len(self.scales), p=weights)) if len(self.scales) > 1 else 0
        sample = self.scaled.load(place * len(self.scales) + number)
        if self.crop is not None:
            sample = random_crop(sample, self.crop, rng)
        sample = self.degradation(in_unit_range(sample), rng)
        return sample if self.count is None else sample | {"name": f"{sample['name']}_{turn}"}


class ExtraDegradation(Degraded):
    """Pairs whose degraded image is degraded further when it is loaded.

    Args:
        name: the set's name in tables.
        domain: its degradation.
        pairs: the pairs.
        degradation: as for `Degraded`; it finds an `input` already and goes on from there.
    """

    def __init__(
        self,
        name: str,
        domain: str,
        pairs: ImageSet,
        degradation: Callable[[Sample, np.random.Generator], Sample],
    ) -> None:
        super().__init__(name, domain, pairs, degradation)  # type: ignore[arg-type]
        self.pairs = pairs

    def wrap_files(self, wrap: Wrap) -> ExtraDegradation:
        """This set, made from files as `wrap` gives them."""
        self.pairs = wrap_files(self.pairs, wrap)
        return self

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Pair `index`, its input degraded further with `rng`."""
        return self.degradation(in_unit_range(self.pairs.load(index, rng)), rng)
