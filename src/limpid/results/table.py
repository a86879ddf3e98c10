"""Paper beside measured: rows with their lines, which the command, the report and Markdown show alike."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpid.results.conflicts import conflicting_printed_values
from limpid.results.frame import PAPER, frame_of
from limpid.results.measured import MeasuredRow, measured_rows
from limpid.results.rows import Row
from limpid.results.rows import rows as every_row
from limpid.results.run_record import INPUT, MEASURED, RunRecord, plain

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Figure:
    """One value of a line.

    Attributes:
        mean: over the runs of the line; the printed value in the paper's own line.
        deviation: over the runs, which differ in their seed; None for a single run and in the paper's own line.
        printed: the paper's value on the same set, or None.
        protocols: under which it was measured.
    """

    mean: float
    deviation: float | None = None
    printed: float | None = None
    protocols: tuple[str, ...] = ()

    @property
    def difference(self) -> float | None:
        """Measured minus printed, or None where the paper prints nothing."""
        return None if self.printed is None else self.mean - self.printed


@dataclass(frozen=True)
class Line:
    """One line of a row: what the paper prints on one set, or what runs of one training measured on it.

    Attributes:
        source: ``paper``, ``measured``, or ``input`` for the degraded input itself.
        set: the data set's name; empty where the runs measured nothing.
        figures: by metric.
        budget: of the runs.
        settings: what else was set of them, in words.
        seeds: of the runs.
        images: how many were measured, or None.
        status: ``done``, or why there are no figures.
        comparable: with the paper.
        runs: the directories of the runs.
    """

    source: str
    set: str
    figures: Mapping[str, Figure]
    budget: str = ""
    settings: str = ""
    seeds: tuple[int, ...] = ()
    images: int | None = None
    status: str = "done"
    comparable: bool = False
    runs: tuple[str, ...] = ()


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
    """Rows with what the paper prints of them and all their runs: those of the store, and those that were kept.

    Args:
        chosen: the rows.
        store: the run store.
        why_not: says why a row cannot run here, or None if it can.
    """
    known = every_row()
    measured = measured_rows(chosen, store)
    by_row = dict(iter(frame_of(measured).groupby(["paper", "table", "row"], sort=False)))
    found = []
    for one in measured:
        row = one.row
        frame = by_row.get((row.paper, row.table, row.name))
        conflicts = tuple(conflicting_printed_values(row, known))
        found.append(TableRow(row, one.runs, tuple(lines_of(frame)), why_not(row), conflicts))
    return found


def lines_of(frame: pd.DataFrame | None) -> Iterator[Line]:
    """The lines of one row: the paper's, one per set, then one per group of runs and set.

    Above the line of each group stands that of the degraded input where it was measured.

    Args:
        frame: the means of one row, as `limpid.results.frame.frame_of` gives them; None for no values at all.
    """
    if frame is None:
        return
    printed: dict[str, dict[str, float]] = {}
    for line in frame[frame["source"] == PAPER].itertuples():
        printed.setdefault(line.set, {})[line.metric] = line.value
    for name, values in printed.items():
        yield Line(PAPER, name, {metric: Figure(value) for metric, value in values.items()})
    if len(frame) > sum(map(len, printed.values())):
        groups = [runs for _, runs in frame[frame["source"] != PAPER].groupby("group", sort=False)]
        visible = [tuple(runs[["budget", "settings", "status", "mode"]].iloc[0]) for runs in groups]
        for runs, seen in zip(groups, visible, strict=True):
            yield from _group_lines(runs, printed, name_training=visible.count(seen) > 1)


def _group_lines(
    frame: pd.DataFrame, printed: Mapping[str, Mapping[str, float]], name_training: bool
) -> Iterator[Line]:
    """The lines of runs of one training.

    Args:
        frame: the means of the runs.
        printed: the paper's values, `{set: {metric: value}}`.
        name_training: whether the fingerprint tells the training from another of the same settings.
    """
    runs = frame[~frame["run"].duplicated()]
    first = runs.iloc[0]
    settings = [first["settings"]] if first["settings"] else []
    if name_training:
        settings.append(f"training {first['training']}")
    facts: dict[str, Any] = {
        "budget": first["budget"],
        "settings": ", ".join(settings),
        "seeds": tuple(runs["seed"]),
        "status": first["status"],
        "comparable": bool(runs["comparable"].all()),
        "runs": tuple(runs["run"]),
    }
    lines = list(frame[frame["metric"].notna()].itertuples())
    measured = [line for line in lines if line.source == MEASURED]
    if not measured:
        yield Line(MEASURED, "", {}, **facts)
    for name in dict.fromkeys(line.set for line in measured):
        members = [line for line in measured if line.set == name]
        degraded = [line for line in lines if line.source == INPUT and line.set == name and line.run == first["run"]]
        images = max(line.n for line in members)
        if degraded:
            yield Line(INPUT, name, _figures(degraded, {}), images=images)
        yield Line(MEASURED, name, _figures(members, printed.get(name, {})), images=images, **facts)


def _figures(lines: Iterable[Any], printed: Mapping[str, float]) -> dict[str, Figure]:
    """The figures of one set by metric, each over the runs that have it.

    Args:
        lines: of the frame, all of one set and source.
        printed: the paper's values on the set.
    """
    values: dict[str, list[float]] = {}
    ids: dict[str, list[str]] = {}
    for line in lines:
        values.setdefault(line.metric, []).append(line.value)
        ids.setdefault(line.metric, []).append(line.protocol)
    found = {}
    for metric, members in values.items():
        mean, deviation = mean_and_deviation(members)
        found[metric] = Figure(mean, deviation, printed.get(metric), tuple(dict.fromkeys(ids[metric])))
    return found


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean of values and their sample deviation, which a single value does not have (None).

    A value that is not finite makes the deviation NaN.
    """
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None
    if not all(map(math.isfinite, values)):
        return mean, math.nan
    return mean, statistics.stdev(values)


