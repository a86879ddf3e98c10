"""TensorBoard: event files in the run's own folder."""

from __future__ import annotations

from collections.abc import Mapping

import yaml
from lightning.pytorch.loggers import TensorBoardLogger
from lightning_utilities.core.rank_zero import rank_zero_only

from limpid.loggers.base import going_on
from limpid.loggers.outcome import Outcome
from limpid.ranges import PositiveInt
from limpid.results.comparison_panel import Panel


class TensorBoard(TensorBoardLogger):
    """Lightning's logger with pictures, the configuration and the table of results.

    Every start of a run adds an event file to the same folder, ``<save_dir>/tensorboard``; TensorBoard shows them as
    one run.

    Args:
        save_dir: of the event files; None is the current directory, and the runner gives the run's.
        flush_secs: seconds between two writes to the disk.
    """

    def __init__(self, save_dir: str | None = None, flush_secs: PositiveInt = 10) -> None:
        super().__init__(
            save_dir or ".", name="", version="tensorboard", default_hp_metric=False, flush_secs=flush_secs
        )
        self.lost = False

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What writing event files raises."""
        return (OSError,)

    @rank_zero_only
    @going_on
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values at a step of the run."""
        if step is not None:  # None is Lightning's own bookkeeping
            super().log_metrics(metrics, step)

    @rank_zero_only
    @going_on
    def log_images(self, images: Mapping[str, Panel], step: int) -> None:
        """See `ImageLogger`."""
        for key, made in images.items():
            self.experiment.add_image(key, made.pixels, step, dataformats="HWC")

    @rank_zero_only
    @going_on
    def log_config(self, config: Mapping[str, object]) -> None:
        """See `RunLogger`."""
        text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
        self.experiment.add_text("config", "".join(f"    {line}\n" for line in text.splitlines()), 0)

    @rank_zero_only
    @going_on
    def log_outcome(self, outcome: Outcome, step: int) -> None:
        """See `RunLogger`; TensorBoard has no tables, so that images' own results stay in per_image.csv."""
        self.log_metrics(outcome.values, step)
        self.experiment.add_text("results", outcome.tables["results"].markdown, step)

    def save(self) -> None:
        """Nothing: config.yaml holds what Lightning would write here."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Nothing at the end of a stage: `close` ends the file."""

    @going_on
    def close(self, status: str) -> str | None:
        """See `RunLogger`."""
        super().finalize(status)
        return None
