"""Loggers besides curves.csv: making them for a run, giving them its results, and closing them."""

from __future__ import annotations

import importlib.util
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.loggers import Logger

from limpid.config import instantiate
from limpid.errors import CannotRun
from limpid.loggers.base import ImageLogger, RunLogger
from limpid.loggers.csv_logger import StepCSVLogger
from limpid.loggers.mlflow import MLflow
from limpid.loggers.outcome import Cell, Outcome, Table, outcome
from limpid.loggers.tensorboard import TensorBoard
from limpid.loggers.wandb import STEP, Wandb
from limpid.paths import runs
from limpid.store.atomic_io import write_json
from limpid.store.forms import Needed, read_json_file
from limpid.store.metrics_file import MetricsFile
from limpid.store.run_directory import Run

__all__ = [
    "STEP",
    "ImageLogger",
    "MLflow",
    "Outcome",
    "RunLogger",
    "StepCSVLogger",
    "Table",
    "TensorBoard",
    "Wandb",
    "open_loggers",
    "outcome",
    "record_outcome",
    "require",
]

#: The packages that a logger needs.
_PACKAGES = {
    "Wandb": ("wandb",),
    "WandbLogger": ("wandb",),
    "TensorBoard": ("tensorboard",),
    "TensorBoardLogger": ("tensorboard",),
    "MLflow": ("mlflow", "sqlalchemy", "alembic"),
    "MLFlowLogger": ("mlflow",),
}


#: By what names a configuration knows the logger that uploads.
_UPLOADING = ("limpid.loggers.Wandb", "limpid.loggers.wandb.Wandb")


def require(cards: Mapping[str, Mapping[str, object]]) -> None:
    """Refuse loggers whose package is not installed, or that have no key for their server, before anything begins.

    Args:
        cards: the `logger` part of a configuration.

    Raises:
        CannotRun: naming the logger and what to install.
        UserError: a key is missing or has not the form of one.
    """
    for name, card in cards.items():
        needed = _PACKAGES.get(str(card.get("_target_")).rsplit(".", 1)[-1], ())
        missing = [package for package in needed if importlib.util.find_spec(package) is None]
        if missing:
            raise CannotRun(
                f"logger={name} needs the package {missing[0]}, which is not installed; `pip install "
                "'limpid[loggers]'`, or leave the logger out."
            )
        if card.get("_target_") in _UPLOADING:
            Wandb.require(card)


@contextmanager
def open_loggers(config: Mapping[str, object], run: Run, writes: bool = True) -> Iterator[list[Logger]]:
    """The loggers of a run, told its configuration, and ended when it ends.

    Where a logger's card asks for a directory, an id or a name, it is the run's. The id is drawn when a run first has a
    logger, and kept in its ``logging.json``; starting over draws a new one.

    Args:
        config: the composed configuration.
        run: whose loggers they are.
        writes: whether this process writes the run; others have no loggers.
    """
    loggers = _made(config, run) if writes else []
    keeping = [logger for logger in loggers if isinstance(logger, RunLogger)]
    status = "failed"
    try:
        for logger in keeping:
            logger.log_config(config)
        yield [logger for logger in loggers if not getattr(logger, "lost", False)]
        status = "finished"
    except KeyboardInterrupt:
        status = "killed"
        raise
    finally:
        said = [logger.close(status) for logger in keeping]
        for line in filter(None, said):
            print(line, file=sys.stderr)


def _made(config: Mapping[str, Any], run: Run) -> list[Logger]:
    cards: Mapping[str, Mapping[str, object]] = config["logger"]
    if not cards:
        return []
    file = run.path / "logging.json"
    stored = read_json_file(file, {"id": Needed(str)})
    if stored is None:
        stored = {"id": secrets.token_hex(8)}
        write_json(file, stored)
    run_name = run.path.as_posix().removeprefix(f"{runs().as_posix()}/")
    own = {"save_dir": str(run.path), "id": stored["id"], "name": run_name}
    filled = {}
    for name, card in cards.items():
        filled[name] = {key: own.get(key) if value is None else value for key, value in card.items()}
    return list(instantiate.construct(filled, "logger", config["allow_targets"]).values())


def record_outcome(
    loggers: Sequence[Logger],
    config: Mapping[str, object],
    results: MetricsFile,
    per_image: Sequence[Mapping[str, Cell]],
    step: int,
) -> None:
    """Give every logger what came out of a run; see `outcome`.

    Args:
        loggers: as `open_loggers` gives them.
        config: the composed configuration.
        results: what metrics.json holds.
        per_image: what per_image.csv holds.
        step: the run's last; 0 where nothing was trained.
    """
    result = outcome(config, results, per_image)
    for logger in loggers:
        if isinstance(logger, RunLogger):
            logger.log_outcome(result, step)
        else:
            logger.log_metrics(result.values, step)
