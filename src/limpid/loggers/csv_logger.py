"""curves.csv: every logged value of a run at its step, appended and never rewritten."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from lightning_utilities.core.rank_zero import rank_zero_only

from limpid.errors import UserError
from limpid.paths import IS_NOT_THERE, why_no_file
from limpid.store.atomic_io import identity, synchronize
from limpid.store.forms import damaged


class StepCSVLogger(Logger):
    """A logger for Lightning that appends `step,name,value` lines.

    A run that continues repeats the steps since its last checkpoint, with the same values; lines that are there
    already are not written again.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._seen: set[tuple[int, str]] | None = None
        self._identity: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """The name of the logger."""
        return "curves"

    @property
    def version(self) -> int:
        """The version, always 0: a run has one such file."""
        return 0

    @property
    @rank_zero_experiment
    def experiment(self) -> Path:
        """The path of the file."""
        return self.path

    def log_hyperparams(self, params: object, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append the values that are not there yet.

        Raises:
            Damaged: what the file holds is no curves.
            UserError: it was removed or replaced since the last values.
        """
        if step is None:  # Lightning's own bookkeeping, not a point of the run's clock
            return
        if self._seen is None:
            self._seen = self._read()
            self._identity = identity(self.path)
        if identity(self.path) != self._identity:
            raise UserError(
                f"The file {self.path} was removed or replaced while the run went on, so nothing more is written; "
                "restore it, or add rerun=true to start over."
            )
        rows = [(step, name, repr(value)) for name, value in metrics.items() if (step, name) not in self._seen]
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        self._seen.update((step, name) for step, name, _ in rows)

    def synchronize(self) -> None:
        """Wait until all values are on the disk, so that no checkpoint knows of more than the file."""
        if self._seen is not None and self.path.is_file():
            synchronize(self.path)

    def _read(self) -> set[tuple[int, str]]:
        """The points in the file, once its header is there and a line that a crash cut short is gone.

        Raises:
            Damaged: it holds others.
        """
        why = why_no_file(self.path)
        if why not in (None, IS_NOT_THERE):
            raise damaged(self.path, str(why))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists() or not self.path.stat().st_size:
            self.path.write_text("step,name,value\n", encoding="utf-8")
        with self.path.open("r+b") as file:
            content = file.read()
            if not content.startswith(b"step,name,value\n"):
                raise damaged(self.path, "is damaged (its first line is another)")
            file.truncate(content.rfind(b"\n") + 1)
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                return {(int(row["step"]), row["name"]) for row in csv.DictReader(file)}
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise damaged(self.path, "is damaged") from error
