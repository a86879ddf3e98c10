"""`limpid data`: which sets are there, whether they are whole, how to get them, and made ones."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, TypedDict

from limpid.commands.command_parser import CommandParser, flag_of
from limpid.config import recipes
from limpid.errors import UserError, nearest, printable
from limpid.paths import config_folders
from limpid.store.atomic_io import json_text

_EXAMPLES = """Images go below the output, by default into made/ below the data root; an interrupted run goes on there.

  limpid data make haze --input nyu_depth --count 50
  limpid data make sand --input photos/ --depth stand_in
  limpid data make div2k_hybrid --input scenes --count 100 --height 256 --width 256"""


class SplitFacts(TypedDict):
    """What is known of one split of a set.

    Attributes:
        split: its name.
        images: how many there are; None where it is missing.
        expected: how many the publisher's split has; None where nobody says.
        why_not: why it cannot be used, or None.
    """

    split: str
    images: int | None
    expected: int | None
    why_not: str | None


class SetFacts(TypedDict):
    """What is known of a set: what its card says, and whether it is there.

    Attributes:
        name: of the card.
        domain: its degradation.
        kind: such as ``pairs``.
        present: whether any split is there.
        version: which of several published versions the card describes.
        licence: under which terms the publisher gives the set.
        url: the publisher's page.
        how_to_get: a sentence that says how to get it.
        root_dir: the folder it lies in, or None.
        splits: what is known of each.
        why_not: why it cannot be used, or None.
    """

    name: str
    domain: str | None
    kind: str
    present: bool
    version: str | None
    licence: str | None
    url: str | None
    how_to_get: str | None
    root_dir: str | None
    splits: list[SplitFacts]
    why_not: str | None


def run(arguments: list[str]) -> int:
    """The exit status after doing what is asked of the sets: 2 where `check` finds a problem."""
    chosen = _parser(makes=arguments[:1] == ["make"]).parse_args(arguments)
    root = str(Path(chosen.data_root).expanduser())
    if chosen.what == "make":
        return _make(chosen, root)
    if chosen.what == "list":
        return _list(cards(root), chosen.format, root, chosen.allow_targets)
    if chosen.what == "fetch":
        return _fetch(cards(root, chosen.names), root)
    return _check(cards(root, chosen.names), chosen.format, chosen.allow_targets)


def _parser(makes: bool) -> CommandParser:
    """The parser; the files of conf/make are read only where one is asked for."""
    parser = CommandParser(prog="limpid data", description="The data sets that Limpid knows.")
    commands = parser.add_subparsers(dest="what", required=True, metavar="list|check|make|fetch")
    listing = commands.add_parser("list", help="every set: what it is, whether it is there, how many images it has")
    checking = commands.add_parser("check", help="read a set's files and name what is wrong with them")
    checking.add_argument("names", nargs="+", metavar="NAME", help="a set, as `limpid data list` names it")
    fetching = commands.add_parser("fetch", help="download a set where that can be verified; else say how to obtain it")
    fetching.add_argument("names", nargs="+", metavar="NAME", help="a set, as `limpid data list` names it")
    making = commands.add_parser("make", help="make a set from clean images", epilog=_EXAMPLES)
    for command in (listing, checking):
        command.add_argument("--format", choices=("rich", "json"), default="rich", help="rich (default) or json")
        command.add_argument(
            "--allow-targets",
            action="append",
            default=[],
            metavar="PACKAGE",
            help="a package of your own that a card may name; may be repeated",
        )
    for command in (listing, checking, fetching):
        _add_data_root(command)
    if makes:
        names = making.add_subparsers(dest="name", required=True, metavar="NAME")
        for name in makeable():
            _add_making(names.add_parser(name, help=_summary(name), epilog=_EXAMPLES), name)
    return parser


def _add_data_root(parser: argparse.ArgumentParser) -> None:
    default = os.environ.get("LIMPID_DATA") or "data"
    text = "where the sets lie (default: LIMPID_DATA, else data)"
    parser.add_argument("--data-root", default=default, metavar="DIR", help=text)


def _add_making(parser: argparse.ArgumentParser, name: str) -> None:
    """Give `parser` what every set takes that is made, and the settings of the operator of this one."""
    add = parser.add_argument
    add(
        "--input", metavar="SOURCE", help="a folder of clean images, a set such as nyu_depth or did_mdn:test, or scenes"
    )
    add("--output", metavar="DIR", help="where the set is made (made/ below the data root)")
    add("--count", type=int, metavar="N", help="how many images of each split; by default one of each input")
    add("--seed", type=int, metavar="N", help="of all that is drawn (0)")
    add("--workers", type=int, default=1, metavar="N", help="processes; the images do not depend on them (1)")
    add("--split", nargs="+", metavar="NAME", help="which splits of the set")
    add("--crop", type=int, metavar="PIXELS", help="side of a random window that is degraded")
    add("--depth", metavar="DIR", help="a folder with a .npy for each image, or stand_in, which guesses the depth")
    add("--frames", type=int, metavar="N", help="average N successive frames, where the set is made so")
    add("--height", type=int, metavar="PIXELS", help="of scenes (240)")
    add("--width", type=int, metavar="PIXELS", help="of scenes (320)")
    _add_data_root(parser)
    from limpid.data.make import WORDS

    content = recipes.option("make", name)
    operator = {**content.get("averaged", {}), **content["degradation"]}
    settings = parser.add_argument_group("settings of the degradation")
    for key, default in operator.items():
        if key not in ("_target_", *WORDS):
            _add_setting(settings, key, default)


def _add_setting(group: argparse._ArgumentGroup, key: str, default: object) -> None:
    """Give `group` the flag of an operator's setting; None, its default, leaves the setting as conf/make has it."""
    shown = " ".join(map(str, default)) if isinstance(default, list) else default
    if isinstance(default, list):
        group.add_argument(flag_of(key), dest=key, nargs="+", type=number, metavar="X", help=f"default: {shown}")
    elif isinstance(default, int | float):
        group.add_argument(flag_of(key), dest=key, type=number, metavar="X", help=f"default: {shown}")
    else:
        group.add_argument(flag_of(key), dest=key, metavar="NAME", help=f"default: {shown}")


