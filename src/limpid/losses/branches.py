"""Terms of two networks that learn together, each in a domain of its own (DA-Net, Shao et al., CVPR 2020)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.losses.charbonnier import stage_images
from limpid.losses.step import LossTerm, Step


class EachBranch(LossTerm):
    """The sum of a term over both networks, each of which sees a step of its own.

    Args:
        term: of what one network gives, of pairs or of real images.
    """

    requires = frozenset({"branches"})

    def __init__(self, term: LossTerm) -> None:
        super().__init__()
        self.term = term

    def forward(self, step: Step) -> Tensor:
        """The sum over both, each a mean over the batch, in float32."""
        assert step.branches is not None
        return torch.stack([self.term(branch) for branch in step.branches]).sum()


class BranchConsistency(LossTerm):
    """The mean absolute differences of all that both networks return of one real image, summed (DA-Net, section 3.3).

    These are the `stages` of their outputs, images in [0, 1] that are compared as images in [-1, 1], and `features`.
    """

    requires = frozenset({"branches"})

    def forward(self, step: Step) -> Tensor:
        """The sum over images and features, each a mean over the batch, in float32."""
        assert step.branches is not None
        first, second = (branch.real_output for branch in step.branches)
        assert first is not None
        assert second is not None
        pairs = zip(stage_images(first), stage_images(second), strict=True)
        values = [2 * F.l1_loss(one.float(), other.float()) for one, other in pairs]
        features = [getattr(output, "features", None) for output in (first, second)]
        found = [one.float() for one in features if isinstance(one, Tensor)]
        if len(found) == 2:  # networks without any are compared by their images
            values.append(F.l1_loss(found[0], found[1]))
        return torch.stack(values).sum()
