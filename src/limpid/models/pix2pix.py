"""pix2pix: a network trained on pairs against a discriminator that sees the degraded image too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from limpid.inference import restored_image
from limpid.losses.pix2pix import discriminator_loss
from limpid.models.adversarial import Adversarial
from limpid.models.restorer import Batch


class Pix2pix(Adversarial):
    """A generator and a conditional discriminator in turns (Isola et al., CVPR 2017, section 3.3).

    In each step the discriminator learns first, then the generator on the loss, whose adversarial term finds the
    discriminator's scores as ``batch["scores"]``. The discriminator is in Lightning's state, so that a run continues,
    but it is not part of the network that a checkpoint rebuilds.

    Args:
        arguments: see `Restorer`.
        discriminator: maps `(N, 6, H, W)`, the degraded image and the judged one, to scores.
        settings: see `Restorer`; each of the two networks has its own optimizer and learning-rate scheduler.
    """

    def __init__(self, *arguments: Any, discriminator: nn.Module, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.discriminator = discriminator

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """One step of the discriminator, one of the generator; the terms are logged, the discriminator's loss too."""
        assert self.loss is not None
        degraded = batch["input"]
        output = self(degraded)
        restored = restored_image(output)
        judged = discriminator_loss(self.judge(degraded, batch["target"]), self.judge(degraded, restored.detach()))
        self.learn(1, judged, batch_idx)
        self.discriminator.requires_grad_(False)  # the generator's loss passes through it and leaves nothing there
        total, terms = self.loss(output, {**batch, "scores": self.judge(degraded, restored)})
        self.learn(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        return self.report(total, terms, judged, batch_idx)

    def judge(self, degraded: Tensor, judged: Tensor) -> Tensor:
        """The discriminator's scores of `judged` `(N, 3, H, W)` as a restoration of `degraded`."""
        scores: Tensor = self.discriminator(torch.cat([degraded, judged], 1))
        return scores
