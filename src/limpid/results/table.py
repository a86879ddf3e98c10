"""Paper beside measured: rows with their lines, which the command, the report and Markdown show alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from limpid.results.conflicts import conflicting_printed_values
from limpid.results.frame import PAPER, frame_of
from limpid.results.lines import Line, describe, figure_text, lines_of, metrics_of, protocols
from limpid.results.measured import MeasuredRow, measured_rows
from limpid.results.rows import Row
from limpid.results.rows import rows as every_row
from limpid.results.run_record import RunRecord, plain


@dataclass(frozen=True)
class TableRow:
    """A row in a table.

    Attributes:
        row: what the paper prints.
        runs: all its runs.
        lines: the paper's, one per set, then those of each group of runs; none where nothing is known.
        why_not: why the row cannot run here, or None.
        conflicts: where the paper prints another value of the same run, a phrase each.
    """

    row: Row
    runs: tuple[RunRecord, ...]
    lines: tuple[Line, ...]
    why_not: str | None = None
    conflicts: tuple[str, ...] = ()


def table_rows(chosen: Iterable[Row], store: Path, why_not: Callable[[Row], str | None]) -> list[TableRow]:
    """The rows with what the paper prints of them and all their runs: those of the store, and those that were kept.

    Args:
        chosen: the rows.
        store: the run store.
        why_not: says why a row cannot run here, or None if it can.
    """
    known = every_row()
    measured = measured_rows(chosen, store)
    by_row = dict(iter(frame_of(measured).groupby(["paper", "table", "row"], sort=False)))
    shown = []
    for one in measured:
        row = one.row
        frame = by_row.get((row.paper, row.table, row.name))
        conflicts = tuple(conflicting_printed_values(row, known))
        shown.append(TableRow(row, one.runs, tuple(lines_of(frame)), why_not(row), conflicts))
    return shown


def single_run(row: Row | None, run: RunRecord) -> list[Line]:
    """The lines of one run: what the paper prints of its row, and what it measured."""
    if row is None:
        return list(lines_of(frame_of([], [run])))
    return list(lines_of(frame_of([MeasuredRow(row, (run,))])))


def printed_metrics(table: Iterable[TableRow]) -> list[str]:
    """The metrics that the paper prints in these rows, in order of appearance."""
    return metrics_of(all_lines(table), PAPER)


def all_lines(table: Iterable[TableRow]) -> list[Line]:
    """The lines of all rows, in order."""
    return list(chain.from_iterable(one.lines for one in table))


def built(table: Sequence[TableRow]) -> str:
    """How many of the rows that papers print can run given their data, and why the others cannot, a sentence each."""
    printed = [one.row for one in table if one.row.printed]
    absent = [row for row in printed if row.not_built]
    count = f"{len(printed) - len(absent)} of {len(printed)} printed rows can run given their data"
    reasons = [f"{row.id} ({row.label}) cannot: {row.not_built}" for row in absent]
    return " ".join([f"{count}.", *reasons])


def markdown(table: Sequence[TableRow]) -> str:
    """The rows as a table in Markdown."""
    metrics = printed_metrics(table)
    empty = " |" * (1 + len(metrics))
    out = [f"| row | | set | {' | '.join(metrics)} |", "|---" * (3 + len(metrics)) + "|"]
    for one in table:
        for number, line in enumerate(one.lines):
            label = one.row.label if number == 0 else ""
            figures = [figure_text(line, metric) for metric in metrics]
            out.append("| " + " | ".join([label, describe(line), line.set, *figures]) + " |")
        if not one.lines:
            out.append("| " + " | ".join([one.row.label, "no run yet", "", *[""] * len(metrics)]) + " |")
        if one.why_not:
            out.append(f"| | cannot run: {one.why_not} |{empty}")
        if one.conflicts:
            out.append(f"| | as printed, {'; '.join(one.conflicts)} |{empty}")
    notes = [f"{metric}: {', '.join(ids)}" for metric, ids in protocols(all_lines(table)).items()]
    return "\n".join([*out, *(["", "Protocols: " + "; ".join(notes)] if notes else [])])


def as_json(one: TableRow) -> dict[str, object]:
    """A row as plain values, its runs as metrics.json nests their values."""
    row = one.row
    return {
        "paper": row.paper,
        "table": row.table,
        "row": row.name,
        "label": row.label,
        "kind": row.kind,
        "mode": row.mode,
        "model": row.model,
        "alias_of": row.alias_of,
        "runnable": one.why_not is None,
        "why_not": one.why_not,
        "printed": row.printed,
        "conflicts": list(one.conflicts),
        "runs": [plain(run) for run in one.runs],
    }
