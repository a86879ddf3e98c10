"""`limpid table`: rows, the paper's values, what was measured, and whether a row can run here."""

from __future__ import annotations

import json
import os
from functools import cache

import yaml

from limpid.commands.command_parser import CommandParser
from limpid.paths import runs
from limpid.results import table, wandb_sweep
from limpid.results.rows import Row, row_file, rows


def run(arguments: list[str]) -> int:
    """Print the table that is asked for; the exit status."""
    parser = CommandParser(prog="limpid table", description="Paper beside measured.")
    parser.add_argument("what", nargs="?", default="", help="paper, paper/table or paper/table/row; all if left out")
    formats = ("rich", "md", "json", "wandb-sweep")
    parser.add_argument("--format", choices=formats, default="rich", help="rich (default), md, json or wandb-sweep")
    parser.add_argument("--keep", action="store_true", help="copy the figures into experiments/<paper>/measured.json")
    chosen = parser.parse_args(arguments)
    if chosen.format == "wandb-sweep":
        print(wandb_sweep.wandb_sweep(rows(chosen.what)), end="")
        return 0
    entries = table.entries(rows(chosen.what), runs(), why_not)
    if chosen.keep:
        for file in table.keep(entries):
            print(f"kept in {file}")
        return 0
    if chosen.format == "json":
        print(json.dumps(entries, indent=2, ensure_ascii=False))
    elif chosen.format == "md":
        print(table.markdown(entries))
    else:
        from limpid.results.console import print_tables

        print_tables(entries)
    return 0


def why_not(row: Row) -> str | None:
    """Why `row` cannot run here: it is not built, or a set it cannot do without is missing."""
    if row.not_built:
        return f"not built: {row.not_built}"
    return None if row.does == "profile" else _missing_data(_recipe(row), row.does == "train")


def _recipe(row: Row) -> str | None:
    """The data recipe that the row's file chooses; None where it leaves the choice to the model."""
    content = yaml.safe_load(row_file(row.place).read_text(encoding="utf-8"))
    chosen = [choice["override /data"] for choice in content.get("defaults", []) if "override /data" in choice]
    return chosen[0] if chosen else None


@cache
def _missing_data(recipe: str | None, trains: bool) -> str | None:
    from hydra import compose, initialize
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    from limpid.config import compose as limpid_compose
    from limpid.config import instantiate

    limpid_compose.register()
    if not GlobalHydra.instance().is_initialized():
        initialize(config_path=None, version_base="1.3")
    config = compose("train", overrides=[f"data={recipe}"] if recipe else [])
    data = OmegaConf.to_container(config.data, resolve=True)
    assert isinstance(data, dict)
    needed = {"train": data["train"]} if trains else dict(data["test"])
    absent = {}
    if trains and data["train"] is None:
        return f"The recipe data={recipe} has nothing to train on."
    for key, card in needed.items():
        why = instantiate.construct(card, f"data.{key}").why_missing()
        if why:
            absent[key] = why
    if not absent or len(absent) < len(needed):
        return None
    root = os.environ.get("LIMPID_DATA")
    hint = "" if root else " Set LIMPID_DATA or data.root to where your sets are."
    return " ".join(absent.values()) + hint
