"""pix2pix: a network trained on pairs against a discriminator that sees the degraded image too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from limpid.losses.adversarial import CrossEntropy, Game, Scores
from limpid.models.adversarial import Adversarial, conditioned
from limpid.models.batches import Batch
from limpid.models.restorer import StepOutput


class Pix2pix(Adversarial):
    """A generator and a conditional discriminator in turns (Isola et al., CVPR 2017, section 3.3).

    In each step the discriminator learns first, then the generator on the loss, whose adversarial term gets the
    discriminator's scores. The discriminator is in Lightning's state, so that a run continues, but it is not part of
    the network that a checkpoint rebuilds.

    Args:
        arguments: see `Restorer`.
        discriminator: maps `(N, 6, H, W)`, the degraded image and the judged one, to scores.
        game: what both sides make of the scores; None is pix2pix's own, `CrossEntropy`. The loss's adversarial term has
            its own.
        settings: see `Restorer`; each of the two networks has its own optimizer and learning-rate scheduler.
    """

    def __init__(self, *arguments: Any, discriminator: nn.Module, game: Game | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.discriminator = discriminator
        self.game = game or CrossEntropy()

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The losses of one step of the discriminator and one of the generator, which are logged."""
        assert self.loss is not None
        step = self.make_step(batch)
        clear_scores = self.discriminate(step.input, step.reference)
        judged = self.game.discriminator_loss(clear_scores, self.discriminate(step.input, step.restored.detach()))
        self.optimize(1, judged, batch_idx)
        self.discriminator.requires_grad_(False)  # the generator's loss passes through it and leaves nothing there
        if "scores" in self.loss.requires:
            step = replace(step, scores=self.discriminate(step.input, step.restored))
        total, terms = self.loss(step)
        self.optimize(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        return self.log_turn(total, terms, judged)

    def discriminate(self, degraded: Tensor, judged: Tensor) -> Scores:
        """The discriminator's scores of `judged` `(N, 3, H, W)` as a restoration of `degraded`."""
        scores: Scores = self.discriminator(conditioned(degraded, judged))
        return scores
