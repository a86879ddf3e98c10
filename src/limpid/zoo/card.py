"""What a zoo card says, and which cards there are."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from limpid.config.yaml_files import values_of
from limpid.errors import UserError, nearest
from limpid.paths import home
from limpid.zoo import kept
from limpid.zoo.fields import fields_of, require
from limpid.zoo.measured import CardScores, refuse_scores

#: What a checkpoint's place begins with where it is the name of a card.
PREFIX = "zoo:"
#: Names that need no quotes on a command line and are file names everywhere.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of one set of weights.

    Most lie beside their card. Those of a card with `files` are fetched from who published them when they are first
    used (`limpid.zoo.published`); a card with `get` says how somebody can get and import them.

    Attributes:
        name: by which `ckpt=zoo:NAME` takes them; also the stem of both files.
        network: the registry's name of the network.
        network_config: the settings it is built with, plain values.
        sha256: of the file of weights, in hex; empty where they have first to be fetched or got.
        bytes: length of that file, or of all that is fetched.
        parameters: number of the network's parameters.
        task: what it takes away, such as ``haze``, ``rain``, ``blur``, ``hybrid`` or ``sand``.
        trained_on: the data recipe, or the data in words.
        licence: of the weights.
        data_licence: of what they were trained on.
        date: when they were trained or imported, ``YYYY-MM-DD``.
        default: whether `limpid predict model=NETWORK` takes these of several of that network.
        budget: how much of the paper's training was done; None where it was not trained here.
        row: ``paper/table/row`` of the run, if it was one.
        steps: batches trained.
        seed: of the run.
        commit: of the checkout that trained them; with a ``+`` where files differed from it.
        source: where weights that were not trained here come from.
        aliases: names of a task, such as ``haze``, of which these weights are the default.
        scores: by set and metric ``{value, n, protocol}``, the mean over n images, and beside it the `input`'s and the
            `interval` of the gain; see `limpid.zoo.measured.CardScore`.
        bar: what was demanded of these weights, and what came out, in words.
        bar_held: whether they reached it; where they did not, nothing takes them unless they are asked for by name.
        seconds_per_megapixel: what restoring a photograph of a megapixel takes, as `limpid predict` does it.
        memory_per_megapixel: the growth of memory while it does, in units of 2^20 bytes.
        measured_on: the machine on which these two were measured.
        good_for: a sentence or two.
        limits: a sentence or two.
        restore_at: the megapixels at which these weights saw scenes in training; larger photographs are restored at
            that size, and the change is carried to theirs. None restores them at their own.
        files: what others publish, of which the weights are made.
        get: what to download by hand and where from, in a sentence or two.
        file: the card's own file; not written into it.
    """

    name: str
    network: str
    network_config: dict[str, Any]
    sha256: str = ""
    bytes: int = 0
    parameters: int
    task: str
    trained_on: str
    licence: str
    data_licence: str
    date: str
    default: bool = False
    budget: str | None = None
    row: str | None = None
    steps: int | None = None
    seed: int | None = None
    commit: str | None = None
    source: str | None = None
    aliases: list[str] = dataclasses.field(default_factory=list)
    scores: CardScores = dataclasses.field(default_factory=dict)
    bar: str = ""
    bar_held: bool | None = None
    seconds_per_megapixel: float | None = None
    memory_per_megapixel: float | None = None
    measured_on: str | None = None
    good_for: str = ""
    limits: str = ""
    restore_at: float | None = None
    files: list[kept.PublishedFile] = dataclasses.field(default_factory=list)
    get: str = ""
    file: Path = Path()

    @property
    def weights(self) -> Path:
        """The file of weights: beside the card, or for a card with `files` where they are kept once they are made."""
        if not self.files:
            return self.file.with_suffix(".safetensors")
        sums = [file["sha256"] for file in self.files]
        return kept.converted(self.name, self.network, self.network_config, sums) / f"{self.name}.safetensors"

    @property
    def at_hand(self) -> bool:
        """Whether the weights are on this machine: beside the card, or fetched, or put where those fetched lie."""
        if self.get:
            return False
        return not self.files or self.weights.is_file() or not kept.missing(self.name, self.files)

    def plain(self) -> dict[str, object]:
        """The card as plain values in the order of its fields, without those that are None or empty."""
        fields = dataclasses.asdict(self)
        values: dict[str, object] = {}
        for name, value in fields.items():
            if name not in ("file", "default") and value not in (None, "", []) and (value or name != "scores"):
                values[name] = value
        if self.files:
            del values["bytes"]  # their sum
        return {**values, "default": True} if self.default else values

    def provenance(self) -> dict[str, object]:
        """The facts that a run with these weights records of them."""
        known = {"row": self.row, "budget": self.budget, "seed": self.seed, "data": self.trained_on, "step": self.steps}
        return {"zoo": self.name, **known}

    def summary(self) -> str:
        """The line that says which weights these are."""
        training = []
        if self.row:
            training.append(f"row {self.row}")
        if self.budget:
            training.append(f"budget {self.budget}")
        if self.steps:
            training.append(f"{self.steps:,} steps")
        if self.source:
            training.append(f"from {self.source}")
        inside = f" ({', '.join(training)})" if training else ""
        return f"{PREFIX}{self.name}, trained on {self.trained_on}{inside}"

    def verify(self) -> None:
        """Compare the file of weights with the card.

        Raises:
            UserError: it is missing or is not the file that the card describes.
        """
        if not self.weights.is_file():
            raise UserError(f"The zoo card {self.file} has no weights beside it ({self.weights.name} is missing).")
        digest = sha256(self.weights)
        if digest != self.sha256:
            raise UserError(
                f"The weights {self.weights} are damaged or were exchanged: their sha256 is {digest[:12]}..., and the "
                f"card says {self.sha256[:12]}...; copy or install them again."
            )


