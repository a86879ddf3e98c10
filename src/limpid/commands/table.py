"""`limpid table`: rows with the paper's values, the measured ones, and whether a row can run here."""

from __future__ import annotations

import os
from functools import cache

from limpid.commands.command_parser import CommandParser
from limpid.commands.warnings_last import warnings_last
from limpid.paths import runs
from limpid.results import table, wandb_sweep
from limpid.results.measured import keep, measured_rows
from limpid.results.rows import Row, rows
from limpid.store.atomic_io import json_text


@warnings_last()
def run(arguments: list[str]) -> int:
    """The exit status, after the table is printed."""
    parser = CommandParser(prog="limpid table", description="Paper beside measured.")
    parser.add_argument("what", nargs="?", default="", help="paper, paper/table or paper/table/row; all if left out")
    formats = ("rich", "md", "json", "wandb-sweep")
    parser.add_argument("--format", choices=formats, default="rich", help="rich (default), md, json or wandb-sweep")
    parser.add_argument("--keep", action="store_true", help="copy the figures into experiments/<paper>/measured.json")
    chosen = parser.parse_args(arguments)
    if chosen.format == "wandb-sweep":
        print(wandb_sweep.wandb_sweep(rows(chosen.what)), end="")
        return 0
    if chosen.keep:
        for file in keep(measured_rows(rows(chosen.what), runs())):
            print(f"kept in {file}")
        return 0
    shown = table.table_rows(rows(chosen.what), runs(), why_not)
    if chosen.format == "json":
        print(json_text([table.as_json(one) for one in shown], indent=2))
    elif chosen.format == "md":
        print(table.markdown(shown))
    else:
        from limpid.results.console import print_tables

        print_tables(shown)
    return 0


def why_not(row: Row) -> str | None:
    """The reason why `row` cannot run here: it is not built, or a set it needs is missing; None if it can."""
    if row.not_built:
        return f"not built: {row.not_built}"
    return None if row.mode == "profile" else _missing_data(row.data, row.mode == "train")


@cache
def _missing_data(name: str | None, trains: bool) -> str | None:
    from limpid.config import instantiate
    from limpid.config.recipes import recipe

    data = recipe(name or "scenes")
    needed = {"train": data.get("train")} if trains else dict(data.get("test") or {})
    absent = {}
    if trains and needed["train"] is None:
        return f"The recipe data={name} has nothing to train on."
    for key, card in needed.items():
        why = instantiate.construct(card, f"data.{key}").why_missing()
        if why:
            absent[key] = why
    if not absent or len(absent) < len(needed):
        return None
    root = os.environ.get("LIMPID_DATA")
    hint = "" if root else " Set LIMPID_DATA or data.root to where your sets are."
    return " ".join(absent.values()) + hint
