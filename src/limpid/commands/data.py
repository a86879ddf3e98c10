"""`limpid data`: which sets are there, whether they are whole, how to get them, and made ones."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limpid.errors import UserError, nearest
from limpid.paths import config_folders

_ROOT = "data.root="
_ALLOW = "allow_targets="
_MAKING = """input=FOLDER of clean images, or a set such as nyu_depth or did_mdn:test, or scenes (needs no files)
output=FOLDER    made below data.root by default; a run that was interrupted goes on there
count=N          how many images of each split; by default one of each input
seed=0 workers=1 the images depend on the seed, not on the number of processes
split=NAME crop=PIXELS depth=FOLDER|stand_in frames=N height=240 width=320, and the operator's own settings

  limpid data make haze input=nyu_depth count=50
  limpid data make sand input=photos/ depth=stand_in
  limpid data make div2k_hybrid input=scenes count=100 height=256 width=256"""


def run(arguments: list[str]) -> int:
    """Do what is asked of the sets; the exit status: 2 where `check` finds a problem."""
    if arguments[:1] == ["make"] and not {"-h", "--help"} & set(arguments):
        return _make(arguments[1:])
    root = os.environ.get("LIMPID_DATA") or "data"
    allow: list[str] = []
    words = []
    for argument in arguments:
        if argument.lstrip("+").startswith(_ROOT):
            root = str(Path(argument.partition("=")[2]).expanduser())
        elif argument.startswith(_ALLOW):
            allow = [package.strip() for package in argument.removeprefix(_ALLOW).strip("[]").split(",")]
        else:
            words.append(argument)
    chosen = _parser().parse_args(words)
    if chosen.what == "make":
        raise UserError(f"Say what to make: {', '.join(makeable())}.")
    if chosen.what == "list":
        return _list(cards(root), chosen.format, root, allow)
    if chosen.what == "fetch":
        return _fetch(cards(root, chosen.names), root)
    return _check(cards(root, chosen.names), chosen.format, allow)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="limpid data", description="The data sets that Limpid knows.")
    verbs = parser.add_subparsers(dest="what", required=True, metavar="list|check|make|fetch")
    listing = verbs.add_parser("list", help="every set: what it is, whether it is there, how many images it has")
    checking = verbs.add_parser("check", help="read a set's files and name what is wrong with them")
    checking.add_argument("names", nargs="+", metavar="NAME", help="a set, as `limpid data list` names it")
    fetching = verbs.add_parser("fetch", help="download a set where that can be verified; else say how to obtain it")
    fetching.add_argument("names", nargs="+", metavar="NAME", help="a set, as `limpid data list` names it")
    making = verbs.add_parser("make", help="make a set from clean images", epilog=_MAKING)
    making.formatter_class = argparse.RawDescriptionHelpFormatter
    making.add_argument("name", choices=makeable(), metavar="NAME", help=", ".join(makeable()))
    making.add_argument("words", nargs="*", metavar="KEY=VALUE")
    for verb in (listing, checking):
        verb.add_argument("--format", choices=("rich", "json"), default="rich", help="rich (default) or json")
    for verb in (listing, checking, fetching):
        verb.epilog = "data.root=DIR says where the sets lie; else LIMPID_DATA does, else ./data is taken."
    return parser


def known() -> list[str]:
    """The names of all cards, the user's own among them."""
    return sorted({file.stem for folder in config_folders("conf") for file in (folder / "dataset").glob("*.yaml")})


