"""The console on which commands print their tables."""

from __future__ import annotations

from rich.console import Console

#: Columns of a table that goes to a file or another program: wide enough that nothing is cut.
PIPED = 200


def answers() -> Console:
    """The console of rich on stdout, as wide as the terminal, or `PIPED` where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPED)
