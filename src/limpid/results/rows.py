"""The rows of experiments: what a paper prints of each (paper.yaml), and what its row file chooses. Reads no Hydra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from limpid.config.yaml_files import values_of
from limpid.errors import UserError, nearest
from limpid.paths import config_folders
from limpid.results.papers import FILE_NAME, Entry, Paper, papers

#: The set name of tables that test on nothing.
NO_SET = "-"


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        paper: its short name, such as ``rfd``.
        table: such as ``table5``.
        name: the row's name in commands.
        label: what the paper calls it; its name where no paper prints it.
        kind: ``ours``, ``ablation``, ``baseline`` or ``input``.
        alias_of: another row whose run this is, or None.
        not_built: why it cannot run yet, or None.
        printed: the paper's values, `{set: {metric: value}}`.
        order: its position in the printed table, from 1; None behind those, by name, where no paper prints it.
        note: a remark on what is printed, or None.
        mode: what a run of it does: ``train`` (and test), ``test`` or ``profile``.
        model: the option of the group `model` that its file chooses, or None.
        data: the option of the group `data` that its file chooses; None leaves the choice to the model.
    """

    paper: str
    table: str
    name: str
    label: str
    kind: str
    alias_of: str | None = None
    not_built: str | None = None
    printed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    order: int | None = None
    note: str | None = None
    mode: str = "train"
    model: str | None = None
    data: str | None = None

    @property
    def id(self) -> str:
        """The row's id, ``paper/table/name``."""
        return f"{self.paper}/{self.table}/{self.name}"

    @property
    def run_id(self) -> str:
        """The row whose run directory holds this row's runs."""
        return self.alias_of or self.id


def rows(pattern: str = "") -> list[Row]:
    """The rows of a paper, a table, or one row, in the order of print; all rows for an empty pattern.

    A row is a file `experiments/<paper>/<table>/<row>.yaml`; one that no paper.yaml prints comes behind those of its
    table, under its own name. The user's own folder comes before Limpid's.

    Args:
        pattern: ``paper``, ``paper/table`` or ``paper/table/row``.

    Raises:
        UserError: nothing of that name is there, a paper.yaml is wrong, or a printed row has no file.
    """
    files = _row_files()
    tables = {row_id.rpartition("/")[0] for row_id in files}
    known = {*files, *tables, *(table.split("/")[0] for table in tables)}
    if pattern and pattern not in known:
        raise UserError(f"There is no paper, table or row {pattern!r}{nearest(pattern, known) or '.'}")
    printed = papers()
    _require_files(printed, files)
    chosen = [row_id for row_id in files if not pattern or f"{row_id}/".startswith(f"{pattern}/")]
    return [_row(row_id, files[row_id], printed) for row_id in sorted(chosen, key=partial(_print_order, printed))]


def find_row(row_id: str) -> Row:
    """The row with the id ``paper/table/row``.

    Raises:
        UserError: there is none, or its paper.yaml is wrong; those of other papers are not read.
    """
    return _row(row_id, row_file(row_id), papers(row_id.split("/")[0]))


def known_row(row_id: str | None) -> Row | None:
    """The row with the id ``paper/table/row``; None for None, and for a row that is no longer there."""
    if row_id is None:
        return None
    there = any((folder / f"{row_id}.yaml").is_file() for folder in config_folders("experiments"))
    return find_row(row_id) if there else None


def row_file(row_id: str) -> Path:
    """The file of the row ``paper/table/row``, the user's own first.

    Raises:
        UserError: there is none.
    """
    for folder in config_folders("experiments"):
        if (file := folder / f"{row_id}.yaml").is_file():
            return file
    raise UserError(f"There is no row {row_id!r} in experiments/{nearest(row_id, _row_files()) or '.'}")


def option_of(content: Mapping[str, Any], group: str) -> str | None:
    """The option of a Hydra group that a row file's defaults choose, or None.

    Args:
        content: of the row file.
        group: such as ``model``.
    """
    chosen = content.get("defaults")
    for choice in chosen if isinstance(chosen, list) else ():
        if isinstance(choice, dict) and f"override /{group}" in choice:
            return str(choice[f"override /{group}"])
    return None


def _row_files() -> dict[str, Path]:
    """The file of every row by its id, the user's own first."""
    files: dict[str, Path] = {}
    for folder in config_folders("experiments"):
        for file in folder.glob("*/*/*.yaml"):
            files.setdefault("/".join([*file.parts[-3:-1], file.stem]), file)
    return files


def _require_files(printed: Mapping[str, Paper], files: Mapping[str, Path]) -> None:
    """Refuse a paper.yaml that prints a row which no file describes.

    Raises:
        UserError: there is such a row.
    """
    for paper, content in printed.items():
        for table, name in _printed_names(content):
            if (row_id := f"{paper}/{table}/{name}") not in files:
                raise UserError(
                    f"The row {row_id} is printed in experiments/{paper}/{FILE_NAME}, but there is no file "
                    f"experiments/{row_id}.yaml; write it, or take the row out."
                )


def _printed_names(paper: Paper) -> Iterator[tuple[str, str]]:
    for name, table in paper.tables.items():
        for row in table.entries:
            yield name, row


def _print_order(printed: Mapping[str, Paper], row_id: str) -> tuple[str, int, str, int, str]:
    """The sort key of a row: printed tables before others, printed rows before others, the rest by name."""
    paper, table, name = row_id.split("/")
    tables = printed[paper].tables if paper in printed else {}
    entries = tables[table].entries if table in tables else {}
    return (paper, _position(table, tables), table, _position(name, entries), name)


def _position(name: str, ordered: Mapping[str, object]) -> int:
    """The position of a key in a mapping; behind all where it is not in it."""
    return list(ordered).index(name) if name in ordered else len(ordered)


def _row(row_id: str, file: Path, printed: Mapping[str, Paper]) -> Row:
    paper, table, name = row_id.split("/")
    content = values_of(file)
    tables = printed[paper].tables if paper in printed else {}
    entries = tables[table].entries if table in tables else {}
    entry = entries.get(name, Entry(label=name, kind="ablation"))
    return Row(
        paper,
        table,
        name,
        entry.label,
        entry.kind,
        alias_of=entry.alias_of,
        not_built=entry.not_built,
        printed=entry.printed,
        order=_position(name, entries) + 1 if name in entries else None,
        note=entry.note,
        mode=str(content.get("mode") or "train"),
        model=option_of(content, "model"),
        data=option_of(content, "data"),
    )
