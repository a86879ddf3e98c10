"""Training on pairs against a discriminator that makes several steps on each batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from limpid.errors import UserError
from limpid.losses import Step
from limpid.losses.adversarial import Game, Wasserstein, game_of, penalized_loss
from limpid.models import run_length
from limpid.models.adversarial import Adversarial, schedules
from limpid.models.batches import Batch
from limpid.models.restorer import StepOutput
from limpid.ranges import Layers, NonNegativeFloat


class RepeatedDiscriminator(Adversarial):
    """DeblurGAN's training (Kupyn et al., CVPR 2018, section 3): a Wasserstein game on pairs.

    On every batch the discriminator first makes all of its steps, each with shares of its own in the gradient penalty,
    then the network one. Where batches accumulate, the last of them lets the discriminator learn from all, and then the
    network; what dropout leaves of the earlier ones is drawn anew for the network's step.

    Args:
        arguments: see `Restorer`.
        discriminator: gives scores of images in [0, 1]; inside they are in [-1, 1].
        game: what the discriminator makes of the scores; None is `Wasserstein`. The loss's adversarial term has its
            own.
        penalty: weight of the gradient penalty; 0 has none.
        penalty_per_pixel: see `gradient_penalty`.
        discriminator_steps: how many steps the discriminator makes on each batch.
        settings: see `Restorer`; optimizer and learning-rate scheduler are made twice.

    Raises:
        UserError: `discriminator_steps` is below 1, or `penalty` below 0.
    """

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
                "discriminator makes at least 1 step on each batch, with a penalty of 0 or more."
            )
        self.discriminator = discriminator
        self.game = game_of(game, Wasserstein())
        self.penalty, self.penalty_per_pixel = penalty, penalty_per_pixel
        self.discriminator_steps = discriminator_steps
        self._waiting: list[Batch] = []
        self._pairs: list[tuple[Tensor, Tensor]] = []

    def configure_optimizers(self) -> Any:
        """See `Adversarial`; the discriminator makes all of its steps in each turn of the network."""
        optimizers = self.make_optimizers()
        if self.lr_scheduler is None:
            return optimizers
        turns = run_length.turns(self.trainer, 1 + self.discriminator_steps, self.accumulate)
        return optimizers, schedules(optimizers, self.lr_scheduler, (turns, turns * self.discriminator_steps))

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The losses of the discriminator's last step and of the network's, which are logged.

        Of a batch that only waits for others nothing is logged.
        """
        assert self.loss is not None
        now = self.completes(batch_idx)
        with torch.set_grad_enabled(now):
            step = self.make_step(batch)
        self._pairs.append((step.reference, step.restored.detach()))
        if not now:
            self._waiting.append(batch)
            return {"loss": step.restored.new_zeros(()), "terms": {}, "log": {}}
        for _ in range(self.discriminator_steps):
            judged = self._discriminator_step(batch_idx)
        earlier = self._waiting
        self._waiting, self._pairs = [], []
        self.discriminator.requires_grad_(False)  # the network's loss passes through it and leaves nothing there
        for one in earlier:
            self.manual_backward(self._judged_loss(self.make_step(one))[0] / self.accumulate)
        total, terms = self._judged_loss(step)
        self.optimize(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        return self.log_turn(total, terms, judged)

    def on_fit_start(self) -> None:
        """See `Adversarial`; no batch waits from a training that was broken off."""
        super().on_fit_start()
        self._waiting, self._pairs = [], []

    def _discriminator_step(self, batch_idx: int) -> Tensor:
        """The loss of the discriminator on the last pair, once it made a step on all that wait."""
        *earlier, last = self._pairs
        for pair in earlier:
            self.manual_backward(self._judged(*pair) / self.accumulate)
        judged = self._judged(*last)
        self.optimize(1, judged, batch_idx)
        return judged

    def _judged(self, clear: Tensor, restored: Tensor) -> Tensor:
        return penalized_loss(self.game, self.discriminator, clear, restored, self.penalty, self.penalty_per_pixel)

    def _judged_loss(self, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        """The network's loss and its terms, with the discriminator's scores where a term asks for them."""
        assert self.loss is not None
        if "scores" in self.loss.requires:
            step = replace(step, scores=self.discriminator(step.restored))
        found: tuple[Tensor, dict[str, Tensor]] = self.loss(step)
        return found
