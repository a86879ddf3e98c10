"""The adversarial losses of pix2pix: a discriminator that tells made from real by cross entropy."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from limpid.losses.step import LossTerm, Step


def discriminator_loss(clear_scores: Tensor, restored_scores: Tensor) -> Tensor:
    """What the discriminator minimises: ``-(log D(x, y) + log(1 - D(x, G(x)))) / 2``, means over patches, in float32.

    Isola et al., CVPR 2017, equation 1; halved to slow the discriminator down (section 3.3).

    Args:
        clear_scores: of pairs with the clear image, before the sigmoid, any shape.
        restored_scores: of pairs with the restored image, which is detached where it is made.
    """
    return 0.5 * (F.softplus(-clear_scores.float()).mean() + F.softplus(restored_scores.float()).mean())


def generator_loss(restored_scores: Tensor) -> Tensor:
    """``-log D(x, G(x))``, mean over patches, in float32: not ``log(1 - D)``, as section 3.3 says."""
    return F.softplus(-restored_scores.float()).mean()


class CrossEntropyAdversarial(LossTerm):
    """`generator_loss` as a term, of the discriminator's scores of the restored images."""

    requires = frozenset({"scores"})

    def forward(self, step: Step) -> Tensor:
        """The mean over all scores, in float32."""
        assert step.scores is not None
        return generator_loss(step.scores)
