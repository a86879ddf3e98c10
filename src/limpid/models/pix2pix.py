"""pix2pix: a network trained on pairs against a discriminator that sees the degraded image too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from limpid.errors import UserError
from limpid.losses import Step
from limpid.losses.adversarial import CrossEntropy, Game, Scores, game_of
from limpid.models.adversarial import Adversarial, conditioned
from limpid.models.batches import Batch
from limpid.models.restorer import StepOutput
from limpid.networks.feature_hooks import forward_with_features


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
        judged: which of the network's images is judged, a name in what it returns.
        settings: see `Restorer`; each of the two networks has its own optimizer and learning-rate scheduler.

    Raises:
        UserError: (in a step) the network returns no image of that name.
    """

    PROVIDES = Adversarial.PROVIDES | {"judged_features", "reference_features"}

    def __init__(
        self,
        *arguments: Any,
        discriminator: nn.Module,
        game: Game | None = None,
        judged: str = "restored",
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        self.discriminator = discriminator
        self.game = game_of(game, CrossEntropy())
        self.judged = judged
        self.discriminator_layers = [] if self.loss is None else self.loss.discriminator_layers

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The losses of one step of the discriminator and one of the generator, which are logged."""
        assert self.loss is not None
        step = self.make_step(batch)
        image = self.judged_image(step)
        clear_scores = self.discriminate(step.input, step.reference)[0]
        judged = self.game.discriminator_loss(clear_scores, self.discriminate(step.input, image.detach())[0])
        self.optimize(1, judged, batch_idx)
        self.discriminator.requires_grad_(False)  # the generator's loss passes through it and leaves nothing there
        if self.loss.requires & {"scores", "judged_features"}:
            scores, features = self.discriminate(step.input, image)
            step = replace(step, scores=scores, judged_features=features)
        if "reference_features" in self.loss.requires:
            with torch.no_grad():
                step = replace(step, reference_features=self.discriminate(step.input, step.reference)[1])
        total, terms = self.loss(step)
        self.optimize(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        return self.log_turn(total, terms, judged)

    def judged_image(self, step: Step) -> Tensor:
        """The image `(N, 3, H, W)` that the discriminator judges.

        Raises:
            UserError: the network returns none of that name.
        """
        if self.judged == "restored":
            return step.restored
        image: Tensor | None = getattr(step.output, self.judged, None)
        if image is None:
            network = type(self.network).__name__
            raise UserError(
                f"model.judged is {self.judged}, but {network} returns no image of that name; leave it out to judge "
                "the restored image."
            )
        return image

    def discriminate(self, degraded: Tensor, judged: Tensor) -> tuple[Scores, Mapping[str, Tensor]]:
        """The discriminator's scores of `judged` `(N, 3, H, W)` as a restoration of `degraded`, and its features."""
        return forward_with_features(self.discriminator, conditioned(degraded, judged), self.discriminator_layers)
