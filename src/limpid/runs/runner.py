"""`python -m limpid.runs.runner RUN`: one composed run, without Hydra. Its processes and requeued jobs start here.

`perform` does the same for a run that was just composed.
"""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import Logger

from limpid import __version__, callbacks, checkpoint, loggers, profiling
from limpid.config import instantiate
from limpid.data.datamodule import RestorationData
from limpid.errors import UserError
from limpid.models import Restorer
from limpid.models.build import build_model
from limpid.models.evaluation import INPUT_PREFIX
from limpid.models.fsdp import FullySharded
from limpid.results.rows import NO_SET
from limpid.runs import distributed
from limpid.runs.distributed import Place, ProcessFailed
from limpid.runs.environment import describe
from limpid.store.run_directory import Run

Config = Mapping[str, Any]


def perform(config: Config) -> dict[str, Any]:
    """Do what a composed configuration asks, in its run directory, and return the results.

    A run that is done is not done again; one that was interrupted continues where it was. Where it takes several
    processes, they are started and watched here, or this is one of them.

    Args:
        config: plain values, as `limpid.runs.resolve` makes them.

    Raises:
        CannotRun: a data set is not there; nothing was written then.
        UserError: another process holds the run, it was made with other settings, or its devices are not there.
        ProcessFailed: one of several processes failed or was killed.
    """
    run = Run(config["run"])
    if run.done and not config["rerun"]:
        return {**(run.results() or {}), "skipped": True}
    _quieten()
    loggers.require(config["logger"])
    if config["does"] == "profile":
        return _profile(config, run)
    place = distributed.place(config["trainer"])
    data: RestorationData = instantiate.construct(config["data"], "data", config["allow_targets"])
    absent = data.require(training=config["does"] == "train")
    if config["does"] == "train":
        data.plan(config["trainer"]["max_steps"], config["trainer"]["max_epochs"], place.world)
    weights = _given_weights(config)
    if place.watched or place.rank > 0:
        return _execute(config, run, place, data, absent, weights)
    with run.locked():
        if config["rerun"]:
            run.clear()
        run.begin(config, {**describe(), "processes": place.world})
        try:
            if place.starts:
                distributed.launch(run.path, place.world)
                return run.results() or {}
            return _execute(config, run, place, data, absent, weights)
        except (UserError, ProcessFailed) as error:
            run.fail(str(error))
            raise
        except Exception:
            run.fail(traceback.format_exc().splitlines()[-1])
            raise


def _profile(config: Config, run: Run) -> dict[str, Any]:
    """Measure what the network costs, on the machine's accelerator if it has one, and store it as a run."""
    network = instantiate.construct(config["network"], "network", config["allow_targets"])
    height, width = config["cost"]["image_size"]
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    with run.locked():
        run.begin(config, describe())
        measured = profiling.cost(network, height, width, device, config["cost"]["repeats"])
        figures = {
            "params_m": (measured.params / 1e6, "parameters"),
            "size_mb": (measured.size_mb, "state_dict_file"),
            "gflops": (measured.gflops, "two_per_multiply_add"),
            "ms": (measured.latency_ms, f"median_forward_{device.type}"),
        }
        results = {
            "metrics": {
                NO_SET: {k: {"mean": v, "n": 1, "protocol": p} for k, (v, p) in figures.items() if v is not None}
            },
            "input": {},
            "comparable": False,  # a time is one machine's own
            "provenance": _origin(config),
        }
        run.finish(results, [])
        with loggers.open_loggers(config, run) as opened:
            loggers.record_outcome(opened, config, results, [], 0)
    return results


def _execute(
    config: Config, run: Run, place: Place, data: RestorationData, absent: list[str], weights: dict[str, Any] | None
) -> dict[str, Any]:
    """Train and test, in this process or as one of several, and tell the loggers."""
    with loggers.open_loggers(config, run, writes=place.rank == 0) as opened:
        results, per_image = _measured(config, run, place, data, absent, weights, opened)
        loggers.record_outcome(opened, config, results, per_image, data.steps)
    return results


