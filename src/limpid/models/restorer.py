"""The base system: one place for the steps of training, validation, test and prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from itertools import chain
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from limpid.checkpoint import FORMAT
from limpid.inference import Adaptive, Full, Inference, Tiled
from limpid.losses import WeightedLoss
from limpid.models import auxiliary_maps, fsdp
from limpid.models.evaluation import Scores

Batch = Mapping[str, Any]


class Restorer(LightningModule):
    """A network trained on pairs with a weighted sum of named terms.

    The clock of a run is its number of batches: loss terms, learning rate and validation are logged at it, whatever
    the number of optimizer steps. Randomness inside a step is seeded by (seed, batch, process), so that a run that is
    resumed draws what it would have drawn.

    Args:
        network: maps `(N, 3, H, W)` in [0, 1] to the restored image, or to a named tuple with `.restored`.
        network_name: its name in the registry; checkpoints are rebuilt by it.
        network_config: its settings there, plain values.
        loss: what is minimised; None for a system that is only tested.
        optimizer: takes the parameters.
        lr_scheduler: takes the optimizer and the run's number of optimizer steps.
        metrics: by name, takes `(restored, target)` and gives one value per image; with an `id`.
        provenance: plain facts about the run, stored in its checkpoints.
        seed: of the run.
        log_every: batches between two entries in the curves.
    """

    def __init__(
        self,
        network: nn.Module,
        network_name: str,
        network_config: Mapping[str, Any],
        loss: WeightedLoss | None = None,
        optimizer: Callable[..., Optimizer] | None = None,
        lr_scheduler: Callable[..., LRScheduler] | None = None,
        metrics: Mapping[str, Callable[..., Tensor]] | None = None,
        provenance: Mapping[str, Any] | None = None,
        seed: int = 0,
        log_every: int = 20,
    ) -> None:
        super().__init__()
        self._sharded = False
        self.network = network
        self.arrange()
        self.network_name, self.network_config = network_name, dict(network_config)
        self.loss, self.optimizer, self.lr_scheduler = loss, optimizer, lr_scheduler
        self.provenance, self.seed, self.log_every = dict(provenance or {}), seed, log_every
        self.scores = Scores(metrics or {})
        self.inference: Inference = Full()  # how whole images go through the network

    def arrange(self, memory_format: str = "channels_last", compile: bool = False) -> None:
        """Say how the network is computed, which changes results to rounding only.

        Args:
            memory_format: ``channels_last`` or ``contiguous_format``.
            compile: compile the network for training steps; whole images of any size are restored uncompiled.
        """
        self.memory_format: torch.memory_format = getattr(torch, memory_format)
        self.network = self.network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        self.compiled = compile
        if compile:
            self.network.compile()  # in place: the names of the weights stay as they are

    def configure_model(self) -> None:
        """Share out the parameters where the trainer shards them."""
        if self._device_mesh is not None and not self._sharded:
            fsdp.shard(self, self._device_mesh["data_parallel"])
            self._sharded = True

    def forward(self, x: Tensor) -> Any:
        """The network's output for `x` `(N, 3, H, W)` in [0, 1]."""
        return self.network(x.contiguous(memory_format=self.memory_format))

    # Training ---------------------------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed this step's randomness, of each process its own."""
        rank = self.trainer.global_rank
        torch.manual_seed(hash((self.seed, batch_idx, rank) if rank else (self.seed, batch_idx)))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """The loss of one batch; its terms are logged under their names."""
        assert self.loss is not None
        total, terms = self.loss(self(batch["input"]), batch)
        if (batch_idx + 1) % self.log_every == 0:
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            named = {f"loss/{name}": value for name, value in terms.items()}
            self.record({"loss": total, **named, "learning_rate": rate})
        return {"loss": total, "terms": {name: value.detach() for name, value in terms.items()}}

    def configure_optimizers(self) -> Any:
        """The optimizer over what the network and the loss learn, and its learning rate over the whole run."""
        assert self.optimizer is not None
        assert self.lr_scheduler is not None
        learnt = chain(self.network.parameters(), self.loss.parameters() if self.loss is not None else ())
        optimizer = self.optimizer(p for p in learnt if p.requires_grad)
        steps = max(1, self.trainer.datamodule.steps // self.trainer.accumulate_grad_batches)  # type: ignore[attr-defined]
        schedule = self.lr_scheduler(optimizer, steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def recall(self, saved: Mapping[str, Any]) -> None:
        """Take up what a checkpoint that is tested says besides weights; here nothing."""

    # Evaluation -------------------------------------------------------------------------------------------------

    def restore(self, x: Tensor) -> Tensor:
        """The restored image for `x` `(N, 3, H, W)`: float32, clamped to [0, 1]."""
        with torch.compiler.set_stance("force_eager") if self.compiled else nullcontext():
            return self.inference(self.network, x)

    def maps(self, batch: Batch) -> dict[str, Tensor]:
        """What is found in a batch's `input` besides the image; see `limpid.models.auxiliary_maps`.

        Nothing where images go through the network in tiles.
        """
        x, way = batch["input"], self.inference
        tiled = way.in_tiles(self.network, *x.shape[-2:]) if isinstance(way, Adaptive) else isinstance(way, Tiled)
        return {} if tiled else auxiliary_maps.found(self.network, x)

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self._agree()
        self.scores.start(["val"])

    def on_test_epoch_start(self) -> None:
        """Begin to count."""
        self._agree()
        self.scores.start(list(self.trainer.datamodule.test))  # type: ignore[attr-defined]

    def _agree(self) -> None:
        """Let all processes evaluate the same network, each on as many images as it has."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return
        for buffer in self.network.buffers():  # running statistics of the first process, as in a checkpoint
            distributed.broadcast(buffer, 0)
        wrapper = self.trainer.strategy.model
        if isinstance(wrapper, DistributedDataParallel):
            wrapper.require_forward_param_sync = False  # it would do so at each image, and counts of images differ
        fsdp.unshard(self)

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Score one batch of the validation set; the restored images go on to the callbacks."""
        restored = self.restore(batch["input"])
        self.scores.add(0, batch, restored)
        return restored

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Score one batch of a test set; the restored images go on to the callbacks."""
        restored = self.restore(batch["input"])
        self.scores.add(dataloader_idx, batch, restored)
        return restored

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Restore one batch."""
        return self.restore(batch["input"])

    def on_validation_epoch_end(self) -> None:
        """Log the means over the validation set, `val/<metric>`."""
        fsdp.reshard(self)
        self.scores.finish([len(self.trainer.val_dataloaders.dataset)])  # type: ignore[union-attr]
        means = {f"val/{metric}": entry["mean"] for metric, entry in self.scores.summary()["val"].items()}
        self.log_dict(means, logger=False)
        self.record(means)

    def on_test_epoch_end(self) -> None:
        """Close the count; the results are in `scores`."""
        fsdp.reshard(self)
        self.scores.finish([len(loader.dataset) for loader in self.trainer.test_dataloaders])  # type: ignore[union-attr]

    # Records ----------------------------------------------------------------------------------------------------

    @property
    def batches_done(self) -> int:
        """How many batches of the run are trained, the present one included: the run's clock."""
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.current
        return progress.ready

    def record(self, values: Mapping[str, Tensor | float]) -> None:
        """Give `values` to every logger, at the run's clock.

        Tensors are averaged over the processes, so each of them has to call this; numbers are the same on all.
        """
        own = {k: v.detach().float() for k, v in values.items() if isinstance(v, Tensor)}
        plain = {k: float(v.detach()) if isinstance(v, Tensor) else float(v) for k, v in values.items()}
        if own and self.trainer.world_size > 1:
            together = self.trainer.strategy.reduce(torch.stack(list(own.values())), reduce_op="mean")
            plain |= dict(zip(own, together.tolist(), strict=True))
        for logger in self.loggers:
            logger.log_metrics(plain, step=self.batches_done)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what a checkpoint is rebuilt from: the network's name and plain settings, and where it came from."""
        checkpoint["limpid"] = FORMAT
        checkpoint["network"] = self.network_name
        checkpoint["network_config"] = self.network_config
        # `completed`, not the clock: a checkpoint is written when the next batch is fetched but not begun.
        done = self.trainer.fit_loop.epoch_loop.batch_progress.current.completed
        checkpoint["provenance"] = {**self.provenance, "step": done}
