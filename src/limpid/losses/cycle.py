"""Cycle consistency: what comes back through both generators is compared with what went in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from limpid.losses.step import Cycle, LossTerm, Step


class CycleConsistency(LossTerm):
    """The sum of a term over both cycles, of the image that came back and the one that went in.

    Zhu et al., ICCV 2017, equation 2, with `L1`; Cycle-Dehaze (Engin et al., CVPRW 2018), equation 1, with
    `Perceptual`.

    Args:
        term: compares a restored image with its target.
    """

    requires = frozenset({"cycles"})

    def __init__(self, term: LossTerm) -> None:
        super().__init__()
        self.term = term

    def forward(self, step: Step) -> Tensor:
        """The sum over both cycles, each a mean over the batch, in float32."""
        assert step.cycles is not None
        return _compared(self.term, step, step.cycles)


class DomainIdentity(CycleConsistency):
    """The sum of a term over both domains, of an image and what a translator to its own domain makes of it.

    Zhu et al., ICCV 2017, section 5.2.

    Args:
        term: compares a restored image with its target.
    """

    requires = frozenset({"identities"})

    def forward(self, step: Step) -> Tensor:
        """The sum over both domains, each a mean over the batch, in float32."""
        assert step.identities is not None
        return _compared(self.term, step, step.identities)


def _compared(term: LossTerm, step: Step, cycles: Sequence[Cycle]) -> Tensor:
    """The sum of `term` over `cycles`."""
    values = [term(replace(step, output=cycle.returned, target=cycle.image)) for cycle in cycles]
    return torch.stack(values).sum()
