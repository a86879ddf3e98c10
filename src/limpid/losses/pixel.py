"""Terms that compare the restored image with the reference pixel by pixel."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from limpid.losses.step import LossTerm, Step


class L1(LossTerm):
    """Mean absolute difference of the restored image and the target."""

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        return F.l1_loss(step.restored.float(), step.reference)


class MSE(LossTerm):
    """Mean squared difference of the restored image and the target."""

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        return F.mse_loss(step.restored.float(), step.reference)
