"""The loss of a classifier of how dense rain is."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from limpid.losses.step import LossTerm, Step


class RainDensity(LossTerm):
    """The cross entropy of the scores of the rain's densities (DID-MDN, section 3.3)."""

    requires = frozenset({"density", "density_scores"})

    def forward(self, step: Step) -> Tensor:
        """The mean over the batch, in float32."""
        assert step.density is not None
        assert step.density_scores is not None
        return F.cross_entropy(step.density_scores.float(), step.density)
