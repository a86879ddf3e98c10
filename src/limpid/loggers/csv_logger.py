"""curves.csv: every logged value of a run at its step, appended and never rewritten."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from lightning_utilities.core.rank_zero import rank_zero_only


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
        """Append the values that are not there yet."""
        if step is None:  # Lightning's own bookkeeping, not a point of the run's clock
            return
        if self._seen is None:
            self._seen = self._read()
        rows = [(step, name, repr(value)) for name, value in metrics.items() if (step, name) not in self._seen]
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        self._seen.update((step, name) for step, name, _ in rows)

    def _read(self) -> set[tuple[int, str]]:
        """The points in the file, once its header is there and a line that a crash cut short is gone."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists() or not self.path.stat().st_size:
            self.path.write_text("step,name,value\n", encoding="utf-8")
        with self.path.open("r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
        with self.path.open(newline="", encoding="utf-8") as file:
            return {(int(row["step"]), row["name"]) for row in csv.DictReader(file)}
