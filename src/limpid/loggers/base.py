"""Protocols of loggers that keep more than curves: images, the configuration, and the outcome of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from limpid.loggers.outcome import Outcome
from limpid.results.comparison_panel import Panel


@runtime_checkable
class ImageLogger(Protocol):
    """A logger that shows images."""

    def log_images(self, images: Mapping[str, Panel], step: int) -> None:
        """Show `images`, by keys such as ``val/<set>/<image>``, at a step of the run."""


@runtime_checkable
class RunLogger(Protocol):
    """A logger that keeps a run's configuration and outcome."""

    def log_config(self, config: Mapping[str, object]) -> None:
        """Keep the composed configuration; called when the run begins or goes on."""

    def log_outcome(self, outcome: Outcome, step: int) -> None:
        """Keep what came out.

        Args:
            outcome: values and tables.
            step: the run's last.
        """

    def close(self, status: str) -> str | None:
        """A line for the user, or None, once the log is ended.

        Args:
            status: ``finished``, ``failed`` or ``killed``.

        Returns:
            A line for the user, or None.
        """
