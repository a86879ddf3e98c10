"""Lightning's Trainer with one setting more: how long the processes of a run wait for each other."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import lightning
from lightning.pytorch.strategies import Strategy, StrategyRegistry

from limpid.errors import UserError


class Trainer(lightning.Trainer):
    """Lightning's Trainer, whose processes wait for each other no longer than a time limit.

    Args:
        timeout_minutes: how long a process waits for the others; null is PyTorch's own limit (30 minutes on the CPU,
            10 on GPUs).
        strategy: as Lightning takes it.
        max_steps: how many optimizer steps; null for no limit.
        max_epochs: how many epochs; null leaves it to Lightning.
        settings: all other arguments of Lightning's Trainer.

    Raises:
        UserError: the limit is no time.
    """

    def __init__(
        self,
        *,
        timeout_minutes: float | None = None,
        strategy: str | Strategy = "auto",
        max_steps: int | None = None,
        max_epochs: int | None = None,
        **settings: Any,
    ) -> None:
        if timeout_minutes is not None:
            strategy = _with_limit(strategy, time_limit(timeout_minutes))
        most = -1 if max_steps is None else max_steps
        super().__init__(strategy=strategy, max_steps=most, max_epochs=max_epochs, **settings)


def time_limit(minutes: object) -> timedelta:
    """The time that `minutes` says.

    Raises:
        UserError: it is not above 0, or longer than a year.
    """
    most = 366 * 24 * 60
    if not isinstance(minutes, int | float) or isinstance(minutes, bool) or not 0 < minutes <= most:
        raise UserError(
            f"trainer.timeout_minutes is {minutes}, but processes wait for each other for more than 0 and at most "
            f"{most} minutes; give such a number, or null for PyTorch's own limit."
        )
    return timedelta(minutes=minutes)


def _with_limit(strategy: str | Strategy, limit: timedelta) -> str | Strategy:
    """The strategy of that name whose processes wait so long; another, or one for a single process, as it is."""
    if not isinstance(strategy, str) or strategy not in StrategyRegistry:
        return strategy
    entry = StrategyRegistry[strategy]
    if "timeout" not in inspect.signature(entry["strategy"]).parameters:
        return strategy
    return entry["strategy"](**entry["init_params"], timeout=limit)
