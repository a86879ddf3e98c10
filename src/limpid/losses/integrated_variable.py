"""AOSR-Net's second L1: on the integrated variable Phi, which any pair of images determines."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.losses.step import LossTerm, Step
from limpid.networks.aosr import integrated_variable
from limpid.ranges import FiniteFloat, PositiveFloat


class IntegratedVariableL1(LossTerm):
    """Mean absolute difference of the output's `.phi` and the Phi that restores the target (equation 8).

    The reference is computed from the pair, so that it fits the clipped image the network sees, and any paired set
    serves, also one made without a depth map.

    Args:
        control_alpha: alpha of the network's equation 5.
        control_beta: its beta.
    """

    def __init__(self, control_alpha: PositiveFloat = 1.6, control_beta: FiniteFloat = 1.0) -> None:
        super().__init__()
        self.control_alpha, self.control_beta = control_alpha, control_beta

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32.

        Raises:
            UserError: the network's output has no `.phi`.
        """
        phi = integrated_variable(step.reference, step.input, self.control_alpha, self.control_beta)
        own: Tensor | None = getattr(step.output, "phi", None)
        if own is None:
            raise UserError(
                "The integrated-variable term needs a network that returns `.phi`, as aosr does; choose network=aosr, "
                "or leave the term out by giving it the weight 0."
            )
        return F.l1_loss(own.float(), phi)
