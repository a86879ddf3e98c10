"""The likelihood of the references, which flows are trained with."""

from __future__ import annotations

import math

from torch import Tensor

from limpid.losses.step import LossTerm, Step


class NegativeLogLikelihood(LossTerm):
    """The negative log-likelihood of the references in bits for each pixel of three channels.

    DehazeFlow (Li et al., ACM MM 2021), SRFlow (Lugmayr et al., ECCV 2020, equation 4).
    """

    requires = frozenset({"log_likelihood"})

    def forward(self, step: Step) -> Tensor:
        """The mean over the batch, in float32."""
        assert step.log_likelihood is not None
        pixels = step.input.shape[-2] * step.input.shape[-1]
        return -step.log_likelihood.float().mean() / (math.log(2) * pixels)
