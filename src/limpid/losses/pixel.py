"""Terms that compare the restored image with the reference pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from limpid.losses.step import LossTerm, Step
from limpid.ranges import PositiveFloat


class L1(LossTerm):
    """Mean absolute difference of the restored image and the target."""

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        return F.l1_loss(step.restored.float(), step.reference)


class MSE(LossTerm):
    """Mean squared difference of the restored image and the target.

    Args:
        std: what each channel's difference is divided by first, as though both images had been normalised with these
            deviations and any mean; None leaves it.

    Raises:
        ValueError: there are not three deviations, or one is not above 0.
    """

    def __init__(self, std: Sequence[PositiveFloat] | None = None) -> None:
        super().__init__()
        if std is not None and (len(std) != 3 or min(std) <= 0):
            raise ValueError(f"std is {list(std)}, but it must be three numbers above 0, one for each colour.")
        self.std = None if std is None else tuple(std)

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        restored = step.restored.float()
        if self.std is None:
            return F.mse_loss(restored, step.reference)
        return ((restored - step.reference) / restored.new_tensor(self.std).view(3, 1, 1)).square().mean()


class SmoothL1(LossTerm):
    """Mean of ``e^2 / 2`` where the error ``|e| < 1`` and of ``|e| - 1/2`` elsewhere (GridDehazeNet, equation 5)."""

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        return F.smooth_l1_loss(step.restored.float(), step.reference)
