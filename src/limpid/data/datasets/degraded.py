"""Clean images, degraded when they are loaded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from limpid.data.datasets.base import CleanSet, Sample


class Degraded:
    """Clean images, degraded when they are loaded.

    Args:
        name: the set's name in tables.
        domain: its degradation.
        clean: the clean images.
        degradation: adds `input` (and what it knows about it) to a sample, drawing from a generator.
    """

    def __init__(
        self,
        name: str,
        domain: str,
        clean: CleanSet,
        degradation: Callable[[Sample, np.random.Generator], Sample],
    ) -> None:
        self.name, self.domain, self.clean, self.degradation = name, domain, clean, degradation

    @property
    def expected(self) -> int | None:
        """How many clean images the publisher's set has, or None where they are made."""
        return getattr(self.clean, "expected", None)

    def __len__(self) -> int:
        return len(self.clean)

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Image `index`, degraded with `rng`: `input`, `target`, `name` and what the degradation adds."""
        return self.degradation(self.clean.load(index), rng)

    def why_missing(self) -> str | None:
        """Why the clean images cannot be had, in a sentence, or None; those that are made are always there."""
        return self.clean.why_missing() if hasattr(self.clean, "why_missing") else None
