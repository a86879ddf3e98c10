"""The tables of a paper: each row's printed values, what was measured beside them, and the difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from limpid.results import paired, table
from limpid.results.report import labels
from limpid.results.report.readme import caption
from limpid.results.rows import row_file
from limpid.results.table import Entry
from limpid.store.run_directory import Run


@dataclass(frozen=True)
class Value:
    """One figure of a line.

    Attributes:
        text: as it is printed, a deviation over seeds behind it.
        difference: to the paper's value on the same set, with its sign; empty where it prints none.
        protocols: under which the figure was measured.
    """

    text: str
    difference: str = ""
    protocols: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """One line of a row: the paper's, the degraded input's, or that of runs that differ in nothing but their seed.

    Attributes:
        kind: ``paper``, ``input`` or ``measured``.
        set: the data set's name.
        values: by metric.
        comparable: with the paper; None for the paper's own line.
        settings: budget and what was set besides.
        budget: its name.
        seeds: of the runs.
        images: how many were measured.
        status: ``done``, or why there are no figures.
        runs: the paths of the runs.
    """

    kind: str
    set: str
    values: Mapping[str, Value]
    comparable: bool | None = None
    settings: str = ""
    budget: str = ""
    seeds: Sequence[int] = ()
    images: int | None = None
    status: str = "done"
    runs: Sequence[str] = ()


@dataclass(frozen=True)
class RowView:
    """A row and its lines; `note` is the number of the reason why it cannot run here, below the table."""

    name: str
    place: str
    label: str
    kind: str
    same_as: str | None
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
    printed_otherwise: Mapping[str, Sequence[str]] = field(default_factory=dict)
    distributions: Sequence[Distribution] = field(default_factory=list)
    differences: Sequence[Paired] = field(default_factory=list)

    @property
    def place(self) -> str:
        """`paper/table`."""
        return f"{self.paper}/{self.name}"


def tables(entries: Iterable[Entry], stored: Mapping[str, Run], higher: Mapping[str, bool]) -> list[TableView]:
    """The tables of `entries`, in their order.

    Args:
        entries: rows with their runs, as `limpid.results.table.entries` gives them.
        stored: the runs of the store by their path; others were kept of runs that are elsewhere.
        higher: whether a higher value of a metric is better.
    """
    grouped: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        grouped.setdefault((entry["paper"], entry["table"]), []).append(entry)
    return [_table(paper, name, members, stored, higher) for (paper, name), members in grouped.items()]


def groups(runs: Iterable[Entry]) -> list[list[Entry]]:
    """Runs that differ in nothing but their seed, together."""
    found: dict[tuple[str, ...], list[Entry]] = {}
    for run in runs:
        found.setdefault((run["status"], *table.settings_of(run)), []).append(run)
    return list(found.values())


def _table(
    paper: str, name: str, entries: list[Entry], stored: Mapping[str, Run], higher: Mapping[str, bool]
) -> TableView:
    measured = [metric for e in entries for run in e["runs"] for values in run["metrics"].values() for metric in values]
    metrics = list(dict.fromkeys([*table.metrics_of(entries), *measured]))
    ids = table.protocols(entries)
    columns = [Column(m, labels.label(m), labels.unit(m), labels.arrow(m, higher), ids.get(m, [])) for m in metrics]
    reasons = list(dict.fromkeys(entry["why_not"] for entry in entries if entry["why_not"]))
    return TableView(
        paper,
        name,
        caption(row_file(f"{paper}/{name}/{entries[0]['row']}")),
        columns,
        [_row(entry, reasons) for entry in entries],
        reasons,
        {entry["label"]: entry["printed_otherwise"] for entry in entries if entry["printed_otherwise"]},
        _distributions(entries, stored),
        _differences(entries, stored),
    )


def _row(entry: Entry, reasons: Sequence[str]) -> RowView:
    lines = [
        Line("paper", name, {metric: Value(labels.number(v)) for metric, v in values.items()})
        for name, values in entry["expected"].items()
    ]
    for runs in groups(entry["runs"]):
        # The same input is not shown again for every group of runs.
        lines += [line for line in _lines(runs, entry["expected"]) if line.kind != "input" or line not in lines]
    return RowView(
        entry["row"],
        f"{entry['paper']}/{entry['table']}/{entry['row']}",
        entry["label"],
        entry["kind"],
        entry["same_as"],
        lines,
        reasons.index(entry["why_not"]) + 1 if entry["why_not"] else None,
    )


def _lines(runs: list[Entry], expected: Mapping[str, Mapping[str, float]]) -> list[Line]:
    """The lines of runs that differ in their seed."""
    first, found = runs[0], []
    described: dict[str, Any] = {
        "settings": ", ".join(table.settings_of(first)[1:]),
        "budget": str(first["budget"]),
        "seeds": [run["seed"] for run in runs],
        "status": first["status"],
        "runs": [run["path"] for run in runs],
    }
    for line in table.lines({"expected": {}, "runs": runs}):
        # Figures of the degraded input are a yardstick, not a result.
        is_input = line["what"] == "the input as it is"
        measured = [run["metrics"].get(line["set"], {}) for run in runs]
        printed = {} if is_input else expected.get(line["set"], {})
        found.append(
            Line(
                "input" if is_input else "measured",
                line["set"],
                {
                    metric: _value(value, printed.get(metric), [m[metric] for m in measured if metric in m])
                    for metric, value in line["values"].items()
                },
                comparable=None if is_input else line["comparable"],
                images=max((value["n"] for values in measured for value in values.values()), default=None),
                **({} if is_input else described),
            )
        )
    return found


def _value(measured: tuple[float, float | None], printed: float | None, of: Sequence[Mapping[str, Any]]) -> Value:
    difference = None if printed is None else measured[0] - printed
    return Value(
        labels.number(measured), labels.signed(difference), tuple(dict.fromkeys(str(v["protocol"]) for v in of))
    )


def _done(entries: Iterable[Entry], stored: Mapping[str, Run]) -> list[tuple[Entry, list[Entry]]]:
    """Each row once per group of finished runs that are in the store; a run that several rows share, once."""
    found: dict[tuple[str, ...], tuple[Entry, list[Entry]]] = {}
    for entry in entries:
        here = [run for run in entry["runs"] if run["status"] == "done" and run["path"] in stored]
        for runs in groups(here):
            found.setdefault(tuple(run["path"] for run in runs), (entry, runs))
    return list(found.values())


def _distributions(entries: Iterable[Entry], stored: Mapping[str, Run]) -> list[Distribution]:
    """The images' values where a method has at least three of them, the seeds of a method averaged."""
    found: dict[tuple[str, str], dict[tuple[str, ...], list[float]]] = {}
    for entry, runs in _done(entries, stored):
        seeds = [f"{len(runs)} seeds"] if len(runs) > 1 else []
        name = (entry["label"], *labels.settings(runs[0]).split(", "), *seeds)
        for (set_name, _), values in paired.mean_per_image([stored[run["path"]] for run in runs]).items():
            for metric, value in values.items():
                found.setdefault((set_name, metric), {}).setdefault(name, []).append(value)
    result = []
    for (set_name, metric), methods in found.items():
        if max(map(len, methods.values())) > 2:
            common = [part for part in next(iter(methods)) if all(part in parts[1:] for parts in methods)]
            named = {
                ": ".join(filter(None, [label, ", ".join(part for part in parts if part not in common)])): values
                for (label, *parts), values in methods.items()
            }
            result.append(Distribution(set_name, metric, ", ".join(common), named))
    return result


def _differences(entries: Iterable[Entry], stored: Mapping[str, Run]) -> list[Paired]:
    """Methods of one budget on one recipe, against the paper's own or the first."""
    alike: dict[tuple[str, str], list[Run]] = {}
    for _, runs in _done(entries, stored):
        alike.setdefault((str(runs[0]["budget"]), str(runs[0]["data"])), []).extend(stored[r["path"]] for r in runs)
    found = []
    for (budget, data), members in alike.items():
        if (compared := paired.against_one(members)) is None:
            continue
        reference, others = compared
        sets: dict[str, dict[str, dict[str, paired.Difference]]] = {}
        for method, differences in others:
            for name, metrics in differences.items():
                for metric, difference in metrics.items():
                    if difference.n < 2:
                        continue  # one image says nothing about the next
                    sets.setdefault(name, {}).setdefault(metric, {})[method] = difference
        if sets:
            found.append(Paired(reference, f"budget={budget}, data={data}", sets))
    return found
