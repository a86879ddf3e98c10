"""Cycle consistency: what comes back through both generators is compared with what went in."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from limpid.losses.step import LossTerm, Step


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
        values = [self.term(replace(step, output=cycle.returned, target=cycle.image)) for cycle in step.cycles]
        return torch.stack(values).sum()
