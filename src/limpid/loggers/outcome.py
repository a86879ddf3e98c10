"""What came out of a run, in the form that loggers keep: single values and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limpid.results.rows import find_row


@dataclass(frozen=True)
class Table:
    """Rows under named columns; cells are text, numbers, truth values or None."""

    columns: list[str]
    rows: list[list[Any]]

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


@dataclass(frozen=True)
class Outcome:
    """What came out of a run.

    Attributes:
        values: ``test/<set>/<metric>``, and the paper's ``paper/<set>/<metric>``.
        tables: ``results``, a line per set and metric: measured, paper, difference, protocol; and ``per_image``.
    """

    values: dict[str, float]
    tables: dict[str, Table]


def outcome(config: Mapping[str, Any], results: Mapping[str, Any], per_image: Sequence[Mapping[str, Any]]) -> Outcome:
    """The outcome of a run.

    Args:
        config: the composed configuration; its row holds the paper's values.
        results: what metrics.json holds.
        per_image: what per_image.csv holds; the table is left out where there is nothing.
    """
    place = (config.get("run") or {}).get("row")
    measured, expected = results["metrics"], find_row(place).expected if place else {}
    values = {f"test/{name}/{metric}": float(v["mean"]) for name, of in measured.items() for metric, v in of.items()}
    values |= {f"paper/{name}/{metric}": float(v) for name, of in expected.items() for metric, v in of.items()}
    tables = {"results": _results(place, measured, expected, bool(results.get("comparable")))}
    if per_image:
        columns = list(dict.fromkeys(key for line in per_image for key in line))
        tables["per_image"] = Table(columns, [[line.get(column) for column in columns] for line in per_image])
    return Outcome(values, tables)


def _results(
    place: str | None,
    measured: Mapping[str, Mapping[str, Mapping[str, Any]]],
    expected: Mapping[str, Mapping[str, float]],
    comparable: bool,
) -> Table:
    """One line per set and metric that is measured or printed."""
    columns = ["row", "set", "metric", "measured", "paper", "difference", "images", "protocol", "comparable"]
    rows: list[list[Any]] = []
    for name in dict.fromkeys([*measured, *expected]):
        ours, theirs = measured.get(name, {}), expected.get(name, {})
        for metric in dict.fromkeys([*ours, *theirs]):
            entry, paper = ours.get(metric, {}), theirs.get(metric)
            mean = entry.get("mean")
            difference = None if mean is None or paper is None else mean - paper
            rows.append(
                [place, name, metric, mean, paper, difference, entry.get("n"), entry.get("protocol"), comparable]
            )
    return Table(columns, rows)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value).replace("|", "\\|")
