"""Training on pairs and, beside them, on real degraded images without references."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from limpid.errors import UserError
from limpid.inference import restored_image
from limpid.losses.adversarial import Game, Wasserstein, game_of, penalized_loss
from limpid.models.adversarial import Adversarial
from limpid.models.batches import Batch
from limpid.models.decaying_loss_weights import DecayingLossWeights
from limpid.models.real_images import real_images
from limpid.models.restorer import StepOutput
from limpid.ranges import Layers, NonNegativeFloat


class SemiSupervised(Adversarial, DecayingLossWeights):
    """SSID's training (Li et al., IEEE TIP 29, 2020): one network, pairs, real images, and a Wasserstein game.

    The discriminator learns on every batch to tell the restored images of pairs from their references; the network
    learns on every `discriminator_steps`-th, on its pairs with references and scores, and on its real images without.

    A batch holds `input`, `target` and `real`. Where it has no real images, the degraded images of other pairs stand
    for them, without their references; that is said, and recorded in the checkpoints.

    Args:
        arguments: see `Restorer`.
        discriminator: gives scores of images in [0, 1]; inside they are in [-1, 1].
        game: what both sides make of the scores; None is `Wasserstein`. The loss's adversarial term has its own.
        penalty: weight of the gradient penalty; 0 has none.
        penalty_per_pixel: see `gradient_penalty`.
        discriminator_steps: how many steps the discriminator makes for each of the network.
        settings: see `DecayingLossWeights`; optimizer and learning-rate scheduler are made twice.

    Raises:
        UserError: `discriminator_steps` is below 1, or `penalty` below 0.
    """

    PROVIDES = Adversarial.PROVIDES | {"real_output"}

    def __init__(
        self,
        *arguments: Any,
        discriminator: nn.Module,
        game: Game | None = None,
        penalty: NonNegativeFloat = 10.0,
        penalty_per_pixel: bool = True,
        discriminator_steps: Layers = 5,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        if discriminator_steps < 1 or penalty < 0:
            raise UserError(
                f"model.discriminator_steps is {discriminator_steps} and model.penalty {penalty}, but the "
                "discriminator makes at least 1 step for each of the network, with a penalty of 0 or more."
            )
        self.discriminator = discriminator
        self.game = game_of(game, Wasserstein())
        self.penalty, self.penalty_per_pixel = penalty, penalty_per_pixel
        self.discriminator_steps = discriminator_steps

    @property
    def players(self) -> float:
        """How many optimizers step in turns; one that steps less often counts for that share."""
        return 1 + 1 / self.discriminator_steps

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The losses of one step of the discriminator and, in its turn, one of the network, which are logged."""
        assert self.loss is not None
        turn = self.generators_turn(batch_idx)
        with torch.set_grad_enabled(turn):
            step = self.make_step(batch)
        judged = self._judged(step.reference, step.restored.detach())
        self.optimize(1, judged, batch_idx)
        if not turn:
            return self.log_discriminator(judged)
        self.discriminator.requires_grad_(False)  # the network's loss passes through it and leaves nothing there
        if "scores" in self.loss.requires:
            step = replace(step, scores=self.discriminator(step.restored))
        if "real_output" in self.loss.requires:
            step = replace(step, real_output=restored_image(self(real_images(self, batch))))
        total, terms = self.loss(step)
        self.optimize(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        return self.log_turn(total, terms, judged)

    def _judged(self, clear: Tensor, restored: Tensor) -> Tensor:
        """The discriminator's loss, with the penalty of its gradient as images in [-1, 1] have it."""
        return penalized_loss(self.game, self.discriminator, clear, restored, self.penalty, self.penalty_per_pixel)
