"""The tables of a paper as its page shows them: rows with their lines, distributions and paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from limpid.results import paired
from limpid.results.frame import PAPER, frame_of
from limpid.results.lines import Line, metrics_of, protocols
from limpid.results.measured import MeasuredRow
from limpid.results.papers import papers
from limpid.results.report import labels
from limpid.results.run_record import INPUT, MEASURED, RunRecord
from limpid.results.table import TableRow, all_lines

if TYPE_CHECKING:
    import pandas as pd

#: A set of which no method has more images than this has no plot.
_FEW_IMAGES = 2


@dataclass(frozen=True)
class RowView:
    """A row and its lines; `note` is the number of the reason why it cannot run here, below the table."""

    name: str
    id: str
    label: str
    kind: str
    alias_of: str | None
    lines: Sequence[Line]
    note: int | None = None


@dataclass(frozen=True)
class Column:
    """A metric: what it is called, whether ``higher`` or ``lower`` is better, and its protocols."""

    metric: str
    label: str
    unit: str
    better: str
    protocols: Sequence[str]


@dataclass(frozen=True)
class Distribution:
    """The values of one metric over the images of a set, by method; `settings` are what all methods share."""

    set: str
    metric: str
    settings: str
    groups: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Paired:
    """Differences of methods to `reference`, image by image: by set, metric, and method."""

    reference: str
    settings: str
    sets: Mapping[str, Mapping[str, Mapping[str, paired.Difference]]]


@dataclass(frozen=True)
class TableView:
    """One table of a paper."""

    paper: str
    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[RowView]
    reasons: Sequence[str]
    conflicts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    distributions: Sequence[Distribution] = field(default_factory=list)
    differences: Sequence[Paired] = field(default_factory=list)


def tables(rows: Iterable[TableRow], higher: Mapping[str, bool]) -> list[TableView]:
    """The tables of rows, in their order.

    Args:
        rows: as `limpid.results.table.table_rows` gives them.
        higher: whether a higher value of a metric is better.
    """
    grouped: dict[tuple[str, str], list[TableRow]] = {}
    for one in rows:
        grouped.setdefault((one.row.paper, one.row.table), []).append(one)
    return [_table(paper, name, members, higher) for (paper, name), members in grouped.items()]


def caption(paper: str, name: str) -> str:
    """What a table of a paper is about, as paper.yaml says; empty where it does not."""
    printed = papers(paper).get(paper)
    if printed is None or name not in printed.tables:
        return ""
    return printed.tables[name].caption


def _table(paper: str, name: str, rows: list[TableRow], higher: Mapping[str, bool]) -> TableView:
    reasons = list(dict.fromkeys(one.why_not for one in rows if one.why_not))
    finished = _finished(rows)
    scores = paired.of_images(frame_of(finished, per_image=True))
    named = {one.row.name: one.row.label for one in rows}
    return TableView(
        paper,
        name,
        caption(paper, name),
        _columns(rows, higher),
        [_row(one, reasons) for one in rows],
        reasons,
        {one.row.label: one.conflicts for one in rows if one.conflicts},
        _distributions(scores, named),
        _differences(scores),
    )


def _columns(rows: Sequence[TableRow], higher: Mapping[str, bool]) -> list[Column]:
    """The metrics that the paper prints, then those that were measured besides."""
    lines = all_lines(rows)
    metrics = dict.fromkeys([*metrics_of(lines, PAPER), *metrics_of(lines, MEASURED)])
    ids = protocols(lines)
    return [
        Column(metric, labels.label(metric), labels.unit(metric), labels.arrow(metric, higher), ids.get(metric, []))
        for metric in metrics
    ]


def _row(one: TableRow, reasons: Sequence[str]) -> RowView:
    row = one.row
    lines: list[Line] = []
    inputs: set[tuple[object, ...]] = set()
    for line in one.lines:
        # What reads the same of the input is not shown again for every group of runs.
        shown = (line.set, line.images, *((metric, labels.figure(line, metric)) for metric in line.figures))
        if line.source != INPUT or shown not in inputs:
            lines.append(line)
        if line.source == INPUT:
            inputs.add(shown)
    note = reasons.index(one.why_not) + 1 if one.why_not else None
    return RowView(row.name, row.id, row.label, row.kind, row.alias_of, lines, note)


def _finished(rows: Iterable[TableRow]) -> list[MeasuredRow]:
    """The rows with those of their runs that are finished and in the store."""
    return [MeasuredRow(one.row, tuple(filter(_is_finished, one.runs))) for one in rows]


def _is_finished(run: RunRecord) -> bool:
    return run.status == "done" and not run.kept


def _distributions(scores: pd.DataFrame, named: Mapping[str, str]) -> list[Distribution]:
    """The images' values where a method has at least three of them, the seeds of a method averaged.

    Args:
        scores: of the images of all methods.
        named: the labels of the rows by their names.
    """
    by_metric: dict[tuple[str, str], dict[tuple[str, ...], list[float]]] = {}
    for (row, _), members in scores.groupby(["row", "group"], sort=False):
        method = (named[str(row)], *_settings(members))
        means = paired.mean_over_runs(members)
        for (set_name, metric), values in means.groupby(level=["set", "metric"], sort=False):
            by_metric.setdefault((set_name, metric), {})[method] = list(values)
    return [
        _distribution(set_name, metric, methods)
        for (set_name, metric), methods in by_metric.items()
        if max(map(len, methods.values())) > _FEW_IMAGES
    ]


def _settings(members: pd.DataFrame) -> list[str]:
    """What was set of a method's runs, part by part, and how many seeds there are if there are several."""
    first = members.iloc[0]
    parts = [f"budget={first['budget']}"]
    if first["settings"]:
        parts += first["settings"].split(", ")
    seeds = members["run"].nunique()
    return [*parts, f"{seeds} seeds"] if seeds > 1 else parts


def _distribution(set_name: str, metric: str, methods: Mapping[tuple[str, ...], Sequence[float]]) -> Distribution:
    """The values of methods under names that leave out what all of them share."""
    common = list(next(iter(methods)))
    for _, *parts in methods:
        common = [part for part in common if part in parts]
    groups = {}
    for (label, *parts), values in methods.items():
        own = ", ".join(part for part in parts if part not in common)
        groups[f"{label}: {own}" if own else label] = values
    return Distribution(set_name, metric, ", ".join(common), groups)


def _differences(scores: pd.DataFrame) -> list[Paired]:
    """Methods of one budget on one choice of data, against the paper's own or the first."""
    pairs = []
    for (budget, data), members in scores.groupby(["budget", "data"], sort=False):
        compared = paired.compare_to_reference(members)
        sets: dict[str, dict[str, dict[str, paired.Difference]]] = {}
        for one in compared.differences if compared else ():
            if one.difference.n > 1:  # one image says nothing about the next
                sets.setdefault(one.set, {}).setdefault(one.metric, {})[one.method] = one.difference
        if compared and sets:
            pairs.append(Paired(compared.reference, f"budget={budget}, data={data}", sets))
    return pairs
