"""`limpid zoo`: trained weights, what is known of them, and how new ones come in."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from limpid import zoo
from limpid.commands.command_parser import CommandParser
from limpid.errors import UserError
from limpid.store.atomic_io import json_text
from limpid.store.run_directory import Run
from limpid.zoo.listing import IN_WORDS, in_words, licence_in_short, measurements, scores_in_short, whereabouts

if TYPE_CHECKING:
    from limpid.offers import Offer
    from limpid.zoo import Card

_EPILOG = """Take weights by `ckpt=zoo:NAME` (test, predict, profile), by `limpid predict model=NETWORK`, or in Python
by limpid.load("zoo:NAME"). Your own entries lie in LIMPID_ZOO, by default ~/.cache/limpid/zoo. Weights that others
publish are fetched when they are first used by their name, and kept in ~/.cache/limpid/published.

  limpid zoo list
  limpid zoo add runs/rfd/table5/student/mini/seed-0 --name my_student --task haze
  limpid zoo import ffa_net its_train_ffa_3_19.pk --name ffa_its --task haze
  limpid zoo measure my_student data=sots_indoor data.root=/data"""
#: Fields of a card that can be said on the command line.
_SAID = {
    "task": "what they take away: haze, rain, blur, hybrid, sand ...",
    "trained_on": "the data in words",
    "licence": "of the weights",
    "data_licence": "of the data they were trained on",
    "good_for": "a sentence or two",
    "limits": "a sentence or two",
    "bar": "what was demanded of them, and what came out",
}


def run(arguments: list[str]) -> int:
    """The exit status, after doing what is asked of the zoo."""
    chosen = _parser().parse_args(arguments)
    if chosen.what == "list":
        return _list(chosen.format)
    if chosen.what == "show":
        return _show(chosen.name, chosen.format)
    if chosen.what == "check":
        return _check()
    if chosen.what == "measure":
        return _measure(chosen)
    return _enter(chosen)


def _parser() -> CommandParser:
    parser = CommandParser(prog="limpid zoo", description="Trained weights and their cards.", epilog=_EPILOG)
    subcommands = parser.add_subparsers(dest="what", required=True, metavar="list|show|check|add|import|measure")
    listing = subcommands.add_parser("list", help="every entry: network, task, what it was trained on, size")
    showing = subcommands.add_parser("show", help="all that a card says")
    showing.add_argument("name", metavar="NAME")
    subcommands.add_parser("check", help="compare every file of weights with its card's sha256")
    adding = subcommands.add_parser("add", help="make an entry from a run or a checkpoint")
    adding.add_argument("source", metavar="RUN|CKPT", type=Path, help="a directory of the run store, or a checkpoint")
    importing = subcommands.add_parser("import", help="make an entry from weights that others published")
    importing.add_argument("network", metavar="NETWORK", help="as conf/network names it, such as ffa_net")
    importing.add_argument(
        "source",
        metavar="FILE",
        type=Path,
        help="a state dict (.pth, .pt, ...), .safetensors, .mat, .caffemodel, TensorFlow's .index or a folder of them",
    )
    importing.add_argument(
        "--with",
        dest="further",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a further file of the same weights, such as MSCNN's second",
    )
    importing.add_argument(
        "settings", metavar="KEY=VALUE", nargs="*", help="settings of the network, such as blocks=19"
    )
    adding.add_argument("--name", required=True, help="of the entry: small letters, digits, _ and -")
    importing.add_argument("--name", help="of the entry; by default NETWORK_imported")
    for subcommand in (adding, importing):
        subcommand.add_argument("--to", type=Path, help="the zoo it goes to; by default your own")
        subcommand.add_argument("--default", action="store_true", help="make it what `predict model=NETWORK` takes")
        subcommand.add_argument("--overwrite", action="store_true", help="replace an entry of that name")
        subcommand.add_argument(
            "--alias",
            dest="aliases",
            metavar="NAME",
            action="append",
            help="a name of a task, such as haze, that stands for them",
        )
        subcommand.add_argument("--bar-held", choices=("yes", "no"), help="whether they reached the bar")
        for field, text in _SAID.items():
            subcommand.add_argument(f"--{field.replace('_', '-')}", help=text)
    measuring = subcommands.add_parser("measure", help="test and time an entry or a prior, and write it into its card")
    measuring.add_argument("name", metavar="NAME", help="of an entry, or of a prior such as dcp")
    measuring.add_argument(
        "words",
        metavar="OVERRIDE",
        nargs="*",
        help="as of limpid test: data=sots_indoor data.root=DIR; none tests no set",
    )
    measuring.add_argument("--scores-only", action="store_true", help="leave seconds and memory as the card has them")
    for subcommand in (listing, showing):
        subcommand.add_argument("--format", choices=("rich", "json"), default="rich", help="rich (default) or json")
    return parser


def _list(form: str) -> int:
    from limpid.offers import all_offers, by_task

    groups = by_task(all_offers())
    if form == "json":
        print(json_text(list(map(_everything, chain.from_iterable(groups.values()))), indent=2))
        return 0
    from rich.table import Table

    from limpid.consoles import answers

    table = Table(header_style="bold", box=None, padding=(0, 1, 0, 0))
    for column in ("name", "alias", "task", "measured on", "input", "PSNR", "gain", "s/MP", "here", "licence"):
        numeric = column in ("input", "PSNR", "gain", "s/MP")
        table.add_column(column, justify="right" if numeric else "left", no_wrap=column == "name")
    for number, offers in enumerate(groups.values()):
        if number:
            table.add_row()
        for offer in offers:
            table.add_row(*_line(offer))
    answers().print(table)
    listed = [offer.card for offer in chain.from_iterable(groups.values())]
    print("PSNR in dB, the gain over the untouched input; s/MP: seconds of one core for a megapixel.")
    if any(isinstance(card, zoo.Card) and card.bar_held is False for card in listed):
        print("! missed what was demanded of it, so that nothing takes it by itself.")
    print("* what `limpid predict model=NETWORK` takes. - needs no weights. `limpid zoo show NAME` says more.")
    return 0


def _line(offer: Offer) -> tuple[str, ...]:
    """What the table says of a method."""
    from limpid.offers import score_of, tasks_of

    card = offer.card
    found = score_of(offer)
    numbers = ("", "", "", "") if found is None else scores_in_short(*found)
    seconds = "" if card.seconds_per_megapixel is None else _seconds(card.seconds_per_megapixel)
    if not isinstance(card, zoo.Card):
        return card.name, "", ", ".join(tasks_of(offer)), *numbers, seconds, "-", "-"
    name = f"{card.name}{'*' if offer.default else ''}{'!' if card.bar_held is False else ''}"
    aliases = [alias for alias, own in zoo.aliases().items() if own == card]
    return name, ", ".join(aliases), card.task, *numbers, seconds, whereabouts(card), licence_in_short(card)


def _seconds(value: float) -> str:
    """A time in at most two digits."""
    return f"{value:.2g}" if value >= 0.1 else f"{value:.2f}"


def _everything(offer: Offer) -> dict[str, object]:
    """All that is known of a method, as plain values."""
    from limpid.offers import tasks_of

    card = offer.card
    if isinstance(card, zoo.Card):
        return {**_plain(card), "kind": "weights", "at_hand": card.at_hand}
    plain = {key: value for key, value in dataclasses.asdict(card).items() if key != "file"}
    return {**plain, "kind": "prior", "task": ", ".join(tasks_of(offer)), "at_hand": True}


def _show(name: str, form: str) -> int:
    bare = name.removeprefix(zoo.PREFIX)
    is_named = bare != name or bare in zoo.cards() or bare in zoo.aliases()
    offer = None if is_named else _prior(bare)
    if offer is not None:
        return _show_prior(offer, form)
    card = zoo.find(bare)
    if form == "json":
        print(json_text(_plain(card), indent=2))
        return 0
    from limpid.zoo.published import how_to_get

    facts = {key: value for key, value in card.plain().items() if key not in IN_WORDS}
    facts |= in_words(card)
    settings = ", ".join(f"{key}={value}" for key, value in card.network_config.items())
    facts["settings"] = settings or "the registry's"
    if card.get:
        del facts["bytes"]
        facts["get"] = how_to_get(card)
    else:
        facts["file"] = str(card.weights) if card.at_hand else f"{card.weights} (not fetched yet)"
    width = max(map(len, facts))
    for key, value in facts.items():
        shown = f"{value:,}" if key in ("bytes", "parameters", "steps") else value
        print(f"{key.replace('_', ' '):<{width}}  {shown}")
    for line in measurements(card):
        print(f"  {line}")
    for file in card.files:
        print(f"  {file['url']}: {file['bytes']:,} bytes, sha256 {file['sha256']}")
    return 0


def _prior(name: str) -> Offer | None:
    """The prior of that name that suits a weather, or None."""
    from limpid.offers import all_offers

    priors = (offer for offer in all_offers() if not isinstance(offer.card, zoo.Card))
    return next((offer for offer in priors if offer.name == name), None)


def _show_prior(offer: Offer, form: str) -> int:
    if form == "json":
        print(json_text(_everything(offer), indent=2))
        return 0
    from limpid.offers import tasks_of

    facts = {"name": offer.name, "task": ", ".join(tasks_of(offer)), "about": offer.about, "limits": offer.limits}
    for key, value in facts.items():
        if value:
            print(f"{key:<6}  {value}")
    for line in measurements(offer.card):
        print(f"  {line}")
    return 0


def _check() -> int:
    """The exit status after every entry was verified: 2 where one is damaged. Nothing is fetched."""
    from limpid.zoo.published import state

    problems = []
    for card in zoo.cards().values():
        try:
            print(f"{card.name}: {state(card)}")
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
    return 0


def _measure(chosen: argparse.Namespace) -> int:
    from limpid.runs.measuring import entry, measure

    card = measure(entry(chosen.name), chosen.words, cost=not chosen.scores_only)
    for line in measurements(card):
        print(line)
    print(f"written into {card.file}")
    return 0


def _enter(chosen: argparse.Namespace) -> int:
    from limpid.zoo import create

    name = chosen.name or f"{chosen.network}_imported"
    folder = chosen.to or zoo.own_folder()
    _refuse_taken(name, folder, chosen.overwrite)
    _refuse_aliases(chosen.aliases or (), name, folder)
    said: dict[str, object] = {field: getattr(chosen, field) for field in _SAID}
    said |= {"default": True if chosen.default else None, "aliases": chosen.aliases}
    said["bar_held"] = None if chosen.bar_held is None else chosen.bar_held == "yes"
    if chosen.what == "add":
        from limpid.runs.measuring import scores_of

        said["scores"] = scores_of(Run(chosen.source)) if chosen.source.is_dir() else None
        card = create.add(name, chosen.source, folder, **said)
    else:
        settings = dict(map(_setting, chosen.settings))
        sources = [chosen.source, *chosen.further]
        card = create.published(chosen.network, sources, name, folder, settings, **said)
    print(
        f"{zoo.PREFIX}{card.name}: {card.parameters:,} parameters of {card.network}, {card.bytes:,} bytes in {folder}"
    )
    return 0


def _refuse_taken(name: str, folder: Path, overwrite: bool) -> None:
    """Refuse a name that is taken in `folder`, or in a zoo that is looked at before it."""
    own = folder.resolve()
    looked_at = [other.resolve() for other in zoo.folders()]
    before = looked_at[: looked_at.index(own)] if own in looked_at else []
    for other in (*before, *([] if overwrite else [own])):
        if (other / f"{name}.yaml").is_file():
            remedy = "give another --name" + (", or add --overwrite" if other == own else "")
            raise UserError(f"There is an entry {name} in {other} already; {remedy}.")


def _refuse_aliases(aliases: Sequence[str], name: str, folder: Path) -> None:
    """Refuse an alias that names something else, or that another card of the folder has, for one of them would win."""
    from limpid.config.recipes import names

    for alias in aliases:
        taken = {"a model": names("model"), "a network": names("network"), "an entry of the zoo": list(zoo.cards())}
        what = next((kind for kind, known in taken.items() if alias in known), None)
        if what is not None:
            raise UserError(f"The alias {alias} is the name of {what} already; give another --alias.")
        other = zoo.aliases().get(alias)
        if other is not None and other.name != name and other.file.parent.resolve() == folder.resolve():
            raise UserError(
                f"The alias {alias} stands for {other.name} in {folder} already; take it from {other.file} first, or "
                "give another --alias."
            )


def _setting(word: str) -> tuple[str, object]:
    """The name and the value in a word such as ``blocks=19``."""
    import yaml

    key, separator, value = word.partition("=")
    if not separator:
        raise UserError(f"{word!r} is no setting of the network; give KEY=VALUE, such as blocks=19.")
    return key.removeprefix("network."), yaml.safe_load(value)


def _plain(card: Card) -> dict[str, object]:
    """The card with the place of its weights, and whether they are there."""
    return {**dataclasses.asdict(card), "file": str(card.weights), "at_hand": card.at_hand}
