"""The base model: one place for the steps of training, validation, test and prediction."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, NotRequired, Self, TypedDict

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from limpid.checkpoint import FORMAT
from limpid.errors import UserError
from limpid.inference import Adaptive, Full, Inference, NetworkOutput, Tiled
from limpid.losses import Step, WeightedLoss
from limpid.models import auxiliary_maps, fsdp, run_length
from limpid.models.batches import Batch, BatchDefaults, known_of
from limpid.models.evaluation import PerImageScores, given_names, image_counts, loader_names
from limpid.models.features import output_with_features
from limpid.models.requirements import refuse_unmet

# Any data module is welcome; Lightning says each time that a model's hook is used beside it.
warnings.filterwarnings("ignore", message="You have overridden `on_after_batch_transfer` in `LightningModule`")


class StepOutput(TypedDict):
    """What `training_step` returns.

    Attributes:
        loss: the total.
        terms: of it, unweighted, by name.
        log: every value that was logged, by its key.
        log_always: values that are measured more rarely than in each step, by their keys.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    log: dict[str, Tensor | float]
    log_always: NotRequired[dict[str, Tensor]]


class Restorer(LightningModule):
    """A network trained on pairs with a weighted sum of named terms, by any Trainer and on any DataLoader.

    A batch is a dict with `input` and `target`, or a tuple of the two (`limpid.models.batches`). Logged are
    ``train/loss``, ``train/<term>`` and ``lr`` for each batch, ``val/<metric>`` at the end of a validation and
    ``test/<set>/<metric>`` at the end of a test: means of the images' own values. Test sets are named by the keys of
    the data module's mapping `test`, or of a dict of loaders. Without names a single loader logs ``test/<metric>``, and
    several ``test/0/<metric>``, ``test/1/<metric>``, ...

    Args:
        network: maps `(N, 3, H, W)` in [0, 1] to the restored image, or to a named tuple with `.restored`.
        network_name: its name in the registry, by which `limpid.load` rebuilds it from a checkpoint; an empty one for a
            network that is in no registry.
        network_config: its settings there, plain values.
        loss: what is minimised; None for a model that is only tested.
        optimizer: takes the parameters.
        lr_scheduler: takes the optimizer and `steps`, the number of optimizer steps; None keeps the learning rate.
        metrics: by name, takes `(restored, target)` and gives one value per image; with an `id`.
        provenance: plain facts about the run, stored in its checkpoints.

    Raises:
        UserError: a term of the loss requires what this model does not provide.
    """

    #: The attributes of `limpid.losses.Step` beyond input, target and output that this model can provide.
    PROVIDES: ClassVar[frozenset[str]] = frozenset({"domain", "features", "transmission", "airlight"})

    #: Whether values go to the Trainer's loggers, at Lightning's own step numbers. `limpid.callbacks.CurveLogging`
    #: switches this off and writes them itself, at the number of batches.
    log_to_loggers: bool = True

    def __init__(
        self,
        network: nn.Module,
        network_name: str = "",
        network_config: Mapping[str, object] | None = None,
        loss: WeightedLoss | None = None,
        optimizer: Callable[..., Optimizer] | None = None,
        lr_scheduler: Callable[..., LRScheduler] | None = None,
        metrics: Mapping[str, Callable[..., Tensor]] | None = None,
        provenance: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.network_name = network_name
        self.network_config = dict(network_config or {})
        self.loss = loss
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.provenance: dict[str, Any] = dict(provenance or {})
        self.scores = PerImageScores(metrics or {})
        self.inference: Inference = Full()  # how whole images go through the network
        self.memory_format: torch.memory_format = torch.contiguous_format
        self.compiled = False
        if loss is not None:
            refuse_unmet(loss, self.PROVIDES, type(self).__name__)
        #: The layers of the network whose features the loss compares.
        self.layers = [] if loss is None else loss.network_layers
        self._sharded = False
        self._defaults = BatchDefaults()
        plain = {"network_name": self.network_name, "network_config": self.network_config}
        self.save_hyperparameters(plain, logger=False)

    def configure_network(self, memory_format: str = "channels_last", compile: bool = False) -> None:
        """Say how the network is computed, which changes results to rounding only.

        Args:
            memory_format: ``channels_last`` or ``contiguous_format``.
            compile: compile the network for training steps; whole images of any size are restored uncompiled.
        """
        self.memory_format = getattr(torch, memory_format)
        self.network = self.network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        self.compiled = compile
        if compile:
            self.network.compile()  # in place: the names of the weights stay as they are

    def configure_model(self) -> None:
        """Share out the parameters where the trainer shards them."""
        if self._device_mesh is not None and not self._sharded:
            fsdp.shard(self, self._device_mesh["data_parallel"])
            self._sharded = True

    def forward(self, x: Tensor) -> NetworkOutput:
        """The network's output for `x` `(N, 3, H, W)` in [0, 1]; in training with the features that the loss needs."""
        x = x.contiguous(memory_format=self.memory_format)
        return output_with_features(self.network, x, self.layers if self.training else ())

    def on_after_batch_transfer(self, batch: object, dataloader_idx: int) -> Batch:
        """The batch as a dict, with defaults for what it lacks; see `limpid.models.batches`."""
        stage = self.trainer.state.stage
        name = "train" if stage is None else stage.value
        process = (self.trainer.global_rank, self.trainer.world_size)
        return self._defaults.complete(batch, name, dataloader_idx, *process)

    # Training ---------------------------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The loss of one batch; its terms are logged under their names."""
        assert self.loss is not None
        total, terms = self.loss(self.make_step(batch))
        return self.log_losses(total, terms)

    def make_step(self, batch: Batch) -> Step:
        """The step that the terms of the loss see of a batch."""
        output = self(batch["input"])
        features = output.features if self.layers else None
        return Step(**known_of(batch), output=output, features=features)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer over what the network and the loss learn, and its learning rate over the whole training.

        Raises:
            UserError: there is no optimizer, or nothing says how long the training is.
        """
        learnt = chain(self.network.parameters(), self.loss.parameters() if self.loss is not None else ())
        optimizer = self.make_optimizer(p for p in learnt if p.requires_grad)
        if self.lr_scheduler is None:
            return optimizer
        schedule = self.lr_scheduler(optimizer, steps=run_length.optimizer_steps(self.trainer))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def make_optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """The optimizer of `parameters`.

        Raises:
            UserError: the model was made without one.
        """
        if self.optimizer is None or self.loss is None:
            lacking = "loss" if self.loss is None else "optimizer"
            raise UserError(f"This model was made without {lacking}=, so it cannot be trained; give it one.")
        return self.optimizer(parameters)

    @property
    def depends_on_length(self) -> bool:
        """Whether a step depends on how long the whole training is, its learning rate aside; here it does not."""
        return False

    def load_extra_state(self, saved: Mapping[str, object]) -> None:
        """Take up what a checkpoint that is tested says besides weights; here nothing."""

    # Evaluation -------------------------------------------------------------------------------------------------

    def restore(self, x: Tensor) -> Tensor:
        """The restored image for `x` `(N, 3, H, W)`: float32, clamped to [0, 1]."""
        with torch.compiler.set_stance("force_eager") if self.compiled else nullcontext():
            return self.inference(self.network, x)

    def restore_batch(self, batch: Batch) -> Tensor:
        """The restored images of a batch, as `restore` gives them; what validation, test and prediction use."""
        return self.restore(batch["input"])

    def auxiliary_maps(self, batch: Batch) -> dict[str, Tensor]:
        """The maps that are found in a batch's `input` besides the image; see `limpid.models.auxiliary_maps`.

        Nothing where images go through the network in tiles.
        """
        x, way = batch["input"], self.inference
        tiled = way.in_tiles(self.network, *x.shape[-2:]) if isinstance(way, Adaptive) else isinstance(way, Tiled)
        return {} if tiled else auxiliary_maps.auxiliary_maps(self.network, x)

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self.sync_buffers()
        self._defaults.start("validate")
        self._defaults.start("sanity_check")
        self.scores.start(loader_names(self.trainer.val_dataloaders, "val"))

    def on_test_epoch_start(self) -> None:
        """Begin to count."""
        self.sync_buffers()
        self._defaults.start("test")
        self.scores.start(loader_names(self.trainer.test_dataloaders, "test", self._test_sets))

    @property
    def _test_sets(self) -> object:
        """The data module's test sets by name, or None where the loaders that are tested are not a data module's."""
        # `trainer.datamodule` would not do: it stays that of a training that came before.
        return getattr(self.trainer.test_loop._data_source.instance, "test", None)

    def on_predict_epoch_start(self) -> None:
        """Begin to number images."""
        self._defaults.start("predict")

    def sync_buffers(self) -> None:
        """Let all processes evaluate the same network, each on as many images as it has."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return
        for buffer in self.network.buffers():  # running statistics of the first process, as in a checkpoint
            distributed.broadcast(buffer, 0)
        wrapper = self.trainer.strategy.model
        if isinstance(wrapper, DistributedDataParallel):
            wrapper.require_forward_param_sync = False  # it would do so at each image, and counts of images differ
        fsdp.unshard(self)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """The restored images of a batch of a validation set, for the callbacks; their scores are kept."""
        restored = self.restore_batch(batch)
        self.scores.add(dataloader_idx, batch, restored)
        return restored

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """The restored images of a batch of a test set, for the callbacks; their scores are kept."""
        restored = self.restore_batch(batch)
        self.scores.add(dataloader_idx, batch, restored)
        return restored

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """The restored images of one batch."""
        return self.restore_batch(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the means, `val/<metric>`, of several loaders over all their images."""
        fsdp.reshard(self)
        loaders = self.trainer.val_dataloaders
        whole = not self.trainer.sanity_checking and _is_all(self.trainer.limit_val_batches)
        self.scores.finish(image_counts(loaders, whole))
        self._log_means({f"val/{metric}": mean for metric, mean in self.scores.means().items()})

    def on_test_epoch_end(self) -> None:
        """Log the means of each set, `test/<set>/<metric>`; those of each image are in `scores`."""
        loaders = self.trainer.test_dataloaders
        fsdp.reshard(self)
        self.scores.finish(image_counts(loaders, _is_all(self.trainer.limit_test_batches)))
        unnamed = len(self.scores.sets) == 1 and given_names(loaders, self._test_sets) is None
        means: dict[str, float] = {}
        for name, values in self.scores.summary().items():
            prefix = "test" if unnamed else f"test/{name}"
            means |= {f"{prefix}/{metric}": entry["mean"] for metric, entry in values.items()}
        self._log_means(means)

    # Logging ----------------------------------------------------------------------------------------------------

    @property
    def batches_done(self) -> int:
        """The number of batches that are trained, the present one included."""
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.ready

    def log_losses(
        self, total: Tensor, terms: Mapping[str, Tensor], more: Mapping[str, Tensor] | None = None, lr: float = 0.0
    ) -> StepOutput:
        """The output of `training_step`, once the step's losses and learning rate are logged.

        Args:
            total: the loss.
            terms: of it, unweighted, by name.
            more: other values, by their keys.
            lr: the learning rate, for a model that steps its optimizers itself.
        """
        values: dict[str, Tensor | float] = {"train/loss": total.detach()}
        values |= {f"train/{name}": value.detach() for name, value in terms.items()}
        values |= {key: value.detach() for key, value in (more or {}).items()}
        if self._trainer is not None:
            values["lr"] = lr if not self.automatic_optimization else self.trainer.optimizers[0].param_groups[0]["lr"]
        result: StepOutput = {
            "loss": total,
            "terms": {name: value.detach() for name, value in terms.items()},
            "log": values,
        }
        self.log_values(values)
        return result

    def log_values(self, values: Mapping[str, Tensor | float]) -> None:
        """Log a step's `values`, tensors as means over the processes; without a Trainer nothing happens."""
        if self._trainer is None:
            return
        for key, value in values.items():
            shared = isinstance(value, Tensor)
            exact = value if isinstance(value, Tensor) else _exact(value)
            # Where a callback writes the curves, it averages the few values it writes.
            sync = shared and self.log_to_loggers
            shown = key == "train/loss"
            self.log(key, exact, prog_bar=shown, logger=self._logger, batch_size=1, sync_dist=sync)

    def _log_means(self, means: Mapping[str, float]) -> None:
        """Log what all processes know alike at the end of an evaluation, to the last digit."""
        for key, mean in means.items():
            self.log(key, _exact(mean), prog_bar=True, logger=self._logger, batch_size=1)

    @property
    def _logger(self) -> bool | None:
        """The value that `self.log` takes as `logger`; None is the Trainer's loggers if there are any."""
        return None if self.log_to_loggers else False

    # Checkpoints ------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Add what a checkpoint is rebuilt from: the network's name and plain settings, and where it came from."""
        checkpoint["limpid"] = FORMAT
        checkpoint["network"] = self.network_name
        checkpoint["network_config"] = self.network_config
        # `completed`, not `ready`: a checkpoint is written when the next batch is fetched but not begun.
        done = self.trainer.fit_loop.epoch_loop.batch_progress.total.completed
        checkpoint["provenance"] = {**self.provenance, "step": done}

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **settings: Any,
    ) -> Self:
        """The model that a checkpoint of any Trainer was written by, with its weights.

        A model of `limpid.model` or of a run is composed again, from the words in the checkpoint. One that was made by
        hand takes its parts as keywords, as every LightningModule does:
        ``Restorer.load_from_checkpoint(path, network=net)``.

        Args:
            checkpoint_path: of the file.
            map_location: the device that the model is put on; None leaves it on the CPU.
            hparams_file: see `LightningModule.load_from_checkpoint`; a model that is composed again takes none.
            strict: whether all weights must be there, and no others; None is yes.
            weights_only: read no Python objects, which is how a model that is composed again is always read.
            settings: the arguments that a model made by hand was made with; or ``allow_targets=["my_package"]``, from
                which the objects of a model that is composed again may come too.

        Raises:
            UserError: the file holds Python objects, another model, or words that ask for more than a model; or an
                argument is unknown.
        """
        from limpid.models import build

        if "network" in settings:
            source = checkpoint_path
            safe = weights_only is not False
            if isinstance(source, str | Path):
                source = build.without_words(source, safe)
            given: Self = super().load_from_checkpoint(source, map_location, hparams_file, strict, safe, **settings)
            return given
        allow_targets: tuple[str, ...] = tuple(settings.pop("allow_targets", ()))
        if settings:
            raise UserError(
                f"A model that is composed again takes no {next(iter(settings))!r}; load_from_checkpoint takes "
                "map_location, strict and allow_targets for it, or all parts of a model made by hand, network first."
            )
        return build.rebuilt(cls, checkpoint_path, map_location, strict is not False, allow_targets)


def _exact(value: float) -> Tensor:
    """The `value` as a float64 tensor on the CPU: `self.log` would round it to float32."""
    return torch.tensor(value, dtype=torch.float64)


def _is_all(limit: float) -> bool:
    """Whether a Trainer's `limit_*_batches` lets every batch through."""
    return isinstance(limit, float) and limit == 1.0
