"""Two networks trained in turns: what optimisation by hand has to do itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from limpid.errors import UserError
from limpid.models.restorer import Batch, Restorer


class Adversarial(Restorer):
    """Generators and a `discriminator`, either side with the optimizer and the learning rate of the configuration.

    Lightning refuses to accumulate and to clip gradients where a system steps its optimizers itself. Here
    `trainer.accumulate_grad_batches` and `trainer.gradient_clip_val` mean what they mean elsewhere, for either side by
    itself, and `learn` does both. A subclass sets `discriminator` and calls `learn` once for each side in each training
    step. Both sides and both optimizers are part of a checkpoint.
    """

    discriminator: nn.Module
    accumulate: int = 1
    clip: float | None = None
    rate: float = 0.0  #: the generators' learning rate in their last step

    def configure_callbacks(self) -> list[Any]:
        """Take over accumulating and clipping, before Lightning looks whether it has to refuse them."""
        if self.trainer.state.fn == TrainerFn.FITTING:
            self.automatic_optimization = False
            self.accumulate, self.trainer.accumulate_grad_batches = self.trainer.accumulate_grad_batches, 1
            self.clip, self.trainer.gradient_clip_val = self.trainer.gradient_clip_val, None
        return []

    def on_fit_start(self) -> None:
        """Let checkpoints be written between optimizer steps only: gradients that accumulate are not part of one."""
        self.trainer.accumulate_grad_batches = self.accumulate

    def configure_optimizers(self) -> Any:
        """An optimizer and a learning rate over the whole run for the generators, and for the discriminator."""
        assert self.optimizer is not None
        assert self.lr_scheduler is not None
        steps = max(1, self.trainer.datamodule.steps // self.accumulate)  # type: ignore[attr-defined]
        optimizers = [
            self.optimizer(p for module in modules for p in module.parameters() if p.requires_grad)
            for modules in (self.generators(), [self.discriminator])
        ]
        return optimizers, [{"scheduler": self.lr_scheduler(o, steps=steps), "interval": "step"} for o in optimizers]

    def generators(self) -> list[nn.Module]:
        """What learns against the discriminator: the network, and what the loss learns."""
        return [self.network] if self.loss is None else [self.network, self.loss]

    def learn(self, player: int, loss: Tensor, batch_idx: int) -> None:
        """Add the gradient of `loss`, and make a step where this batch completes what is accumulated.

        Args:
            player: 0 for the generators, 1 for the discriminator.
            loss: of the batch.
            batch_idx: the run's clock.
        """
        self.manual_backward(loss / self.accumulate)
        if player == 0:
            self.rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        done, steps = batch_idx + 1, self.trainer.datamodule.steps  # type: ignore[attr-defined]
        if done % self.accumulate and done != steps:
            return
        optimizer: Any = self.optimizers()[player]  # type: ignore[index]
        if self.clip:
            clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], self.clip)
        optimizer.step()
        optimizer.zero_grad()
        self.lr_schedulers()[player].step()  # type: ignore[index]

    def report(
        self, total: Tensor, terms: Mapping[str, Tensor], judged: Tensor, batch_idx: int
    ) -> dict[str, Tensor | dict[str, Tensor]]:
        """Log a step's losses where it is their turn, and give what a step returns.

        Args:
            total: the generators' loss.
            terms: of it, by name.
            judged: the discriminator's loss.
            batch_idx: the run's clock.
        """
        if (batch_idx + 1) % self.log_every == 0:
            named = {f"loss/{name}": value for name, value in terms.items()}
            self.record({"loss": total, **named, "loss/discriminator": judged, "learning_rate": self.rate})
        return {"loss": total.detach(), "terms": {name: value.detach() for name, value in terms.items()}}


def clear_images(batch: Batch) -> Tensor:
    """The clear images of `batch`; of pairs, each image's is the reference of the one before it.

    Raises:
        UserError: there are none.
    """
    if "clear" in batch:
        clear: Tensor = batch["clear"]
    elif "target" in batch:
        clear = batch["target"].roll(1, 0)
    else:
        raise UserError(
            f"Training without references needs clear images beside degraded ones, and {batch['name'][0]} comes "
            "without any; choose data with them, such as data=scenes_unpaired."
        )
    return clear
