"""What a paper prints: `experiments/<paper>/paper.yaml`, its tables and rows in the order of print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limpid.config.yaml_files import values_of
from limpid.errors import UserError, nearest
from limpid.paths import config_folders, leads_out

FILE_NAME = "paper.yaml"
#: What a row can be: the paper's own method, a variant of it, another's method, or the degraded input itself.
KINDS = ("ours", "ablation", "baseline", "input")

_PAPER_KEYS = ("title", "tables")
_TABLE_KEYS = ("caption", "rows")
_ENTRY_KEYS = ("label", "kind", "alias_of", "not_built", "note", "printed")


@dataclass(frozen=True)
class Entry:
    """One row of a printed table.

    Attributes:
        label: what the paper calls the row.
        kind: one of `KINDS`.
        alias_of: the row (``paper/table/row``) whose run this row shows, or None.
        not_built: why the row cannot run, or None.
        note: a remark on what is printed, or None.
        printed: the paper's values, `{set: {metric: value}}`.
    """

    label: str
    kind: str
    alias_of: str | None = None
    not_built: str | None = None
    note: str | None = None
    printed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class PrintedTable:
    """One table of a paper.

    Attributes:
        caption: what the table is about; empty where the file does not say.
        entries: the printed rows by the name that they have in commands, in the order of print.
    """

    caption: str
    entries: Mapping[str, Entry]


@dataclass(frozen=True)
class Paper:
    """One paper: its title, and its tables by name in the order of print."""

    title: str
    tables: Mapping[str, PrintedTable]


def papers(only: str = "*") -> dict[str, Paper]:
    """Every paper that has a paper.yaml, by its short name.

    Where the user's own folder and Limpid's have a paper of one name, their tables are joined and the user's own
    entries come before Limpid's.

    Args:
        only: the short name of the one paper that is wanted; all by default.

    Raises:
        UserError: a file misspells or lacks something.
    """
    by_name: dict[str, Paper] = {}
    for folder in config_folders("experiments"):
        for file in sorted(folder.glob(f"{only}/{FILE_NAME}")):
            paper = read_paper(file)
            name = file.parent.name
            by_name[name] = _joined(by_name[name], paper) if name in by_name else paper
    return by_name


def read_paper(file: Path) -> Paper:
    """The paper that a paper.yaml describes.

    Raises:
        UserError: the file misspells or lacks something; the sentence says where.
    """
    content = values_of(file)
    _checked(content, _PAPER_KEYS, f"The file {file}")
    listed = content.get("tables") or {}
    if not isinstance(listed, dict):
        raise UserError(f"The file {file} must have tables by their names, but they are {listed!r}.")
    tables = {str(name): _table(table, f"{file}, {name}") for name, table in listed.items()}
    return Paper(str(content.get("title") or file.parent.name), tables)


def _table(content: object, where: str) -> PrintedTable:
    content = _checked(content, _TABLE_KEYS, f"The table in {where},")
    rows = content.get("rows") or {}
    if not isinstance(rows, dict):
        raise UserError(f"The table in {where}, must have rows by their names, but they are {rows!r}.")
    entries = {str(name): _entry(row, f"{where}, {name}") for name, row in rows.items()}
    return PrintedTable(str(content.get("caption") or ""), entries)


def _entry(content: object, where: str) -> Entry:
    row = f"The row in {where},"
    content = _checked(content, _ENTRY_KEYS, row)
    for needed in ("label", "kind"):
        if needed not in content:
            raise UserError(f"{row} lacks {needed!r}; add it.")
    entry = Entry(**{**content, "label": str(content["label"]), "printed": content.get("printed") or {}})
    if entry.kind not in KINDS:
        raise UserError(f"{row} has the kind {entry.kind!r}, but a kind is one of {', '.join(KINDS)}.")
    if entry.alias_of is not None and (len(entry.alias_of.split("/")) != 3 or leads_out(entry.alias_of)):
        raise UserError(f"{row} is an alias of {entry.alias_of!r}, but that must be PAPER/TABLE/ROW.")
    _check_printed(entry.printed, row)
    return entry


def _check_printed(printed: object, row: str) -> None:
    sets = printed.values() if isinstance(printed, dict) else [None]
    for values in sets:
        numbers = values.values() if isinstance(values, dict) else [None]
        if not all(isinstance(number, (int, float)) for number in numbers):
            raise UserError(f"{row} has values that are not numbers; write printed: {{SET: {{METRIC: NUMBER}}}}.")


def _checked(content: object, known: Iterable[str], what: str) -> dict[str, Any]:
    """`content`, if it is a mapping with none but the `known` keys."""
    if not isinstance(content, dict):
        raise UserError(f"{what} must have the keys {', '.join(known)}, but it is {content!r}.")
    for name in content:
        if name not in known:
            hint = nearest(str(name), known) or f"; it takes {', '.join(known)}."
            raise UserError(f"{what} sets {name!r}, which is not known there{hint}")
    return content


def _joined(first: Paper, second: Paper) -> Paper:
    """Both papers' tables; where both have a row, the first's."""
    tables = dict(first.tables)
    for name, table in second.tables.items():
        if name not in tables:
            tables[name] = table
            continue
        own = tables[name]
        tables[name] = PrintedTable(own.caption or table.caption, {**table.entries, **own.entries})
    return Paper(first.title, tables)