def parse(content: object, file: Path) -> Card:
    """The card with the plain values `content`, found in `file`.

    Raises:
        UserError: a field is missing, unknown or of another kind, or the name is not the file's.
    """
    fields = fields_of(Card, content, file)
    _check_whereabouts(fields, file)
    card = Card(**fields, file=file)
    if card.files:
        card = dataclasses.replace(card, bytes=sum(entry["bytes"] for entry in card.files))
    if card.name != file.stem or not NAME.fullmatch(card.name):
        raise UserError(
            f"The zoo card {file} is named {card.name!r}, but its name must be the file's, of small letters, digits, "
            "_ and - only."
        )
    refuse_scores(card.scores, file)
    for alias in card.aliases:
        if not isinstance(alias, str) or not NAME.fullmatch(alias):
            raise UserError(
                f"The zoo card {file} has the alias {alias!r}, but it must be a name of small letters, digits, _ and -."
            )
    return card


def _check_whereabouts(content: Mapping[str, Any], file: Path) -> None:
    """Refuse a card that does not say in one way which weights it is of: by sha256, by files, or how to get them."""
    ways = [key for key in ("sha256", "files", "get") if content.get(key)]
    if len(ways) > 1:
        raise UserError(f"The zoo card {file} has the fields {' and '.join(ways)}, of which it must have one alone.")
    if ways in ([], ["sha256"]):
        require(("sha256", "bytes"), content, file)
        if not _SHA256.fullmatch(content["sha256"]):
            raise UserError(f"The sha256 of the zoo card {file} is not one of 64 hex digits.")
    entries = content.get("files", [])
    if not all(map(kept.is_published_file, entries)):
        raise UserError(
            f"The files of the zoo card {file} are not each a url that begins with https:// and ends in the name of a "
            "file, a sha256 of 64 hex digits and a number of bytes."
        )
    if len(set(map(kept.file_name, entries))) < len(entries):
        raise UserError(f"Two of the files of the zoo card {file} have one name; correct it.")


def read(file: Path) -> Card:
    """The card in `file`.

    Raises:
        UserError: it is no card; see `parse`.
    """
    return _read_once(file, _version(file))


@functools.lru_cache(maxsize=1000)
def _read_once(file: Path, version: tuple[int, ...]) -> Card:
    """The card in `file`, which one command asks for many times; `version` tells a changed file."""
    return parse(values_of(file), file)


def sha256(file: Path) -> str:
    """The sha256 of `file`, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def text(card: Card) -> str:
    """The text of the card's file."""
    return yaml_text(card.plain())


def yaml_text(values: Mapping[str, object]) -> str:
    """The text of a card's file that holds the plain `values`."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=120)


def own_folder() -> Path:
    """The user's own zoo: `LIMPID_ZOO`, by default `~/.cache/limpid/zoo`; it need not exist."""
    named = os.environ.get("LIMPID_ZOO")
    return Path(named) if named else home("LIMPID_ZOO") / ".cache" / "limpid" / "zoo"


