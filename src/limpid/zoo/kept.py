"""Where weights that others publish are kept once they were fetched, and once they were converted.

`LIMPID_PUBLISHED`, by default `limpid/published` in the user's cache, has a folder for each card. In it lie the files
under their publisher's names, and in a folder for each way of converting them the entry that they become.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from limpid.paths import user_cache
from limpid.store.atomic_io import json_text

_TABLES = Path(__file__).parent / "renames"
#: Raised where `limpid.zoo.create.published` makes other weights of the same files by the same table.
_CONVERSION = 1
_DIGITS = 12
#: The address of a published file, which ends in a name that is one everywhere.
_ADDRESS = re.compile(r"https://[^/\s]+/(\S*/)?[A-Za-z0-9_][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PublishedFile(TypedDict):
    """A file of weights as others publish it.

    Attributes:
        url: its address, https.
        sha256: of the file, in hex.
        bytes: its length.
    """

    url: str
    sha256: str
    bytes: int


def is_published_file(value: object) -> bool:
    """Whether a plain value, as a card holds it, is a `PublishedFile`."""
    if not isinstance(value, Mapping) or {"url", "sha256", "bytes"} != set(value):
        return False
    url, sha256 = value["url"], value["sha256"]
    length = value["bytes"]
    if not isinstance(url, str) or not isinstance(sha256, str) or type(length) is not int:
        return False
    return bool(_ADDRESS.fullmatch(url) and _SHA256.fullmatch(sha256)) and length > 0


def file_name(file: PublishedFile) -> str:
    """The name of a published file: what its address ends in."""
    return file["url"].rpartition("/")[2]


def missing(name: str, files: Sequence[PublishedFile]) -> list[PublishedFile]:
    """Those of the `files` of the card `name` that do not lie, whole, in its folder."""
    return [file for file in files if not _is_whole(folder(name) / file_name(file), file)]


def _is_whole(path: Path, file: PublishedFile) -> bool:
    """Whether the published `file` lies at `path`, as far as it can be read."""
    try:
        if not path.is_file() or path.stat().st_size != file["bytes"]:
            return False
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() == file["sha256"]
    except OSError:
        return False


def folder(name: str) -> Path:
    """The folder of the card `name`, where its files are put; it need not exist.

    Raises:
        UserError: nothing names it, and there is no home folder.
    """
    named = os.environ.get("LIMPID_PUBLISHED")
    if not named:
        return user_cache("LIMPID_PUBLISHED") / "published" / name
    return Path(os.path.expanduser(named)) / name  # noqa: PTH111 - a user whom the system does not know is no error


def converted(name: str, network: str, settings: Mapping[str, object], sums: Iterable[str]) -> Path:
    """The folder of the entry that the files of a card become; it need not exist.

    Args:
        name: of the card.
        network: the registry's name of the network.
        settings: of the network, as the card says them.
        sums: the sha256 of each file.
    """
    tables = [file.read_bytes() for stem in ("common", network) if (file := _TABLES / f"{stem}.yaml").is_file()]
    digest = hashlib.sha256(json_text([_CONVERSION, network, dict(settings), list(sums)], sort_keys=True).encode())
    for table in tables:
        digest.update(table)
    return folder(name) / digest.hexdigest()[:_DIGITS]
