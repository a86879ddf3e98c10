"""The loss of Q-learning: how far the values of actions are from what came of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.losses.step import LossTerm, Step
from limpid.ranges import PositiveFloat


class TemporalDifference(LossTerm):
    """Huber's loss of the temporal differences: the mean over each episode's moves, then over the episodes.

    RL-Restore's release takes the mean over all episodes of one length, and weights these means by the share of the
    episodes that have it, which is the same.

    Args:
        delta: where the loss goes over from a square to a line.
    """

    requires = frozenset({"temporal_differences"})

    def __init__(self, delta: PositiveFloat = 1.0) -> None:
        super().__init__()
        self.delta = delta

    def forward(self, step: Step) -> Tensor:
        """The mean over the episodes, in float32."""
        assert step.temporal_differences is not None
        means = []
        for differences in step.temporal_differences:
            values = differences.float()
            means.append(F.huber_loss(values, torch.zeros_like(values), delta=self.delta))
        return torch.stack(means).mean()