def folders() -> list[Path]:
    """The folders in which cards are looked for: of Limpid's own weights, the user's, and of what others publish."""
    here = Path(__file__).parent
    return [here / "weights", own_folder(), here / "published"]


def stamps() -> tuple[tuple[str, int, int, int], ...]:
    """What differs once a card, or weights beside one, were added, changed or removed."""
    files = chain.from_iterable(sorted(folder.glob("*")) for folder in folders())
    return tuple((str(file), *_version(file)) for file in files)


def _version(file: Path) -> tuple[int, int, int]:
    """What tells a changed file: its number, when it was last changed, its bytes; zeros without it."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_mtime_ns, status.st_size


def cards() -> dict[str, Card]:
    """Every card by its name.

    Raises:
        UserError: one of them is broken.
    """
    by_name: dict[str, Card] = {}
    for folder in folders():
        for file in sorted(folder.glob("*.yaml")):
            if file.stem not in by_name:
                by_name[file.stem] = read(file)
    return by_name


def parse_zoo_name(place: str | os.PathLike[str] | None) -> str | None:
    """The NAME in ``zoo:NAME``; None where `place` is something else."""
    words = os.fspath(place) if place is not None else ""
    return words.removeprefix(PREFIX) if words.startswith(PREFIX) else None


def find(name: str) -> Card:
    """The card `name`, or the one that `name` is an alias of.

    Raises:
        UserError: there is none of that name, or it is broken.
    """
    if NAME.fullmatch(name):
        for folder in folders():
            if (file := folder / f"{name}.yaml").is_file():
                return read(file)
    by_alias = aliases()
    if name in by_alias:
        return by_alias[name]
    files = chain.from_iterable(folder.glob("*.yaml") for folder in folders())
    known = sorted({*(file.stem for file in files), *by_alias})
    hint = nearest(name, known) or (f"; there are {', '.join(known)}." if known else "; the zoo is empty.")
    raise UserError(f"There are no weights {PREFIX}{name}{hint}")


def aliases() -> dict[str, Card]:
    """The card that each alias stands for; the user's own come before others of the same alias.

    The name of a card is no alias of another.

    Raises:
        UserError: a card is broken.
    """
    known = cards()
    ranked = sorted(known.values(), key=lambda card: card.file.parent != own_folder())
    by_alias: dict[str, Card] = {}
    for card in ranked:
        for alias in card.aliases:
            if alias not in known:
                by_alias.setdefault(alias, card)
    return by_alias


def own_name(place: str) -> str:
    """The `place` with the card's own name where it is ``zoo:ALIAS``; anything else as it is."""
    name = parse_zoo_name(place)
    if name is None or not NAME.fullmatch(name):
        return place
    card = aliases().get(name)
    return place if card is None else f"{PREFIX}{card.name}"


def default_for(network: str) -> Card | None:
    """The card whose weights `network` takes unless others are asked for: the default one, or the only one.

    Of weights that others publish those count that are at hand, where there are no others.

    Raises:
        UserError: there are several and none is the default.
    """
    own = _candidates(network, list(cards().values()))
    chosen = _default_among(own)
    if own and chosen is None:
        names = ", ".join(PREFIX + card.name for card in own)
        raise UserError(f"The network {network} has several weights and no default; give one of them: ckpt={names}.")
    return chosen


def is_default(card: Card, among: Sequence[Card]) -> bool:
    """Whether `card`, one of all the cards `among` which it is, is what its network takes."""
    return _default_among(_candidates(card.network, among)) == card


def _candidates(network: str, among: Sequence[Card]) -> list[Card]:
    here = [card for card in among if card.network == network and card.at_hand]
    return [card for card in here if not card.files] or here


def _default_among(own: Sequence[Card]) -> Card | None:
    return next((card for card in own if card.default), own[0] if len(own) == 1 else None)


def how_to_name(network: str) -> str:
    """The names of weights for `network` that are not at hand, in words; where there are none, what lists all."""
    others = [PREFIX + card.name for card in cards().values() if card.network == network and not card.at_hand]
    if not others:
        return f"{PREFIX}NAME (`limpid zoo list` names them)"
    return f"{' or '.join(others)}, which others publish"