def single_run(row: Row | None, run: RunRecord) -> list[Line]:
    """The lines of one run: what the paper prints of its row, and what it measured."""
    if row is None:
        return list(lines_of(frame_of([], [run])))
    return list(lines_of(frame_of([MeasuredRow(row, (run,))])))


def describe(line: Line) -> str:
    """What a line is, in words: ``budget mini, seeds 0, 1, not comparable``."""
    if line.source == PAPER:
        return "paper"
    if line.source == INPUT:
        return "the input as it is"
    parts = [f"budget {line.budget}"]
    if line.settings:
        parts.append(line.settings)
    seeds = ", ".join(map(str, line.seeds))
    parts.append(f"seeds {seeds}" if len(line.seeds) > 1 else f"seed {seeds}")
    if line.status != "done":
        parts.append(line.status)
    if not line.comparable:
        parts.append("not comparable")
    return ", ".join(parts)


def figure_text(line: Line, metric: str) -> str:
    """A figure as tables print it; empty where the line has none.

    A printed value keeps its digits. A measured one has four significant digits, and a deviation over seeds behind it.
    """
    figure = line.figures.get(metric)
    if figure is None:
        return ""
    if line.source == PAPER:
        return f"{figure.mean:g}"
    text = f"{figure.mean:.4g}"
    return text if figure.deviation is None else f"{text} ± {figure.deviation:.2g}"


def printed_metrics(table: Iterable[TableRow]) -> list[str]:
    """The metrics that the paper prints in these rows, in order of appearance."""
    return list(dict.fromkeys(metric for one in table for metric in metrics_of(one.lines, PAPER)))


def metrics_of(lines: Iterable[Line], source: str) -> list[str]:
    """The metrics that the lines of one source have, in order of appearance."""
    found: dict[str, None] = {}
    for line in lines:
        if line.source == source:
            found.update(dict.fromkeys(line.figures))
    return list(found)


def protocols(lines: Iterable[Line]) -> dict[str, list[str]]:
    """The protocols under which each metric was measured, by metric."""
    found: dict[str, dict[str, None]] = {}
    for line in lines:
        if line.source == MEASURED:
            for metric, figure in line.figures.items():
                found.setdefault(metric, {}).update(dict.fromkeys(figure.protocols))
    return {metric: list(ids) for metric, ids in found.items()}


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
    notes = [f"{metric}: {', '.join(ids)}" for metric, ids in _all_protocols(table).items()]
    return "\n".join([*out, *(["", "Protocols: " + "; ".join(notes)] if notes else [])])


def as_json(one: TableRow) -> dict[str, Any]:
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


def _all_protocols(table: Iterable[TableRow]) -> dict[str, list[str]]:
    return protocols(line for one in table for line in one.lines)
