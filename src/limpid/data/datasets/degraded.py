"""Clean images, degraded when they are loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from limpid.data.cropping import in_unit_range
from limpid.data.datasets.base import CleanSet, Sample, Wrap, why_not_whole, wrap_files
from limpid.data.degradations.operators import Chain


class Degraded:
    """Clean images, degraded when they are loaded.

    Args:
        name: the set's name in tables.
        domain: its degradation.
        clean: the clean images.
        degradation: adds `input` (and what it knows about it) to a sample, drawing from a generator.
    """

    kind: ClassVar[str] = "degraded when loaded"

    def __init__(
        self,
        name: str,
        domain: str,
        clean: CleanSet,
        degradation: Callable[[Sample, np.random.Generator], Sample],
    ) -> None:
        self.name = name
        self.domain = domain
        self.clean = clean
        self.degradation = degradation

    @property
    def expected(self) -> int | None:
        """The number of clean images that the publisher's set has, or None where they are made."""
        return getattr(self.clean, "expected", None)

    def __len__(self) -> int:
        return len(self.clean)

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Image `index`, degraded with `rng`: `input`, `target`, `name` and what the degradation adds."""
        return self.degradation(in_unit_range(self.clean.load(index)), rng)

    @property
    def source(self) -> CleanSet:
        """The set whose files are read."""
        return self.clean

    def wrap_files(self, wrap: Wrap) -> Degraded:
        """This set, made from files as `wrap` gives them."""
        self.clean = wrap_files(self.clean, wrap)
        return self

    def why_not_whole(self) -> str | None:
        """Why this is not a published set, all of it, in a phrase; None if it is.

        What is degraded here is no paper's own image: that was drawn with other random numbers, if by the same rule.
        """
        if not (isinstance(self.degradation, Chain) and not self.degradation.operators):
            return f"{self.name} is degraded by Limpid"
        return why_not_whole(self.clean)

    def why_missing(self) -> str | None:
        """Why the clean images cannot be had, in a sentence, or None; those that are made are always there."""
        return self.clean.why_missing() if hasattr(self.clean, "why_missing") else None
