"""Weights that others publish: fetched when they are first used, converted once, and kept.

A card with `files` names them by address, sha256 and length. They are imported as `limpid zoo import` does it, and lie
where `limpid.zoo.kept` says. Nothing but the use of such weights by their name opens a connection.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from limpid.downloads import NotDownloaded, download
from limpid.errors import UserError
from limpid.zoo import kept
from limpid.zoo.card import PREFIX, Card, read, sha256

#: What addresses of files on GitHub begin with; `LIMPID_WEIGHTS_URL` stands in its place.
_GITHUB = "https://raw.githubusercontent.com"
#: What a file system says that has no locks.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
#: The fields of a card that the entry made of its files has too.
_HANDED_ON = ("task", "trained_on", "licence", "data_licence", "date", "source", "good_for", "limits")


def obtain(card: Card) -> Card:
    """The `card` of weights that lie on this machine, beside the file that it names.

    Where its files have to be fetched, who publishes them and their licence is said on stderr.

    Args:
        card: as `limpid.zoo.find` gives it.

    Raises:
        UserError: the files could not be fetched or kept, or are to be got by hand.
    """
    if card.get:
        raise UserError(how_to_get(card))
    if not card.files:
        return card
    return _kept(card) or _made(card)


def how_to_get(card: Card) -> str:
    """What to do for the weights of a card with `get`, in whole sentences."""
    command = f"limpid zoo import {card.network} FILE --name {card.name} --task {card.task}"
    return (
        f"The weights {PREFIX}{card.name} are not on this machine, and Limpid cannot fetch them. {card.get} Then give "
        f"`{command}`."
    )


def state(card: Card) -> str:
    """What is known of the weights of a card, in words, after those on this machine were compared with it.

    Raises:
        UserError: a file is damaged or was exchanged.
    """
    if card.get:
        return "not here; it says how to get it"
    if not card.files:
        card.verify()
        return "whole"
    if not card.at_hand:
        return "not fetched"
    folder = kept.folder(card.name)
    for file in card.files:
        path = folder / kept.file_name(file)
        if path.is_file() and sha256(path) != file["sha256"]:
            raise UserError(
                f"The file {path} is damaged or was exchanged: its sha256 is not that of {file['url']}; remove it, and "
                "it is fetched again."
            )
    if card.weights.is_file() and _kept(card) is None:
        raise UserError(
            f"The weights {card.weights} are damaged or were exchanged; remove them, and they are made anew."
        )
    return "whole"


def address(file: kept.PublishedFile) -> str:
    """Where a file is fetched from: its own address, or that of the mirror in `LIMPID_WEIGHTS_URL`.

    Raises:
        UserError: the mirror is no address.
    """
    mirror = os.environ.get("LIMPID_WEIGHTS_URL")
    if not mirror:
        return file["url"]
    if not mirror.startswith(("https://", "http://")):
        raise UserError(
            f"LIMPID_WEIGHTS_URL is {mirror!r}, but it must be an address that begins with https:// or http://; "
            "correct it, or leave it out."
        )
    return file["url"].replace(_GITHUB, mirror.rstrip("/"), 1)


def _kept(card: Card) -> Card | None:
    """The card of what was made of the files before; None where nothing was, or it is not whole."""
    file = card.weights.with_suffix(".yaml")
    if not file.is_file():
        return None
    try:
        made = read(file)
        made.verify()
    except (UserError, OSError):
        return None
    return dataclasses.replace(
        card,
        network_config=made.network_config,
        sha256=made.sha256,
        bytes=made.bytes,
        parameters=made.parameters,
        files=[],
        file=file,
    )


def _made(card: Card) -> Card:
    """The card of what is made of its files, by one process at a time."""
    from limpid.zoo import create, opening

    folder = kept.folder(card.name)
    with _writable(card, folder), _alone(card, folder):
        made = _kept(card)  # by the process that was waited for
        if made is None:
            print(_notice(card), file=sys.stderr, flush=True)
            paths = [_fetched(card, file, folder) for file in card.files]
            said = {field: getattr(card, field) for field in _HANDED_ON}
            sources = opening.opened_files(paths)
            create.published(card.network, sources, card.name, card.weights.parent, card.network_config, **said)
            made = _kept(card)
    if made is None:
        raise UserError(f"The weights made in {card.weights.parent} were changed meanwhile; give the command again.")
    return made


def _notice(card: Card) -> str:
    """What is said once of weights that others publish: which, where from, how large, and their licence."""
    lacking = kept.missing(card.name, card.files)
    if lacking:
        number = "1 file" if len(lacking) == 1 else f"{len(lacking)} files"
        length = sum(file["bytes"] for file in lacking)
        what = f"Fetching {PREFIX}{card.name}, once: {number}, {length:,} bytes, from {_shown(address(lacking[0]))}"
        what += f" and {len(lacking) - 1} more addresses." if len(lacking) > 1 else "."
    else:
        what = f"Taking {PREFIX}{card.name} from the files in {kept.folder(card.name)}."
    return (
        f"{what} Licence of these weights: {card.licence}. They are others' work: whether you may use them is between "
        "you and their publisher."
    )


def _fetched(card: Card, file: kept.PublishedFile, folder: Path) -> Path:
    """The path of a published file, once it is there and known to be right.

    Raises:
        UserError: it could not be fetched.
    """
    url = address(file)
    try:
        return download(url, file["sha256"], folder, length=file["bytes"])
    except NotDownloaded as error:
        place = folder / kept.file_name(file)
        now = ", where another file lies now" if place.is_file() else ""
        fault = _shown(f"{url}: {error.reason}")
        raise UserError(
            f"The weights {PREFIX}{card.name} could not be fetched from {fault}. Give the same command again when that "
            f"is mended; or download {file['url']} elsewhere and put it to {place}{now}{_others(card, file)} (`limpid "
            f"zoo show {card.name}` lists addresses and checksums)."
        ) from error


def _shown(text: str) -> str:
    """The text without the name and password in an address."""
    return re.sub(r"://[^/@\s]*@", "://", text)


def _others(card: Card, file: kept.PublishedFile) -> str:
    """How many further files are lacking, in words."""
    lacking = [other for other in kept.missing(card.name, card.files) if other != file]
    return f", and likewise {len(lacking)} more files" if lacking else ""


@contextmanager
def _writable(card: Card, folder: Path) -> Iterator[None]:
    """Turn what the system refuses in `folder` into a sentence.

    Raises:
        UserError: it refused something.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The weights {PREFIX}{card.name} cannot be kept in {folder} ({error.strerror or error}); make room or "
            "mend its permissions, or set LIMPID_PUBLISHED to another folder."
        ) from error


@contextmanager
def _alone(card: Card, folder: Path) -> Iterator[None]:
    """Hold the folder of a card; where there are no locks, files are still written whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"Waiting for another process that fetches {PREFIX}{card.name}.", file=sys.stderr, flush=True)
        lock.acquire()
    except NotImplementedError:  # filelock's word for a file system without locks
        pass
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        yield
    finally:
        with suppress(OSError):
            lock.release()
