"""How far a video is, and how long it will take: a bar on a terminal, elsewhere a line now and then, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

#: Seconds between two lines where there is no terminal.
_EVERY = 10.0
#: How long the bar is.
_WHOLE = 100


class VideoProgress:
    """What is said while a video is restored.

    Args:
        name: of the video.
        done: the share that was there already, 0 to 1.
        bar: rich's, None off a terminal.
    """

    def __init__(self, name: str, done: float = 0.0, bar: Progress | None = None) -> None:
        self.name, self._bar, self._done = name, bar, done
        self._began = self._said = time.monotonic()
        self._task = None if bar is None else bar.add_task(f"restoring {name}", total=_WHOLE, frames=0)

    def show(self, frames: int, share: float | None) -> None:
        """Say that `frames` are restored, and that they are this share of the video, None where that is not known."""
        now = time.monotonic()
        if self._bar is not None and self._task is not None:
            total = None if share is None else _WHOLE
            self._bar.update(self._task, completed=_WHOLE * (share or 0.0), total=total, frames=frames)
        elif now - self._said >= _EVERY:
            self._said = now
            print(f"{self.name} {progress_line(frames, share, self._left(now, share))}", file=sys.stderr, flush=True)

    def _left(self, now: float, share: float | None) -> float | None:
        if share is None or share <= self._done:
            return None
        return (now - self._began) * (1 - share) / (share - self._done)


def progress_line(frames: int, share: float | None, seconds_left: float | None) -> str:
    """Such as ``240 frames, 35 %, 1:20 left``."""
    words = [f"{frames} frames"]
    if share is not None:
        words.append(f"{min(share, 1.0):.0%}".replace("%", " %"))
    if seconds_left is not None:
        minutes, seconds = divmod(round(seconds_left), 60)
        hours, minutes = divmod(minutes, 60)
        clock = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
        words.append(f"{clock} left")
    return ", ".join(words)


@contextmanager
def shown_progress(name: str, done: float) -> Iterator[VideoProgress]:
    """The progress of the video `name`, of which the share `done` was there already."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from limpid import consoles

    console = consoles.progress()
    if not console.is_terminal:
        yield VideoProgress(name, done)
        return
    frames = TextColumn("{task.fields[frames]} frames")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), frames, TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        yield VideoProgress(name, done, bar)
