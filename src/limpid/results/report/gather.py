"""Everything a report shows, as plain dataclasses: papers with their tables, runs, sets and machines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from limpid import __version__
from limpid.paths import config_folders
from limpid.results.report import readme
from limpid.results.report.runs import RunView
from limpid.results.report.tables import TableView, tables
from limpid.results.rows import NO_SET
from limpid.results.table import Entry
from limpid.store.run_directory import Run, find


@dataclass(frozen=True)
class PaperView:
    """One paper: its tables, and the sections of its README."""

    name: str
    title: str
    page: str
    tables: Sequence[TableView]
    contradictions: Markup | None
    reading: Markup | None
    counts: Mapping[str, int]


@dataclass
class SetView:
    """A data set: what it is, where it is from, and how many of its images were measured."""

    name: str
    what: str = ""
    domain: str = ""
    expected: int | None = None
    licence: str = ""
    url: str = ""
    how_to_get: str = ""
    version: str = ""
    images: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Report:
    """What a report shows."""

    papers: Sequence[PaperView]
    runs: Sequence[RunView]
    sets: Sequence[SetView]
    environments: Sequence[tuple[list[tuple[str, str]], int]]
    protocols: Mapping[str, str]
    store: str
    version: str
    written: str


def gather(entries: Sequence[Entry], store: Path, higher: Mapping[str, bool], others: bool) -> Report:
    """Everything about the rows of `entries`.

    Args:
        entries: rows with their runs, as `limpid.results.table.entries` gives them.
        store: the run store.
        higher: whether a higher value of a metric is better.
        others: whether the store's runs that belong to no row are shown too.
    """
    places = {run["path"] for entry in entries for run in entry["runs"]}
    begun = [run for run in find(store) if run.status()["status"] != "missing"]
    shown = {r.path.as_posix(): r for r in begun if r.path.as_posix() in places or (others and _is_free(r))}
    views = [
        RunView(run, run.path.relative_to(store).as_posix(), f"run-{number:04d}.html")
        for number, run in enumerate(shown.values(), start=1)
    ]
    protocols: dict[str, str] = {}
    for view in views:
        for identity, text in view.protocol_texts().items():
            protocols[identity] = protocols.get(identity) or text
    for entry in entries:
        for run in entry["runs"]:
            for values in run["metrics"].values():
                protocols |= {v["protocol"]: "" for v in values.values() if v["protocol"] not in protocols}
    return Report(
        _papers(entries, shown, higher),
        views,
        _sets(entries, views),
        _environments(views),
        dict(sorted(protocols.items())),
        store.as_posix(),
        __version__,
        datetime.now(UTC).isoformat(timespec="minutes"),
    )


def _is_free(run: Run) -> bool:
    """Whether the run belongs to no row."""
    return not (run.config() or {}).get("row")


def _papers(entries: Sequence[Entry], stored: Mapping[str, Run], higher: Mapping[str, bool]) -> list[PaperView]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry["paper"], []).append(entry)
    return [
        PaperView(
            name,
            readme.title(name),
            "paper-" + re.sub(r"[^\w-]", "-", name) + ".html",  # no other page has such a name
            tables(members, stored, higher),
            readme.section(name, readme.CONTRADICTIONS),
            readme.section(name, readme.READING),
            {
                "rows": len(members),
                "runnable": sum(entry["runnable"] for entry in members),
                "measured": sum(any(run["metrics"] for run in entry["runs"]) for entry in members),
                "comparable": sum(any(run["comparable"] for run in entry["runs"]) for entry in members),
            },
        )
        for name, members in found.items()
    ]


def _sets(entries: Sequence[Entry], views: Sequence[RunView]) -> list[SetView]:
    """The sets that papers print or runs were tested on; where no card has the name, what the run was really given."""
    named = _cards_of_recipes()
    given = {name: (view.set_card(name), card) for view in views for name, card in view.sets().items()}
    measured: dict[str, set[int]] = {}
    for run in [*(run for entry in entries for run in entry["runs"]), *(view.entry for view in views)]:
        for name, values in run["metrics"].items():
            measured.setdefault(name, set()).update(value["n"] for value in values.values())
    found = []
    for name in dict.fromkeys([*measured, *(name for entry in entries for name in entry["expected"])]):
        if name == NO_SET:
            continue
        chosen, plain = given.get(name, ("", {}))
        card = _card(chosen or named.get(name) or name)
        found.append(_set(name, {**{k: v for k, v in plain.items() if isinstance(v, (str, int))}, **card}))
        found[-1].images |= measured.get(name, set())
    return sorted(found, key=lambda one: (not one.images, one.name))


def _cards_of_recipes() -> dict[str, str]:
    """The card that a recipe of conf/data tests on, by the name that the set has there, read without Hydra."""
    found: dict[str, str] = {}
    for folder in config_folders("conf"):
        for file in sorted((folder / "data").glob("*.yaml")):
            for choice in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("defaults", []):
                for key, card in choice.items() if isinstance(choice, dict) else ():
                    if key.startswith("/dataset@test."):
                        found.setdefault(key.removeprefix("/dataset@test."), card)
    return found


def _card(name: str) -> dict[str, Any]:
    """The card `conf/dataset/<name>.yaml` and the comment that begins it; empty where there is none."""
    for folder in config_folders("conf"):
        file = folder / "dataset" / f"{Path(name).name}.yaml"
        if file.is_file():
            return {"what": readme.comment(file), **(yaml.safe_load(file.read_text(encoding="utf-8")) or {})}
    return {}


def _set(name: str, card: Mapping[str, Any]) -> SetView:
    split = (card.get("splits") or {}).get(card.get("split"), {})
    one = SetView(name, expected=split.get("expected", card.get("expected")))
    for key in ("what", "domain", "licence", "url", "how_to_get", "version"):
        setattr(one, key, str(card.get(key) or ""))
    return one


def _environments(views: Sequence[RunView]) -> list[tuple[list[tuple[str, str]], int]]:
    """The distinct environments of runs, each with the number of its runs."""
    found: dict[tuple[tuple[str, str], ...], int] = {}
    for view in views:
        if view.environment:
            key = tuple(view.environment)
            found[key] = found.get(key, 0) + 1
    return [(list(facts), count) for facts, count in found.items()]
