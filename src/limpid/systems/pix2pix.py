"""pix2pix: a network trained on pairs against a discriminator that sees the degraded image too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from limpid.inference import restored_image
from limpid.losses.pix2pix import discriminator_loss
from limpid.systems.restorer import Batch, Restorer


def constant_then_linear(optimizer: Optimizer, steps: int, constant: float) -> LambdaLR:
    """The learning rate stays as it is, then falls linearly to 0 at the end of the run.

    Args:
        optimizer: whose learning rate is scaled.
        steps: length of the whole run.
        constant: share of the run before it falls.
    """
    first = constant * steps
    return LambdaLR(optimizer, lambda now: 1.0 if now <= first else max(0.0, (steps - now) / (steps - first)))


class Pix2pix(Restorer):
    """A generator and a conditional discriminator in turns (Isola et al., CVPR 2017, section 3.3).

    In each step the discriminator learns first, then the generator on the loss, whose adversarial term finds the
    discriminator's scores as ``batch["scores"]``. The discriminator is in Lightning's state, so that a run continues,
    but it is not part of the network that a checkpoint rebuilds.

    Args:
        arguments: see `Restorer`.
        discriminator: maps `(N, 6, H, W)`, the degraded image and the judged one, to scores.
        clip: largest norm of the gradient of either; None does not clip.
        settings: see `Restorer`; each of the two networks has its own optimizer and scheduler.
    """

    def __init__(self, *arguments: Any, discriminator: nn.Module, clip: float | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.discriminator, self.clip = discriminator, clip
        self.automatic_optimization = False

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """One step of the discriminator, one of the generator; the terms are logged, the discriminator's loss too."""
        assert self.loss is not None
        for_network, for_discriminator = self.optimizers()  # type: ignore[attr-defined]
        degraded = batch["input"]
        output = self(degraded)
        restored = restored_image(output)
        judged = discriminator_loss(self.judge(degraded, batch["target"]), self.judge(degraded, restored.detach()))
        self._step(for_discriminator, judged)
        self.discriminator.requires_grad_(False)  # the generator's loss passes through it and leaves nothing there
        total, terms = self.loss(output, {**batch, "scores": self.judge(degraded, restored)})
        self._step(for_network, total)
        self.discriminator.requires_grad_(True)
        if (batch_idx + 1) % self.log_every == 0:
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            named = {f"loss/{name}": value for name, value in terms.items()}
            self.record({"loss": total, **named, "loss/discriminator": judged, "learning_rate": rate})
        for scheduler in self.lr_schedulers():  # type: ignore[union-attr]
            scheduler.step()
        return {"loss": total.detach(), "terms": {name: value.detach() for name, value in terms.items()}}

    def judge(self, degraded: Tensor, judged: Tensor) -> Tensor:
        """The discriminator's scores of `judged` `(N, 3, H, W)` as a restoration of `degraded`."""
        scores: Tensor = self.discriminator(torch.cat([degraded, judged], 1))
        return scores

    def _step(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.clip is not None:
            clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], self.clip)
        optimizer.step()

    def configure_optimizers(self) -> Any:
        """One optimizer and one learning rate for each of the two, over the whole run."""
        assert self.optimizer is not None
        assert self.scheduler is not None
        optimizers = [self.optimizer(module.parameters()) for module in (self.network, self.discriminator)]
        steps = self.trainer.datamodule.steps  # type: ignore[attr-defined]
        return optimizers, [self.scheduler(optimizer, steps=steps) for optimizer in optimizers]
