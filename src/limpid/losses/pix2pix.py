"""The adversarial losses of pix2pix: a discriminator that tells made from real by cross entropy."""

from __future__ import annotations

from torch import Tensor

from limpid.losses.adversarial import Adversarial, CrossEntropy, Scores


def discriminator_loss(clear_scores: Scores, restored_scores: Scores) -> Tensor:
    """What the discriminator minimises: ``-(log D(x, y) + log(1 - D(x, G(x)))) / 2``, means over patches, in float32.

    Isola et al., CVPR 2017, equation 1; halved to slow the discriminator down (section 3.3).

    Args:
        clear_scores: of pairs with the clear image, before the sigmoid, any shape.
        restored_scores: of pairs with the restored image, which is detached where it is made.
    """
    return CrossEntropy().discriminator_loss(clear_scores, restored_scores)


def generator_loss(restored_scores: Scores) -> Tensor:
    """``-log D(x, G(x))``, mean over patches, in float32: not ``log(1 - D)``, as section 3.3 says."""
    return CrossEntropy().generator_loss(restored_scores)


class CrossEntropyAdversarial(Adversarial):
    """`generator_loss` as a term, of the discriminator's scores of the restored images."""

    def __init__(self) -> None:
        super().__init__(CrossEntropy())
