"""`limpid report`: every table, run, curve and picture as a folder of pages to open in a browser."""

from __future__ import annotations

from pathlib import Path

from limpid.commands.command_parser import CommandParser
from limpid.commands.table import why_not
from limpid.commands.warnings_last import warnings_last
from limpid.errors import UserError
from limpid.paths import runs
from limpid.results import report, table
from limpid.results.rows import Row, rows


@warnings_last()
def run(arguments: list[str]) -> int:
    """The exit status, after the report is written and its place is printed."""
    parser = CommandParser(
        prog="limpid report",
        description="Tables, curves, pictures, sets and environments as a folder of pages. It needs no network.",
    )
    parser.add_argument(
        "what", nargs="*", metavar="PAPER", help="papers or paper/table; all, and free runs, if left out"
    )
    parser.add_argument("--output", type=Path, default=Path("report"), help="the folder to write (default: report)")
    parser.add_argument("--runs", type=Path, help="the run store (default: LIMPID_RUNS, else runs)")
    chosen = parser.parse_args(arguments)
    if chosen.runs is not None and not chosen.runs.is_dir():
        raise UserError(
            f"There is no run store {chosen.runs}; give the folder that LIMPID_RUNS names, or leave it out."
        )
    report.check(chosen.output)  # before anything is read
    store = chosen.runs or runs()
    chosen_rows: dict[str, Row] = {}
    for what in chosen.what or [""]:
        chosen_rows |= {row.id: row for row in rows(what)}
    shown = table.table_rows(chosen_rows.values(), store, why_not)
    gathered = report.gather(shown, store, _higher_is_better(), others=not chosen.what)
    print(report.write(gathered, chosen.output))
    return 0


def _higher_is_better() -> dict[str, bool]:
    from limpid.metrics.protocols import METRICS

    return {name: kind.higher_is_better for name, kind in METRICS.items()}
