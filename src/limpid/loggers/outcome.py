"""The outcome of a run in the form that loggers keep: single values and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from limpid.results.rows import Row, known_row
from limpid.results.run_record import MEASURED, RunRecord, Score, record_of
from limpid.store.metrics_file import MetricsFile

#: What stands in a cell of a table.
Cell = str | float | None


@dataclass(frozen=True)
class Table:
    """Rows under named columns; cells are text, numbers, truth values or None."""

    columns: list[str]
    rows: list[list[Cell]]

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        lines: list[Sequence[Cell]] = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    Attributes:
        values: ``test/<set>/<metric>``, and the paper's ``paper/<set>/<metric>``.
        tables: ``results``, a line per set and metric: measured, paper, difference, protocol; and ``per_image``.
    """

    values: dict[str, float]
    tables: dict[str, Table]


def outcome(config: Mapping[str, object], results: MetricsFile, per_image: Sequence[Mapping[str, Cell]]) -> Outcome:
    """The outcome of a run: its means beside what the paper prints of its row.

    Args:
        config: what config.yaml holds; it names the row.
        results: what metrics.json holds.
        per_image: what per_image.csv holds; the table is left out where there is nothing.
    """
    record = record_of(config, results, "done", Path())
    row = known_row(record.row)
    measured = {(score.set, score.metric): score for score in record.scores if score.source == MEASURED}
    printed = _printed_values(row)
    values = {f"test/{name}/{metric}": float(score.value) for (name, metric), score in measured.items()}
    values |= {f"paper/{name}/{metric}": value for (name, metric), value in printed.items()}
    tables = {"results": _results(record, measured, printed)}
    if per_image:
        columns = list(dict.fromkeys(chain.from_iterable(per_image)))
        tables["per_image"] = Table(columns, [_cells(line, columns) for line in per_image])
    return Outcome(values, tables)


def _cells(line: Mapping[str, Cell], columns: Sequence[str]) -> list[Cell]:
    return [line.get(column) for column in columns]


def _printed_values(row: Row | None) -> dict[tuple[str, str], float]:
    """The paper's values of a row by `(set, metric)`; none without a row."""
    printed = {}
    for name, values in row.printed.items() if row else ():
        for metric, value in values.items():
            printed[name, metric] = float(value)
    return printed


def _results(
    record: RunRecord, measured: Mapping[tuple[str, str], Score], printed: Mapping[tuple[str, str], float]
) -> Table:
    """The table with a line per set and metric that is measured or printed, by set, what was measured first."""
    columns = ["row", "set", "metric", "measured", "paper", "difference", "images", "protocol", "comparable"]
    both = list(dict.fromkeys([*measured, *printed]))
    sets = list(dict.fromkeys(name for name, _ in both))
    rows: list[list[Cell]] = []
    for name, metric in sorted(both, key=lambda key: sets.index(key[0])):
        score = measured.get((name, metric))
        paper = printed.get((name, metric))
        mean = score.value if score else None
        difference = None if mean is None or paper is None else mean - paper
        images = score.n if score else None
        protocol = score.protocol if score else None
        beside = record.comparable_on(name)
        rows.append([record.row, name, metric, mean, paper, difference, images, protocol, beside])
    return Table(columns, rows)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value).replace("|", "\\|")
