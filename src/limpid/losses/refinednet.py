"""RefineDNet's own terms: the haze put back onto the refined image, and a smooth transmission."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from limpid.losses.haze_maps import found_map
from limpid.losses.step import LossTerm, Step


class ReappliedL1(LossTerm):
    """Mean absolute difference of the hazy image that the network puts together again and the one that went in.

    RefineDNet (Zhao et al., TIP 2021), equation 9; the network's output has an image `reapplied`.
    """

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        return F.l1_loss(found_map(step, "reapplied"), step.input.float())


class TransmissionVariation(LossTerm):
    """Mean absolute difference of neighbouring pixels of a transmission, across and down, added up.

    RefineDNet's smoothness of the transmission before it is filtered, `raw_transmission` of the network's output.
    """

    def forward(self, step: Step) -> Tensor:
        """The sum of both means, in float32."""
        transmission = found_map(step, "raw_transmission")
        return transmission.diff(dim=-1).abs().mean() + transmission.diff(dim=-2).abs().mean()
