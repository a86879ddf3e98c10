"""Protocols of loggers that keep more than curves: images, the configuration, and the outcome of a run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar, runtime_checkable

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


class MayFail(Protocol):
    """A logger whose server or files may fail while the run goes on.

    Attributes:
        lost: whether they did; nothing is logged from then on.
    """

    lost: bool

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What its package raises then."""


_Logger = TypeVar("_Logger", bound=MayFail)
_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def going_on(
    method: Callable[Concatenate[_Logger, _Given], _Result],
) -> Callable[Concatenate[_Logger, _Given], _Result | None]:
    """The method of a logger, after whose failure the run goes on without the logger, which is said once."""

    @wraps(method)
    def call(self: _Logger, /, *given: _Given.args, **named: _Given.kwargs) -> _Result | None:
        if self.lost:
            return None
        try:
            return method(self, *given, **named)
        except self.failures as error:
            self.lost = True
            why = " ".join(str(error).split()) or type(error).__name__
            print(
                f"The logger {type(self).__name__} failed ({why[:300]}); the run goes on without it. Its values are in "
                "curves.csv and metrics.json all the same.",
                file=sys.stderr,
            )
            return None

    return call