def cards(root: str, names: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    """Cards as plain values, by name.

    Args:
        root: the data root.
        names: which; None for all.

    Raises:
        UserError: there is no card of that name.
    """
    there = known()
    for name in names or ():
        if name not in there:
            raise UserError(f"There is no set {name!r}{nearest(name, there) or '; `limpid data list` names all.'}")
    from hydra import compose, initialize
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    from limpid.config import compose as limpid_compose

    limpid_compose.register()
    GlobalHydra.instance().clear()  # its search path may be that of another folder
    with initialize(config_path=None, version_base="1.3"):
        config = compose(overrides=[f"+dataset@cards.{name}={name}" for name in names or there])
    OmegaConf.set_struct(config, False)
    config.data = {"root": root}
    plain = OmegaConf.to_container(config.cards, resolve=True)
    assert isinstance(plain, dict)
    return {str(name): card for name, card in plain.items()}


def describe(name: str, card: Mapping[str, Any], allow: Sequence[str] = ()) -> dict[str, Any]:
    """What a card says and whether its set is there, as plain values."""
    from limpid.data.check import splits_of

    told: dict[str, Any] = {"name": name, "domain": card.get("domain"), "kind": _kind(card), "present": False}
    told |= {key: card.get(key) for key in ("version", "licence", "url", "obtain")}
    told |= {"home": None, "splits": [], "why_not": None}
    try:
        sets = splits_of(card, f"set {name}", allow)
    except UserError as error:
        return told | {"why_not": str(error)}
    for split, images in sets.items():
        entry = {"split": split, "images": None, "expected": images.expected, "why_not": images.missing()}
        if entry["why_not"] is None:
            try:
                entry["images"] = len(images)
                told["present"] = True
            except UserError as error:
                entry["why_not"] = str(error)
            told["home"] = told["home"] or (str(images.home) if hasattr(images, "home") else None)
        told["splits"].append(entry)
    if not told["present"]:
        told["why_not"] = " ".join(dict.fromkeys(str(entry["why_not"]) for entry in told["splits"]))
    return told


def makeable() -> list[str]:
    """What `limpid data make` can make."""
    return sorted({file.stem for folder in config_folders("conf") for file in (folder / "make").glob("*.yaml")})


def _make(arguments: list[str]) -> int:
    """Make a set; every split in turn."""
    import yaml

    from limpid.data.make import make, plan

    root = os.environ.get("LIMPID_DATA") or "data"
    names, words = [], {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            names.append(argument)
        elif argument.startswith(_ROOT):
            root = str(Path(value).expanduser())
        else:
            # A path stays as it was typed, whatever YAML would read in it.
            words[key] = value if key in ("input", "output", "depth") else yaml.safe_load(value)
    if len(names) != 1:
        raise UserError(f"Say what to make: one of {', '.join(makeable())}, then KEY=VALUE words.")
    workers = words.get("workers", 1)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise UserError(f"workers is {workers!r}, but it must be a whole number from 1 on.")
    jobs = plan(names[0], words, root)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks = {job.split: bar.add_task(f"{job.name} {job.split}", total=None) for job in jobs}
        for job in jobs:
            made = make(job, workers, lambda done, total, split: bar.update(tasks[split], completed=done, total=total))
            print(f"{job.name} {job.split}: {made} images made in {job.folder}; {job.manifest} lists all.")
    return 0


def _fetch(found: Mapping[str, Mapping[str, Any]], root: str) -> int:
    from limpid.data.fetch import fetch

    def told(name: str, there: int, total: int) -> None:
        print(f"\r{name}: {there / 1e6:.0f} of {total / 1e6:.0f} MB", end="", file=sys.stderr, flush=True)
        if there == total:
            print(file=sys.stderr)

    for name, card in found.items():
        print(f"{name}: {fetch(name, card, Path(root), told)}")
    return 0


def _kind(card: Mapping[str, Any]) -> str:
    kinds = {"Images": "without references", "Clean": "clean", "CleanPart": "clean"}
    kinds |= dict.fromkeys(("Degraded", "Draws", "Further"), "degraded when loaded")
    return kinds.get(str(card.get("_target_", "")).rpartition(".")[2], "pairs")


def _list(found: Mapping[str, Mapping[str, Any]], form: str, root: str, allow: Sequence[str]) -> int:
    entries = [describe(name, card, allow) for name, card in found.items()]
    if form == "json":
        print(json.dumps(entries, indent=2, ensure_ascii=False))
        return 0
    from rich.table import Table

    from limpid.results.stdout_console import answers

    table = Table(header_style="bold", caption=f"Sets below {root}; `limpid data check NAME` reads their files.")
    for column in ("set", "domain", "kind", "there", "images of the published"):
        table.add_column(column)
    for entry in entries:
        counts = ", ".join(
            f"{split['split']} {'-' if split['images'] is None else split['images']}/{split['expected'] or '?'}"
            for split in entry["splits"]
        )
        table.add_row(entry["name"], entry["domain"], entry["kind"], "yes" if entry["present"] else "no", counts)
    answers().print(table)
    return 0


def _check(found: Mapping[str, Mapping[str, Any]], form: str, allow: Sequence[str]) -> int:
    from limpid.data.check import check, splits_of

    reports = [check(name, splits_of(card, f"set {name}", allow), _progress) for name, card in found.items()]
    if form == "json":
        print(json.dumps([report.plain() for report in reports], indent=2, ensure_ascii=False))
    else:
        for report in reports:
            for split, count in report.splits.items():
                print(f"{report.name} {split}: {count['images']} images of {count['expected'] or 'an unknown number'}")
            for problem in report.problems:
                print(f"problem ({problem.kind}): {problem.says}")
            for note in report.notes:
                print(f"note: {note}")
            print(f"{report.name}: {len(report.problems) or 'no'} problem{'s' * (len(report.problems) != 1)} found.")
    return 2 if any(report.problems for report in reports) else 0


def _progress(done: int, total: int) -> None:
    if done == total or done % 20 == 0:
        print(f"\rread {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
