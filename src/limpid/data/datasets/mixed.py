"""Several sets as one, for training on several degradations, with references or beside unrelated clear images."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate

import numpy as np

from limpid.data.cropping import in_unit_range, random_crop, resized
from limpid.data.datasets.base import ImageSet, Sample, Wrap, why_not_whole, wrap_files
from limpid.data.degradations.pseudo_depth import checked_source, depth_of
from limpid.errors import UserError
from limpid.ranges import Pixels, PositiveInt

#: Who needs a depth, for the sentence where there is none.
_TRAINING = "A translation of haze"
#: What samples of all sets have, so that they can stand in one batch.
_COMMON = ("input", "target", "name")


class Mixture:
    """Several sets, one for each type of degradation; `limpid.data.mixtures` takes them in equal shares.

    Index i counts through the first set, then the second, and so on. A sample's `domain` is the name that its set has
    here.

    Args:
        name: the mixture's name.
        sets: the sets, by type of degradation.
        domain: what the whole is called.
        each: take at most so many images of each set, evenly spread over it; None takes all.

    Raises:
        UserError: there is no set.
    """

    def __init__(
        self, name: str, sets: Mapping[str, ImageSet], domain: str = "mixed", each: PositiveInt | None = None
    ) -> None:
        if not sets:
            raise UserError(f"The mixture {name} holds no set; give it one for each type of degradation.")
        self.name = name
        self.domain = domain
        self.sets = dict(sets)
        self.each = each

    @property
    def sizes(self) -> list[int]:
        """The numbers of images that are taken of the sets."""
        return [len(images) if self.each is None else min(self.each, len(images)) for images in self.sets.values()]

    @property
    def expected(self) -> int | None:
        """The number of images that the publishers' sets have together, or None where one of them does not say."""
        counts = [images.expected for images in self.sets.values()]
        return None if None in counts or self.each is not None else sum(count for count in counts if count is not None)

    def __len__(self) -> int:
        return sum(self.sizes)

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Image `index`: `input`, `name`, `domain`, and `target` where its set has one."""
        sizes = self.sizes
        ends = list(accumulate(sizes))
        number = bisect_right(ends, index)
        position = index - (ends[number] - sizes[number])
        kind, images = list(self.sets.items())[number]
        position = position * len(images) // sizes[number]
        sample = images.load(position, rng)
        return {key: sample[key] for key in _COMMON if key in sample} | {"domain": kind}

    def wrap_files(self, wrap: Wrap) -> Mixture:
        """This mixture, made from files as `wrap` gives them."""
        self.sets = {kind: wrap_files(images, wrap) for kind, images in self.sets.items()}
        return self

    def why_not_whole(self) -> str | None:
        """Why this is not published sets, all of them: a phrase for each set that is not; or None."""
        return _joined(why_not_whole(images) for images in self.sets.values())

    def drawn(self, rng: np.random.Generator) -> int:
        """The index of a random image, of every set alike often."""
        sizes = self.sizes
        number = int(rng.integers(len(sizes)))
        return sum(sizes[:number]) + int(rng.integers(sizes[number]))

    def why_missing(self) -> str | None:
        """Why the mixture cannot be used: a sentence for each set that is not there; or None."""
        return " ".join(why for images in self.sets.values() if (why := images.why_missing())) or None


class Unpaired:
    """Degraded images without references, each beside an unrelated clear image.

    Args:
        degraded: a mixture of degraded images.
        clear: clear images, the references of its sets; one is drawn for each degraded image, of each set alike often.
        crop: side of a random window that is cut from either; None takes the whole, which only works where all images
            have one size.
    """

    def __init__(self, degraded: Mixture, clear: Mixture, crop: Pixels | None = None) -> None:
        self.degraded = degraded
        self.clear = clear
        self.crop = crop
        self.name, self.domain = degraded.name, degraded.domain

    @property
    def sizes(self) -> list[int]:
        """The numbers of images of the degraded sets."""
        return self.degraded.sizes

    @property
    def expected(self) -> int | None:
        """The number of degraded images that the publishers' sets have together."""
        return self.degraded.expected

    def __len__(self) -> int:
        return len(self.degraded)

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Image `index`: `input`, `clear`, `name`, `domain`."""
        sample = self.degraded.load(index, rng)
        sample.pop("target", None)
        clear = self.clear.load(self.clear.drawn(rng), rng)
        other = {"input": clear["target"], "name": clear["name"]}
        if self.crop is not None:
            sample, other = random_crop(sample, self.crop, rng), random_crop(other, self.crop, rng)
        return in_unit_range(sample) | {"clear": in_unit_range(other)["input"]}

    def wrap_files(self, wrap: Wrap) -> Unpaired:
        """This set, made from files as `wrap` gives them."""
        self.degraded.wrap_files(wrap)
        self.clear.wrap_files(wrap)
        return self

    def why_not_whole(self) -> str | None:
        """Why this is not published sets, all of them: a phrase for each set that is not; or None."""
        return _joined(images.why_not_whole() for images in (self.degraded, self.clear))

    def why_missing(self) -> str | None:
        """Why the images cannot be had: a sentence for each set that is not there; or None."""
        return " ".join(why for images in (self.degraded, self.clear) if (why := images.why_missing())) or None


class PairsBesideReal:
    """Pairs, each beside a real degraded image that has no reference.

    Args:
        pairs: the labelled set.
        real: the real images; one is drawn for each pair.
        crop: side of a random window that is cut from a pair, and of the square that a real image is brought to; None
            takes whole pairs, and real images as they are, which only works where all have one size.
        depth: where the depth of the pairs comes from, and of the real images: ``sample``, where their sets have it;
            ``stand_in``, which guesses it from the clear and from the real image (see `stand_in_depth`; it is no
            measurement); ``either``, which guesses where a set has none. None gives none.

    Raises:
        UserError: `depth` is none of these, or (when loading) an image has none.
    """

    def __init__(self, pairs: ImageSet, real: ImageSet, crop: Pixels | None = None, depth: str | None = None) -> None:
        self.pairs = pairs
        self.real = real
        self.crop = crop
        self.depth = None if depth is None else checked_source("set", depth)
        self.name, self.domain = pairs.name, pairs.domain

    @property
    def expected(self) -> int | None:
        """The number of pairs that the publisher's set has."""
        return self.pairs.expected

    def __len__(self) -> int:
        return len(self.pairs)

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Pair `index`, and beside it `real`; and `depth` and `real_depth` `(H, W)` in [0, 1] where they are wanted."""
        sample = self.pairs.load(index, rng)
        other = self.real.load(int(rng.integers(len(self.real))), rng)
        real = in_unit_range({key: other[key] for key in ("input", "name", "depth") if key in other})
        if self.depth is not None:
            sample = in_unit_range(sample)
            sample["depth"] = depth_of(sample, self.depth, _TRAINING, rng)
            real["depth"] = depth_of(real | {"target": real["input"]}, self.depth, _TRAINING, rng)
        if self.crop is not None:
            sample = random_crop(sample, self.crop, rng)
            real = resized(real, {"height": self.crop, "width": self.crop})
        beside = {"real": real["input"]}
        if self.depth is not None:
            beside["real_depth"] = real["depth"]
        return in_unit_range(sample) | beside

    def wrap_files(self, wrap: Wrap) -> PairsBesideReal:
        """This set, made from files as `wrap` gives them."""
        self.pairs = wrap_files(self.pairs, wrap)
        self.real = wrap_files(self.real, wrap)
        return self

    def why_not_whole(self) -> str | None:
        """Why this is not published sets, all of them: a phrase for each set that is not; or None."""
        return _joined(why_not_whole(images) for images in (self.pairs, self.real))

    def why_missing(self) -> str | None:
        """Why the images cannot be had: a sentence for each set that is not there; or None."""
        return " ".join(why for images in (self.pairs, self.real) if (why := images.why_missing())) or None


def _joined(phrases: Iterable[str | None]) -> str | None:
    """The different phrases, with "and" between them; None without any."""
    return " and ".join(dict.fromkeys(phrase for phrase in phrases if phrase)) or None
