"""The consoles on which commands print: tables on stdout, progress on stderr."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from limpid.errors import printable

#: Columns of a table that goes to a file or another program: wide enough that nothing is cut.
PIPED = 200


class _Printable(Console):
    """A console that writes text which a terminal would obey, such as names of files may hold, by its numbers."""

    def on_broken_pipe(self) -> None:
        """Leave it to the command line, which ends quietly; rich itself would end with status 1."""
        raise BrokenPipeError

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of what is printed, in letters alone."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def answers() -> Console:
    """The console of rich on stdout, as wide as the terminal, or `PIPED` where there is none."""
    console = _Printable()
    return console if console.is_terminal else _Printable(width=PIPED)


def progress() -> Console:
    """The console of rich on stderr, for bars and lines on how far the work is."""
    return _Printable(stderr=True)
