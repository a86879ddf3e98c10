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


class SmoothL1(LossTerm):
    """Mean of ``e^2 / 2`` where the error ``|e| < 1`` and of ``|e| - 1/2`` elsewhere (GridDehazeNet, equation 5)."""

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        return F.smooth_l1_loss(step.restored.float(), step.reference)
