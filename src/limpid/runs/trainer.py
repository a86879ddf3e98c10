"""Lightning's Trainer: with a limit on how long processes wait for each other, and as a run of Limpid needs it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import lightning
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import Strategy, StrategyRegistry

from limpid import callbacks, loggers
from limpid.config import instantiate
from limpid.errors import UserError
from limpid.models.fsdp import FullySharded
from limpid.ranges import Minutes, PositiveInt
from limpid.runs.distributed import Place
from limpid.runs.spec import RunSpec
from limpid.store.run_directory import Run


class Trainer(lightning.Trainer):
    """Lightning's Trainer, whose processes wait for each other no longer than a time limit.

    Args:
        timeout_minutes: how long a process waits for the others; null is PyTorch's own limit (30 minutes on the CPU,
            10 on GPUs).
        strategy: as Lightning takes it.
        max_steps: how many optimizer steps; null for no limit.
        max_epochs: how many epochs; null leaves it to Lightning.
        settings: all other arguments of Lightning's Trainer.
    """

    def __init__(
        self,
        *,
        timeout_minutes: Minutes | None = None,
        strategy: str | Strategy = "auto",
        max_steps: PositiveInt | None = None,
        max_epochs: PositiveInt | None = None,
        **settings: Any,
    ) -> None:
        if timeout_minutes is not None:
            strategy = _with_limit(strategy, timedelta(minutes=timeout_minutes))
        most = -1 if max_steps is None else max_steps
        super().__init__(strategy=strategy, max_steps=most, max_epochs=max_epochs, **settings)


def of_run(
    spec: RunSpec,
    config: Mapping[str, Any],
    place: Place,
    opened: Sequence[Logger],
    *,
    validates: bool,
    every: int | None,
) -> lightning.Trainer:
    """The Trainer of a run over one pass of the whole of it: the step is its clock, so one epoch holds it all.

    Args:
        spec: the run.
        config: its settled configuration.
        place: of this process among those of the run.
        opened: loggers besides the one that writes curves.csv.
        validates: whether there is a validation set.
        every: steps between two validations; None for a run that trains nothing.

    Raises:
        UserError: the settings do not go together.
    """
    settings = _settings(config["trainer"], place)
    if every is not None:
        settings["val_check_interval"] = every
    if not validates:
        settings["limit_val_batches"] = 0
    made = instantiate.construct(config["callbacks"], "callbacks", spec.allow_targets)
    chosen = [callback for callback in made.values() if callback is not None]
    # Averaging swaps weights at the ends of stages, so it comes first and files come last.
    chosen.sort(key=lambda callback: isinstance(callback, callbacks.Checkpoints))
    run = Run(spec.directory)
    trainer: lightning.Trainer = instantiate.construct(
        settings,
        "trainer",
        spec.allow_targets,
        max_epochs=1,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=1,  # `CurveLogging` writes in its place; this keeps it from warning about short runs
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(spec.directory),
        logger=[loggers.StepCSVLogger(spec.directory / "curves.csv"), *opened],
        callbacks=[
            callbacks.StepSeed(spec.seed),
            callbacks.CurveLogging(config["log_every"]),
            callbacks.LastValidation(),
            callbacks.Status(run),
            *chosen,
            callbacks.OwnSignals(),
        ],
        plugins=[callbacks.CheckpointFiles(), place.environment],
    )
    if isinstance(trainer.strategy, FullySharded) and any(isinstance(c, callbacks.EMA) for c in chosen):
        raise UserError("An average of sharded weights cannot be kept; leave out callbacks=ema, or choose trainer=ddp.")
    return trainer


def _settings(config: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The settings of the Trainer without the length of the run and how often it validates."""
    elsewhere = ("max_steps", "max_epochs", "val_check_interval")
    settings = {key: value for key, value in config.items() if key not in elsewhere}
    settings["num_nodes"] = place.machines
    if place.on_cpu:
        settings["devices"] = place.on_each
        settings["sync_batchnorm"] = False  # PyTorch does it on GPUs only
    if place.world == 1 and isinstance(settings.get("strategy"), str):
        settings["strategy"] = "auto"  # all GPUs of a machine may be one
    return settings


def _with_limit(strategy: str | Strategy, limit: timedelta) -> str | Strategy:
    """The strategy of that name whose processes wait so long; another, or one for a single process, as it is."""
    if not isinstance(strategy, str) or strategy not in StrategyRegistry:
        return strategy
    entry = StrategyRegistry[strategy]
    if "timeout" not in inspect.signature(entry["strategy"]).parameters:
        return strategy
    return entry["strategy"](**entry["init_params"], timeout=limit)
