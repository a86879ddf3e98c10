"""The rows that papers print: `experiments/<paper>/<table>/<row>.yaml`, read without Hydra."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from limpid.errors import UserError, nearest
from limpid.paths import config_folders

#: The set name of tables that test on nothing.
NO_SET = "-"


@dataclass(frozen=True)
class Row:
    """One printed row.

    Attributes:
        paper: its short name, such as ``rfd``.
        table: such as ``table5``.
        name: the row's name in commands.
        label: what the paper prints.
        kind: ``ours``, ``ablation``, ``baseline`` or ``input``.
        does: ``train``, ``test`` or ``profile``.
        model: what it runs; several rows may run one method.
        same_as: another row whose run this is, or None.
        needs: rows whose checkpoints it starts from.
        not_built: why it cannot run yet, or None.
        expected: the paper's values, `{set: {metric: value}}`.
        order: the how manieth of its table it is in print; None puts it behind, by name.
    """

    paper: str
    table: str
    name: str
    label: str
    kind: str
    does: str
    model: str
    same_as: str | None = None
    needs: tuple[str, ...] = ()
    not_built: str | None = None
    expected: dict[str, dict[str, float]] = field(default_factory=dict)
    order: int | None = None

    @property
    def place(self) -> str:
        """`paper/table/name`."""
        return f"{self.paper}/{self.table}/{self.name}"

    @property
    def id(self) -> str:
        """`paper/table/name`."""
        return self.place

    @property
    def run_id(self) -> str:
        """The row whose run directory holds this row's runs."""
        return self.run_place

    @property
    def run_place(self) -> str:
        """The row whose run directory holds this row's runs."""
        return self.same_as or self.place


def read_row(file: Path) -> Row:
    """The row in `file`.

    Raises:
        UserError: the file has no row block, or one that lacks or misspells something, or that does not agree with
            where it lies.
    """
    block: dict[str, Any] | None = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("row")
    if block is None:
        raise UserError(f"The file {file} has no row block; see experiments/rfd/table5/student.yaml for one.")
    known = {f.name: f for f in fields(Row)}
    for name in block:
        if name not in known:
            hint = nearest(name, known) or f"; it takes {', '.join(known)}."
            raise UserError(f"The row block of {file} sets {name!r}, which no row has{hint}")
    for name, f in known.items():
        if f.default is MISSING and f.default_factory is MISSING and name not in block:
            raise UserError(f"The row block of {file} lacks {name!r}; add it.")
    row = Row(**{**block, "needs": tuple(block.get("needs") or ())})
    if row.place != "/".join((*file.parts[-3:-1], file.stem)):
        raise UserError(f"The row block of {file} says {row.place}; make it agree with the file's own place.")
    return row


def find_row(place: str) -> Row:
    """The row at `paper/table/name`."""
    return read_row(row_file(place))


def rows(pattern: str = "") -> list[Row]:
    """The rows of a paper, a table, or one row, in the order of print; all rows for an empty pattern.

    Args:
        pattern: ``paper``, ``paper/table`` or ``paper/table/row``.

    Raises:
        UserError: nothing of that name is there.
    """
    found: dict[str, Row] = {}
    for folder in config_folders("experiments"):
        for file in folder.glob("*/*/*.yaml"):
            row = read_row(file)
            found.setdefault(row.place, row)
    places = {"/".join(place.split("/")[:depth]) for place in found for depth in (1, 2, 3)}
    if pattern and pattern not in places:
        raise UserError(f"There is no paper, table or row {pattern!r}{nearest(pattern, places) or '.'}")
    chosen = [row for place, row in found.items() if not pattern or f"{place}/".startswith(f"{pattern}/")]
    return sorted(chosen, key=_in_print)


def _in_print(row: Row) -> tuple[Any, ...]:
    """What rows are sorted by: a paper's numbered tables before others, rows as printed."""
    number = re.fullmatch(r"table(\d+)", row.table)
    printed = (0, int(number[1])) if number else (1, 0)
    return (row.paper, printed, row.table, row.order is None, row.order or 0, row.name)


def printed_otherwise(row: Row, known: Sequence[Row]) -> list[str]:
    """Where a paper prints another value of the same run: a phrase for each, such as two values of one model and set.

    Fewer digits of the same value are not another one. A metric is taken to be printed with as many digits as the
    longest of its values in a table.

    Args:
        row: whose values are looked at.
        known: all rows, `row` among them.
    """
    found = []
    for other in known:
        if other.run_place != row.run_place or other.place == row.place:
            continue
        for name, values in row.expected.items():
            for metric, value in values.items():
                theirs = other.expected.get(name, {}).get(metric)
                digits = min(_digits(one, metric, known) for one in (row, other))
                if theirs is not None and abs(value - theirs) > 0.5000001 * 10.0**-digits:
                    there = f"{other.table}/{other.name}"
                    found.append(f"{metric} on {name} is {value:g} here and {theirs:g} in {there}, the same run")
    return found


def _digits(row: Row, metric: str, known: Iterable[Row]) -> int:
    """How many digits behind the point the table of `row` prints of a metric; a file does not keep a last 0."""
    table = [other for other in known if (other.paper, other.table) == (row.paper, row.table)]
    printed = [values[metric] for other in table for values in other.expected.values() if metric in values]
    return max((-int(Decimal(str(value)).as_tuple().exponent) for value in printed), default=0)


def row_file(place: str) -> Path:
    """The file of the row at `paper/table/name`, the user's own first.

    Raises:
        UserError: there is none.
    """
    for folder in config_folders("experiments"):
        if (file := folder / f"{place}.yaml").is_file():
            return file
    raise UserError(f"There is no row {place!r} in experiments/.")


def measured_file(paper: str) -> Path:
    """Where the figures kept of a paper's rows lie: beside its rows."""
    for folder in config_folders("experiments"):
        if (folder / paper).is_dir():
            return folder / paper / "measured.json"
    raise UserError(f"There is no paper {paper!r} in experiments/.")
