"""Least-squares adversarial losses (Mao et al., ICCV 2017): scores of clear images go to 1, of restored ones to 0."""

from __future__ import annotations

from torch import Tensor

from limpid.losses.step import LossTerm, Step


def discriminator_loss(clear_scores: Tensor, restored_scores: Tensor) -> Tensor:
    """``(mean (D(clear) - 1)^2 + mean D(restored)^2) / 2``: what the discriminator minimises, in float32.

    Equation 7 of Uni-Removal without its missing squares. The restored images must be detached where they are made.

    Args:
        clear_scores: the discriminator's scores of clear images, any shape.
        restored_scores: its scores of restored images, any shape.
    """
    return 0.5 * ((clear_scores.float() - 1).square().mean() + restored_scores.float().square().mean())


def generator_loss(restored_scores: Tensor) -> Tensor:
    """``mean (D(restored) - 1)^2``: what the restoring network minimises, in float32."""
    return (restored_scores.float() - 1).square().mean()


class Adversarial(LossTerm):
    """`generator_loss` as a term, of the discriminator's scores of the restored images."""

    requires = frozenset({"scores"})

    def forward(self, step: Step) -> Tensor:
        """The mean over all scores, in float32."""
        assert step.scores is not None
        return generator_loss(step.scores)
