"""Discriminators that learn several times for each step of the generator."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.plain import loader, trainer
from torch import nn

from limpid import lr_schedulers
from limpid.losses import L1, WeightedLoss
from limpid.losses.adversarial import Wasserstein, gradient_penalty
from limpid.models.adversarial import Adversarial, clear_images
from limpid.networks.patchgan import PatchGAN


class Critic(Adversarial):
    """A generator that learns from every third batch, and notes which."""

    discriminator_steps = 3

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.discriminator = PatchGAN(channels=4, norm="none")
        self.turns: list[bool] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """The critic's step, and the generator's where it is its turn."""
        assert self.loss is not None
        step = self.make_step(batch)
        clear, restored = clear_images(batch), step.restored.detach()
        judged = Wasserstein().discriminator_loss(self.discriminator(clear), self.discriminator(restored))
        judged = judged + 10 * gradient_penalty(self.discriminator, clear, restored, unit=2)
        self.optimize(1, judged, batch_idx)
        self.turns.append(self.generators_turn(batch_idx))
        if not self.turns[-1]:
            return self.log_discriminator(judged)
        total, terms = self.loss(step)
        self.optimize(0, total, batch_idx)
        return self.log_turn(total, terms, judged)


@pytest.mark.parametrize(("accumulate", "turns"), [(1, [2, 5, 8, 11]), (2, [4, 5, 10, 11])])
def test_the_generator_learns_from_every_third_step(accumulate: int, turns: list[int], tmp_path: Path) -> None:
    torch.manual_seed(0)
    loss = WeightedLoss({"l1": {"weight": 1.0, "term": L1()}})
    sgd = functools.partial(torch.optim.SGD, lr=0.1)
    falling = functools.partial(lr_schedulers.constant_then_linear, constant=0.0)
    model = Critic(nn.Conv2d(3, 3, 1), loss=loss, optimizer=sgd, lr_scheduler=falling)
    own = trainer(tmp_path, max_epochs=2, accumulate_grad_batches=accumulate)
    own.fit(model, loader(12))
    assert [batch for batch, turn in enumerate(model.turns) if turn] == turns
    critics, generators = 12 // accumulate, len(turns) // accumulate
    assert own.global_step == critics + generators
    generator, critic = (config.scheduler for config in own.lr_scheduler_configs)
    assert generator.last_epoch == generators
    assert critic.last_epoch == critics
    assert [o.param_groups[0]["lr"] for o in own.optimizers] == pytest.approx([0, 0], abs=1e-9), "each at its own end"
