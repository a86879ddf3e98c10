"""Times that only go forward, for streams whose clock starts again midway, as joined recordings of broadcasts have."""

from __future__ import annotations


class Clock:
    """Times made to grow from one to the next.

    A time that lies more than `restart` before the last one is where a clock starts again: it and all after it move on
    by what puts it behind the last. Any other that does not grow comes one tick later.

    Args:
        restart: in ticks.
    """

    def __init__(self, restart: int) -> None:
        self.restart = restart
        self._last: int | None = None
        self._moved = 0

    def forward(self, time: int, usual: int) -> int:
        """`time` as it is told; `usual` is how long one step lasts, in ticks."""
        told = time + self._moved
        if self._last is not None and told < self._last - self.restart:
            self._moved += self._last + usual - told
            told = self._last + usual
        elif self._last is not None and told <= self._last:
            told = self._last + 1
        self._last = told
        return told
