"""How far the work is and how long it will take, on stderr: a bar on a terminal, elsewhere a line a photograph."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import TypeVar

from limpid.predicting.layout import Task
from limpid.predicting.names import shown

Step = TypeVar("Step")
#: From how many of the last photographs the time left is told.
_RECENT = 20


def with_progress(steps: Iterator[tuple[Task, Step]], count: int) -> Iterator[tuple[Task, Step]]:
    """The steps, telling after each how far the work is.

    Args:
        steps: a photograph each.
        count: how many there are.
    """
    from limpid import consoles

    console = consoles.progress()
    return _with_bar(steps, count, console) if console.is_terminal else _with_lines(steps, count)


def _with_bar(steps: Iterator[tuple[Task, Step]], count: int, console: object) -> Iterator[tuple[Task, Step]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("restoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, redirect_stdout=sys.stdout.isatty()) as progress:  # type: ignore[arg-type]
        bar = progress.add_task("", total=count)
        for task, step in steps:
            progress.update(bar, description=shown(task.relative).replace("[", r"\["))
            yield task, step
            progress.advance(bar)


def _with_lines(steps: Iterator[tuple[Task, Step]], count: int) -> Iterator[tuple[Task, Step]]:
    last, recent = time.perf_counter(), deque[float](maxlen=_RECENT)
    for number, (task, step) in enumerate(steps, 1):
        yield task, step
        now = time.perf_counter()
        recent.append(now - last)
        last = now
        left = sum(recent) / len(recent) * (count - number)
        words = f", about {duration(left)} left" if number < count else ""
        print(f"{number}/{count} {shown(task.relative)} {recent[-1]:.1f} s{words}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """A time in words, such as ``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
