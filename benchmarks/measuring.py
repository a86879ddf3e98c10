"""What the scripts share: ratios, turns, and the growth of a process's memory."""

from __future__ import annotations

import ctypes
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

PROC = Path("/proc/self")


class Ratio(NamedTuple):
    """One line of the table.

    Attributes:
        name: what was measured, beside what.
        value: how many times as fast (or as small) Limpid is; above one is better.
        wanted: the least that is asked of it, or None.
        facts: the figures behind it, in words.
    """

    name: str
    value: float
    wanted: float | None = None
    facts: str = ""

    def __str__(self) -> str:
        wanted = "" if self.wanted is None else f"{self.wanted:g}"
        return f"{self.name:<64}{self.value:>9.2f}{wanted:>8}  {self.facts}"


def table(ratios: Iterable[Ratio]) -> str:
    """All ratios below a heading."""
    return "\n".join([f"{'':<64}{'ratio':>9}{'wanted':>8}", *map(str, ratios)])


def clock() -> Callable[[], float]:
    """With one thread the process's own time, which other programs hardly change; otherwise time on the clock."""
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def interleaved(
    steps: dict[str, Callable[[], Any]], repeats: int, now: Callable[[], float] | None = None
) -> dict[str, float]:
    """The median seconds of each by `now` (see `clock`), taken in turn, after one of each that warms up."""
    now = now or clock()
    took: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            start = now()
            step()
            if turn:
                took[name].append(now() - start)
    return {name: statistics.median(values) for name, values in took.items()}


def growth_mb(step: Callable[[], Any]) -> float:
    """How far the process's memory rises above what it holds while `step` runs, in MiB (Linux).

    What was freed but kept for later is handed back first; otherwise it would be used again and not be seen.
    """
    ctypes.CDLL(None).malloc_trim(0)
    (PROC / "clear_refs").write_text("5", encoding="ascii")  # the peak is forgotten
    before = _kilobytes("VmRSS")
    step()
    return (_kilobytes("VmHWM") - before) / 1024


def peak_mb() -> float:
    """The most this process ever held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _kilobytes(field: str) -> int:
    status = (PROC / "status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1])
