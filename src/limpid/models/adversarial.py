"""Adversarial training: two networks optimised in turns, with accumulation and clipping for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from lightning import Callback
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from limpid.errors import UserError
from limpid.models import run_length
from limpid.models.batches import Batch
from limpid.models.restorer import Restorer, StepOutput


class Adversarial(Restorer):
    """Generators and a `discriminator`, either side with the optimizer and the learning rate of the configuration.

    Lightning refuses to accumulate and to clip gradients where a model steps its optimizers itself. Here
    `accumulate_grad_batches` and `gradient_clip_val` of the Trainer mean what they mean elsewhere, for either side by
    itself, and `optimize` does both. Of `max_steps` Lightning counts each side's steps. A subclass sets `discriminator`
    and calls `optimize` once for each side in each training step. Both sides and both optimizers are part of a
    checkpoint. Beside what `Restorer` logs there is ``train/discriminator``.

    Several discriminators are one `discriminator` that holds them. One that sees the degraded image beside the judged
    one takes `conditioned` images. Where it learns several times for each step of the generators, a subclass sets
    `discriminator_steps`, leaves the generators' part of a training step where `generators_turn` is false, and ends it
    with `log_discriminator`.
    """

    PROVIDES = Restorer.PROVIDES | {"scores"}

    discriminator: nn.Module
    discriminator_steps: int = 1  #: how many it makes for each of the generators
    accumulate: int = 1
    clip: float | None = None
    rate: float = 0.0  #: the generators' learning rate in their last step

    def configure_callbacks(self) -> list[Callback]:
        """No callbacks; called so early, it takes over accumulating and clipping before Lightning refuses them."""
        if self.trainer.state.fn == TrainerFn.FITTING:
            self.automatic_optimization = False
            self.accumulate = self.trainer.accumulate_grad_batches
            self.clip = self.trainer.gradient_clip_val
            self.trainer.accumulate_grad_batches = 1
            self.trainer.gradient_clip_val = None
        return []

    def on_fit_start(self) -> None:
        """Let checkpoints be written between optimizer steps only: gradients that accumulate are not part of one."""
        self.trainer.accumulate_grad_batches = self.accumulate

    def on_fit_end(self) -> None:
        """Give the Trainer its setting back, for another training."""
        self.trainer.gradient_clip_val = self.clip

    def configure_optimizers(self) -> Any:
        """An optimizer and a learning rate over the whole training for the generators, and for the discriminator."""
        optimizers = self.make_optimizers()
        if self.lr_scheduler is None:
            return optimizers
        turns = run_length.turns(self.trainer, 1 + 1 / self.discriminator_steps, self.accumulate)
        lengths = (max(1, turns // self.discriminator_steps), turns)
        return optimizers, schedules(optimizers, self.lr_scheduler, lengths)

    def make_optimizers(self) -> list[Optimizer]:
        """The optimizer of the generators and that of the discriminator."""
        return [self.make_optimizer(_learnt(side)) for side in (self.generators(), [self.discriminator])]

    def generators(self) -> list[nn.Module]:
        """The modules that learn against the discriminator: the network, and the loss."""
        return [self.network] if self.loss is None else [self.network, self.loss]

    def generators_turn(self, batch_idx: int) -> bool:
        """Whether the generators learn from this batch too, after the discriminator."""
        turn = run_length.batches_before(self.trainer, batch_idx) // self.accumulate
        return (turn + 1) % self.discriminator_steps == 0

    def optimize(self, player: int, loss: Tensor, batch_idx: int) -> None:
        """Add the gradient of `loss`, and make a step where this batch completes what is accumulated.

        Args:
            player: 0 for the generators, 1 for the discriminator.
            loss: of the batch.
            batch_idx: of the batch in its epoch.
        """
        self.manual_backward(loss / self.accumulate)
        if player == 0:
            self.rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        if not self.completes(batch_idx):
            return
        optimizer: LightningOptimizer = self.optimizers()[player]  # type: ignore[index]
        if self.clip:
            groups = (group["params"] for group in optimizer.param_groups)
            clip_grad_norm_(list(chain.from_iterable(groups)), self.clip)
        optimizer.step()
        optimizer.zero_grad()
        if self.lr_scheduler is not None:
            self.lr_schedulers()[player].step()  # type: ignore[index]

    def completes(self, batch_idx: int) -> bool:
        """Whether this batch of its epoch completes what is accumulated."""
        return (batch_idx + 1) % self.accumulate == 0 or self.trainer.is_last_batch

    def log_turn(self, total: Tensor, terms: Mapping[str, Tensor], discriminator_loss: Tensor) -> StepOutput:
        """The output of `training_step`, once the losses of both sides are logged.

        Args:
            total: the generators' loss.
            terms: of it, by name.
            discriminator_loss: the discriminator's.
        """
        output = self.log_losses(total, terms, {"train/discriminator": discriminator_loss}, lr=self.rate)
        return {**output, "loss": total.detach()}

    def log_discriminator(self, loss: Tensor) -> StepOutput:
        """The output of `training_step` where the discriminator alone learnt, once its `loss` is logged."""
        values: dict[str, Tensor | float] = {"train/discriminator": loss.detach()}
        self.log_values(values)
        return {"loss": loss.detach(), "terms": {}, "log": values}


def schedules(
    optimizers: Sequence[Optimizer], make: Callable[..., LRScheduler], lengths: Sequence[int]
) -> list[dict[str, object]]:
    """The learning rates of `optimizers` that make so many steps each in the whole training, for Lightning."""
    made = [make(optimizer, steps=steps) for optimizer, steps in zip(optimizers, lengths, strict=True)]
    return [{"scheduler": schedule, "interval": "step"} for schedule in made]


def _learnt(modules: Sequence[nn.Module]) -> Iterator[nn.Parameter]:
    """The parameters of `modules` that learn."""
    parameters = chain.from_iterable(module.parameters() for module in modules)
    return (p for p in parameters if p.requires_grad)


def conditioned(degraded: Tensor, judged: Tensor) -> Tensor:
    """The degraded images with those to be judged behind them, `(N, 6, H, W)`, of two `(N, 3, H, W)`."""
    return torch.cat([degraded, judged], 1)


def clear_images(batch: Batch) -> Tensor:
    """The clear images of `batch`; of pairs, each image's is the reference of the one before it.

    Of a batch of one pair it is that image's own reference: `data.unpaired` gives another's.

    Raises:
        UserError: there are none.
    """
    if "clear" in batch:
        clear = batch["clear"]
    elif "target" in batch:
        clear = batch["target"].roll(1, 0)
    else:
        raise UserError(
            f"Training without references needs clear images beside degraded ones, and {batch['name'][0]} comes "
            "without any; choose data with them, such as data=scenes_unpaired."
        )
    return clear
