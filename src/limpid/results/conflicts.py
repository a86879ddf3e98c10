"""Where a paper contradicts itself: two printed values of one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from limpid.results.rows import Row


def conflicting_printed_values(row: Row, known: Sequence[Row]) -> list[str]:
    """Phrases, one for each other value that the paper prints of the row's run, set and metric.

    Fewer digits of the same value are not another one. A metric is taken to be printed with as many digits as the
    longest of its values in a table.

    Args:
        row: whose values are looked at.
        known: all rows, `row` among them.
    """
    phrases = []
    for other in known:
        if other.run_id != row.run_id or other.id == row.id:
            continue
        for name, metric, value in _values(row):
            theirs = other.printed.get(name, {}).get(metric)
            if theirs is None:
                continue
            digits = min(_digits(one, metric, known) for one in (row, other))
            if abs(value - theirs) > 0.5000001 * 10.0**-digits:
                there = f"{other.table}/{other.name}"
                phrases.append(f"{metric} on {name} is {value:g} here and {theirs:g} in {there}, the same run")
    return phrases


def _values(row: Row) -> Iterator[tuple[str, str, float]]:
    """Each printed value of a row as `(set, metric, value)`."""
    for name, values in row.printed.items():
        for metric, value in values.items():
            yield name, metric, value


def _digits(row: Row, metric: str, known: Sequence[Row]) -> int:
    """How many digits behind the point the table of `row` prints of a metric; a file does not keep a last 0."""
    digits = [0]
    for other in known:
        if (other.paper, other.table) == (row.paper, row.table):
            digits += [_decimals(value) for _, one, value in _values(other) if one == metric]
    return max(digits)


def _decimals(value: float) -> int:
    return -int(Decimal(str(value)).as_tuple().exponent)