def number(text: str) -> int | float:
    """The number that `text` is, an int where it is whole.

    Raises:
        ValueError: it is none.
    """
    try:
        return int(text)
    except ValueError:
        return float(text)


def known() -> list[str]:
    """The names of all cards, the user's own among them."""
    return recipes.names("dataset")


def cards(root: str, names: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    """The cards of sets as plain values, by name.

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
    return recipes.options("dataset", list(names or there), root)


def describe(name: str, card: Mapping[str, Any], allow: Sequence[str] = ()) -> SetFacts:
    """The facts of a card and whether its set is there, as plain values."""
    from limpid.data.check import splits_of

    facts: SetFacts = {
        "name": name,
        "domain": card.get("domain"),
        "kind": "pairs",
        "present": False,
        "version": card.get("version"),
        "licence": card.get("licence"),
        "url": card.get("url"),
        "how_to_get": card.get("how_to_get"),
        "root_dir": None,
        "splits": [],
        "why_not": None,
    }
    try:
        sets = splits_of(card, f"set {name}", allow)
    except UserError as error:
        facts["why_not"] = str(error)
        return facts
    facts["kind"] = next((getattr(images, "kind", "pairs") for images in sets.values()), "pairs")
    for split, images in sets.items():
        entry: SplitFacts = {
            "split": split,
            "images": None,
            "expected": images.expected,
            "why_not": images.why_missing(),
        }
        if entry["why_not"] is None:
            try:
                entry["images"] = len(images)
                facts["present"] = True
            except UserError as error:
                entry["why_not"] = str(error)
            if facts["root_dir"] is None and hasattr(images, "root_dir"):
                facts["root_dir"] = str(images.root_dir)
        facts["splits"].append(entry)
    if not facts["present"]:
        facts["why_not"] = " ".join(dict.fromkeys(str(entry["why_not"]) for entry in facts["splits"]))
    return facts


def makeable() -> list[str]:
    """The names of the sets that `limpid data make` can make."""
    return recipes.names("make")


def _summary(name: str) -> str:
    """The first sentence of the comment that begins a file of conf/make, without the command: what it makes."""
    files = [folder / "make" / f"{name}.yaml" for folder in config_folders("conf")]
    file = next(file for file in files if file.is_file())
    lines = takewhile(lambda line: line.startswith("#"), file.read_text(encoding="utf-8").splitlines())
    comment = " ".join(line.lstrip("# ") for line in lines)
    return comment.rpartition("`: ")[2].partition(". ")[0].replace("%", "%%")


def _make(chosen: argparse.Namespace, root: str) -> int:
    """The exit status after making a set, one split after the other."""
    from limpid.data.make import make, plan_jobs

    if chosen.workers < 1:
        raise UserError(f"workers is {chosen.workers}, but it must be a whole number from 1 on.")
    words = {key: value for key, value in vars(chosen).items() if value is not None}
    for key in ("what", "name", "data_root"):
        words.pop(key)
    jobs = plan_jobs(chosen.name, words, root)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    from limpid import consoles

    with Progress(*columns, console=consoles.progress(), transient=True) as bar:
        tasks = {job.split: bar.add_task(f"{job.name} {job.split}", total=None) for job in jobs}

        def show(done: int, total: int, split: str) -> None:
            bar.update(tasks[split], completed=done, total=total)

        for job in jobs:
            made = make(job, chosen.workers, show)
            print(f"{job.name} {job.split}: {made} images made in {job.folder}; {job.manifest} lists all.")
    return 0


def _fetch(found: Mapping[str, Mapping[str, object]], root: str) -> int:
    from limpid.data.fetch import fetch

    def told(name: str, there: int, total: int) -> None:
        print(f"\r{name}: {there / 1e6:.0f} of {total / 1e6:.0f} MB", end="", file=sys.stderr, flush=True)
        if there == total:
            print(file=sys.stderr)

    for name, card in found.items():
        print(f"{name}: {fetch(name, card, Path(root), told)}")
    return 0


def _list(found: Mapping[str, Mapping[str, object]], form: str, root: str, allow: Sequence[str]) -> int:
    entries = [describe(name, card, allow) for name, card in found.items()]
    if form == "json":
        print(json_text(entries, indent=2))
        return 0
    from rich.table import Table

    from limpid.consoles import answers

    table = Table(header_style="bold", caption=f"Sets below {root}; `limpid data check NAME` reads their files.")
    for column in ("set", "domain", "kind", "there", "images of the published"):
        table.add_column(column)
    for entry in entries:
        counts = ", ".join(map(_counts, entry["splits"]))
        table.add_row(entry["name"], entry["domain"], entry["kind"], "yes" if entry["present"] else "no", counts)
    answers().print(table)
    return 0


def _counts(split: SplitFacts) -> str:
    """The number of images of a split beside that of the published one, such as ``test 98/100``."""
    there = "-" if split["images"] is None else split["images"]
    return f"{split['split']} {there}/{split['expected'] or '?'}"


def _check(found: Mapping[str, Mapping[str, object]], form: str, allow: Sequence[str]) -> int:
    from limpid.data.check import check, splits_of

    reports = [check(name, splits_of(card, f"set {name}", allow), _progress) for name, card in found.items()]
    if form == "json":
        print(json_text([report.plain() for report in reports], indent=2))
    else:
        for report in reports:
            for split, count in report.splits.items():
                print(f"{report.name} {split}: {count['images']} images of {count['expected'] or 'an unknown number'}")
            for problem in report.problems:
                print(printable(f"problem ({problem.kind}): {problem.message}"))
            for note in report.notes:
                print(printable(f"note: {note}"))
            print(f"{report.name}: {len(report.problems) or 'no'} problem{'s' * (len(report.problems) != 1)} found.")
    return 2 if any(report.problems for report in reports) else 0


def _progress(done: int, total: int) -> None:
    if done == total or done % 20 == 0:
        print(f"\rread {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