def _measured(
    config: Config,
    run: Run,
    place: Place,
    data: RestorationData,
    absent: list[str],
    weights: dict[str, Any] | None,
    opened: list[Logger],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train and test with `opened` loggers; the results, stored, and those of every image."""
    lightning.seed_everything(config["seed"], workers=False, verbose=False)
    system = _system(config)
    trainer = _trainer(config, run, data, place, opened)
    if config["does"] == "train":
        with _interruptible():
            _fit(trainer, system, data, run)
        weights = checkpoint.read(run.chosen_checkpoint)
        weights["file"] = str(run.chosen_checkpoint)
        if isinstance(trainer.strategy, FullySharded):
            system = _system(config)  # the trained one holds a part of its parameters
    if weights is not None:
        checkpoint.load(system.network, checkpoint.weights(weights), Path(weights["file"]))
        system.load_extra_state(weights)
    parameters = sum(p.numel() for p in system.network.parameters())
    if data.test:
        with _interruptible():
            trainer.test(system, datamodule=data, verbose=False)
    results = _results(config, system, parameters, data, weights, absent)
    if trainer.is_global_zero:
        run.finish(results, system.scores.rows)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        trainer.strategy.barrier()
        torch.distributed.destroy_process_group()
    return results, system.scores.rows


def _given_weights(config: Config) -> dict[str, Any] | None:
    """The checkpoint that a test is asked to use; a prior needs none.

    Raises:
        UserError: a network that learns would be tested untrained.
    """
    if config["does"] == "train":
        return None
    if not config["ckpt"]:
        network = instantiate.construct(config["network"], "network", config["allow_targets"])
        if any(True for _ in network.parameters()):
            raise UserError(
                f"The network {config['choices']['network']} has no weights to test; give ckpt=PATH, or train it first "
                f"with `limpid train model={config['choices']['model']}`."
            )
        return None
    path = Path(config["ckpt"])
    return {**checkpoint.read(path), "file": str(path)}


def _system(config: Config) -> Restorer:
    """The model with its network, loss, optimizer, learning rate and metrics."""
    return build_model({**config, "provenance": _origin(config)}, training=config["does"] == "train")


def _trainer(config: Config, run: Run, data: RestorationData, place: Place, opened: list[Logger]) -> lightning.Trainer:
    """Lightning's trainer over one pass of the whole run: the step is its clock, so one epoch holds it all."""
    allow = config["allow_targets"]
    settings = {k: v for k, v in config["trainer"].items() if k not in ("max_steps", "max_epochs")}
    val_every = settings.pop("val_check_interval")
    if config["does"] == "train":
        settings["val_check_interval"] = min(val_every, data.steps)
    settings["num_nodes"] = place.machines
    if place.world == 1 and isinstance(settings.get("strategy"), str):
        settings["strategy"] = "auto"  # all GPUs of a machine may be one
    chosen = [c for c in instantiate.construct(config["callbacks"], "callbacks", allow).values() if c is not None]
    # Averaging swaps weights at the ends of stages, so it comes first and files come last.
    chosen.sort(key=lambda c: isinstance(c, callbacks.Checkpoints))
    trainer: lightning.Trainer = instantiate.construct(
        settings,
        "trainer",
        allow,
        max_epochs=1,
        check_val_every_n_epoch=None,
        limit_val_batches=0 if data.val is None else None,
        num_sanity_val_steps=0,
        log_every_n_steps=1,  # `CurveLogging` writes in its place; this keeps it from warning about short runs
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(run.path),
        logger=[loggers.StepCSVLogger(run.path / "curves.csv"), *opened],
        callbacks=[
            callbacks.StepSeed(config["seed"]),
            callbacks.CurveLogging(config["log_every"]),
            *chosen,
            callbacks.Status(run),
        ],
        plugins=[callbacks.CheckpointFiles(), place.environment],
    )
    if isinstance(trainer.strategy, FullySharded) and any(isinstance(c, callbacks.EMA) for c in chosen):
        raise UserError("An average of sharded weights cannot be kept; leave out callbacks=ema, or choose trainer=ddp.")
    return trainer


def _fit(trainer: lightning.Trainer, system: Restorer, data: RestorationData, run: Run) -> None:
    """Train, from the last checkpoint if there is one."""
    # The first process may have cleared the run: the others wait for it here, and go by what it sees.
    trainer.strategy.connect(system)
    trainer.strategy.setup_environment()
    last = run.last_checkpoint
    done = checkpoint.read(last)["provenance"]["step"] if trainer.is_global_zero and last.is_file() else None
    done = trainer.strategy.broadcast(done)
    if done is not None and done >= data.steps:
        return
    data.batches_done = done or 0
    trainer.fit(system, datamodule=data, ckpt_path=None if done is None else str(last))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn Lightning's way to end after Ctrl-C into the usual one."""
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error


def _origin(config: Config) -> dict[str, Any]:
    """Where a result comes from, in plain values."""
    row = config.get("row")
    return {
        "row": f"{row['paper']}/{row['table']}/{row['name']}" if row else None,
        "budget": config["budget"]["name"],
        "seed": config["seed"],
        "data": config["choices"]["data"],
        "fingerprint": config["fingerprint"],
        "limpid": __version__,
        **({"started_from": config["started_from"]} if config.get("started_from") else {}),
    }


def _results(
    config: Config,
    system: Restorer,
    parameters: int,
    data: RestorationData,
    weights: Mapping[str, Any] | None,
    absent: list[str],
) -> dict[str, Any]:
    """metrics.json: per set the mean of each metric, the network's size, and where the weights come from."""
    metrics = system.scores.summary()
    for entry in metrics.values():
        n = max((value["n"] for value in entry.values()), default=0)
        entry["params_m"] = {"mean": parameters / 1e6, "n": n, "protocol": "parameters"}
    provenance = _origin(config) | {"monitored": data.monitored}
    if weights is not None:
        state = checkpoint.weights(weights)
        provenance |= {
            "weights": checkpoint.weights_fingerprint(state),
            "trained": dict(weights["provenance"]),
        }
        provenance["checkpoint"] = Path(weights["file"]).name
    complete = {name: images.expected in (None, metrics[name]["params_m"]["n"]) for name, images in data.test.items()}
    comparable = config["comparable"] and all(complete.values()) and not absent
    return {
        "metrics": metrics,
        "input": system.scores.summary(INPUT_PREFIX),
        "comparable": comparable,
        "complete": complete,
        "absent": absent,
        "provenance": provenance,
    }


def _quieten() -> None:
    """Keep other libraries' chatter off stderr; what a person needs is said by the callbacks."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*resuming from a checkpoint that ended before the epoch ended.*",  # our sampler does resume
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
        ".*lr_scheduler.step.*before.*optimizer.step.*",
        ".*sync_dist=True.*",  # scores are gathered before they are logged, and are the same on all processes
        ".*WeightAveraging callback with a model that overrides the configure_model.*",  # which does nothing then
    ):
        warnings.filterwarnings("ignore", message=message)
    torch.set_float32_matmul_precision("highest")


def main(arguments: list[str]) -> int:
    """Perform the run in the directory given as the one argument."""
    if len(arguments) != 1:
        print("Give one run directory: python -m limpid.runs.runner RUN", file=sys.stderr)
        return 2
    config = Run(arguments[0]).config()
    if config is None:
        print(f"There is no config.yaml in {arguments[0]}; give a run directory.", file=sys.stderr)
        return 2
    config = {**config, "run": arguments[0], "rerun": False}
    if distributed.watched():
        return distributed.take_part(lambda: perform(config))
    try:
        perform(config)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except ProcessFailed as error:
        print(distributed.told(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
