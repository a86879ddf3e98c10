"""Everything a report shows, as plain dataclasses: papers with their tables, runs, sets and machines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

from markupsafe import Markup

from limpid import __version__
from limpid.config.yaml_files import values_of
from limpid.errors import Damaged
from limpid.paths import config_folders
from limpid.results.measured import tell_left_out
from limpid.results.report import readme
from limpid.results.report.runs import RunView
from limpid.results.report.tables import TableView, tables
from limpid.results.rows import NO_SET
from limpid.results.run_record import MEASURED, RunRecord, Score
from limpid.results.table import TableRow
from limpid.store.run_directory import find


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


def gather(rows: Sequence[TableRow], store: Path, higher: Mapping[str, bool], others: bool) -> Report:
    """Everything that a report of some rows shows.

    Args:
        rows: with their runs, as `limpid.results.table.table_rows` gives them.
        store: the run store.
        higher: whether a higher value of a metric is better.
        others: whether the store's runs that belong to no row are shown too.
    """
    paths = {run.path for run in _runs(rows)}
    views: list[RunView] = []
    for run in find(store):
        try:
            view = RunView(run, run.path.relative_to(store).as_posix(), f"run-{len(views) + 1:04d}.html")
        except Damaged as error:
            tell_left_out(run.path, error)
            continue
        wanted = view.record.path in paths or (others and view.record.row is None)
        if wanted and view.record.status != "missing":
            views.append(view)
    return Report(
        _papers(rows, higher),
        views,
        _sets(rows, views),
        _environments(views),
        _protocols(rows, views),
        store.as_posix(),
        __version__,
        datetime.now(UTC).isoformat(timespec="minutes"),
    )


def _protocols(rows: Sequence[TableRow], views: Sequence[RunView]) -> dict[str, str]:
    """What each protocol computes, by its id; empty where no run of the store says."""
    texts: dict[str, str] = {}
    for view in views:
        for identity, text in view.details.protocols.items():
            texts[identity] = texts.get(identity) or text
    for run in _runs(rows):
        for score in _measured(run):
            texts.setdefault(score.protocol, "")
    return dict(sorted(texts.items()))


def _runs(rows: Sequence[TableRow]) -> list[RunRecord]:
    return list(chain.from_iterable(one.runs for one in rows))


def _measured(run: RunRecord) -> list[Score]:
    return [score for score in run.scores if score.source == MEASURED]


def _papers(rows: Sequence[TableRow], higher: Mapping[str, bool]) -> list[PaperView]:
    by_paper: dict[str, list[TableRow]] = {}
    for one in rows:
        by_paper.setdefault(one.row.paper, []).append(one)
    return [_paper(name, members, higher) for name, members in by_paper.items()]


def _paper(name: str, rows: Sequence[TableRow], higher: Mapping[str, bool]) -> PaperView:
    counts = {
        "rows": len(rows),
        "runnable": sum(one.why_not is None for one in rows),
        "measured": sum(any(map(_measured, one.runs)) for one in rows),
        "comparable": sum(any(map(attrgetter("comparable"), one.runs)) for one in rows),
    }
    return PaperView(
        name,
        readme.title(name),
        "paper-" + re.sub(r"[^\w-]", "-", name) + ".html",  # no other page has such a name
        tables(rows, higher),
        readme.section(name, readme.CONTRADICTIONS),
        readme.section(name, readme.READING),
        counts,
    )


def _sets(rows: Sequence[TableRow], views: Sequence[RunView]) -> list[SetView]:
    """The sets that papers print or runs were tested on; where no card has the name, what the run was really given."""
    named = _cards_of_recipes()
    settings_of_sets: dict[str, tuple[str, Mapping[str, object]]] = {}
    for view in views:
        settings_of_sets |= {name: (view.set_option(name), settings) for name, settings in view.sets().items()}
    images: dict[str, set[int]] = {}
    for run in [*_runs(rows), *(view.record for view in views)]:
        for score in _measured(run):
            images.setdefault(score.set, set()).add(score.n)
    for one in rows:
        for name in one.row.printed:
            images.setdefault(name, set())
    images.pop(NO_SET, None)
    views_of_sets = []
    for name, counts in images.items():
        option, settings = settings_of_sets.get(name, ("", {}))
        plain = {key: value for key, value in settings.items() if isinstance(value, (str, int))}
        shown = _set(name, plain | _card(option or named.get(name) or name))
        shown.images |= counts
        views_of_sets.append(shown)
    return sorted(views_of_sets, key=lambda one: (not one.images, one.name))


def _cards_of_recipes() -> dict[str, str]:
    """The card that a recipe of conf/data tests on, by the name that the set has there, read without Hydra."""
    card_names: dict[str, str] = {}
    for folder in config_folders("conf"):
        for file in sorted((folder / "data").glob("*.yaml")):
            choices = values_of(file).get("defaults")
            # What is no list of choices Hydra refuses where the recipe is used; the report shows the others.
            for choice in choices if isinstance(choices, list) else ():
                for key, card in choice.items() if isinstance(choice, dict) else ():
                    if str(key).startswith("/dataset@test."):
                        card_names.setdefault(key.removeprefix("/dataset@test."), str(card))
    return card_names


def _card(name: str) -> dict[str, Any]:
    """The card `conf/dataset/<name>.yaml` and the comment that begins it; empty where there is none."""
    for folder in config_folders("conf"):
        file = folder / "dataset" / f"{Path(name).name}.yaml"
        if file.is_file():
            return {"what": readme.comment(file), **values_of(file)}
    return {}


def _set(name: str, card: Mapping[str, Any]) -> SetView:
    splits = card.get("splits")
    split = splits.get(str(card.get("split"))) if isinstance(splits, dict) else None
    described = split if isinstance(split, dict) else {}
    expected = described.get("expected", card.get("expected"))
    one = SetView(name, expected=expected if isinstance(expected, int) else None)
    for key in ("what", "domain", "licence", "url", "how_to_get", "version"):
        setattr(one, key, str(card.get(key) or ""))
    return one


def _environments(views: Sequence[RunView]) -> list[tuple[list[tuple[str, str]], int]]:
    """The distinct environments of runs, each with the number of its runs."""
    counts: dict[tuple[tuple[str, str], ...], int] = {}
    for view in views:
        if view.environment:
            key = tuple(view.environment)
            counts[key] = counts.get(key, 0) + 1
    return [(list(facts), count) for facts, count in counts.items()]
