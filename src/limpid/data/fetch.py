"""Downloads of sets: only what can be verified by a checksum that somebody published; for others, how to obtain them.

A file of conf/fetch lists the archives of a set with their SHA-256. A download that broke off goes on where it was. An
archive is unpacked only after its checksum was found right, and removed then; a file inside it appears under its name
only when it is whole.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from limpid.config.recipes import names, option
from limpid.downloads import Progress, download
from limpid.errors import UserError
from limpid.paths import leads_out
from limpid.store.atomic_io import atomic_write

_CHUNK = 1 << 16


def fetch(name: str, card: Mapping[str, object], root: Path, progress: Progress | None = None) -> str:
    """A sentence on the set that was downloaded and unpacked, or on how to get it.

    Args:
        name: of the set.
        card: its card, for what it says of itself.
        root: the data root.
        progress: told while a file comes.

    Raises:
        UserError: a file could not be downloaded or written, or its checksum is another.
    """
    if name not in names("fetch"):
        how_to_get = card.get("how_to_get") or "Its images are made when they are loaded; there is nothing to fetch."
        where = f" It is described at {card['url']}." if card.get("url") else ""
        return f"{how_to_get}{where}" + (f" {card['licence']}" if card.get("licence") else "")
    content = option("fetch", name)
    if leads_out(content["unpack"]):
        raise UserError(f"The download {name} would be unpacked to {content['unpack']}, outside of {root}; correct it.")
    folder = root / content["unpack"]
    done = [_fetch_one(file, folder, progress) for file in content["files"]]
    licence = f" {card['licence']}" if card.get("licence") else ""
    return f"{', '.join(done)}; it lies in {folder}.{licence}"


def _fetch_one(file: Mapping[str, str], folder: Path, progress: Progress | None) -> str:
    archive = file["url"].rpartition("/")[2]
    mark = folder / f".{archive}.sha256"
    if mark.is_file() and mark.read_text(encoding="ascii") == file["sha256"]:
        return f"{archive} was there"
    try:
        path = download(file["url"], file["sha256"], folder, progress)
        unpack(path, folder)
        mark.write_text(file["sha256"], encoding="ascii")
        path.unlink()
    except OSError as error:
        raise UserError(
            f"{archive} could not be written to {folder} ({error.strerror or error}); check the disk, and give the "
            "same command again, which goes on."
        ) from error
    return f"{archive} was fetched"


def _extract(packed: zipfile.ZipFile, member: zipfile.ZipInfo, file: Path) -> None:
    with packed.open(member) as source, file.open("wb") as sink:
        shutil.copyfileobj(source, sink, _CHUNK)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip file; what is there in its full size stays.

    Raises:
        UserError: a name leads out of the folder, or the archive cannot be read.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                if not (folder / member.filename).resolve().is_relative_to(folder.resolve()):
                    raise UserError(f"{archive} names {member.filename}, which lies outside of {folder}; remove it.")
            for member in packed.infolist():
                target = folder / member.filename
                if member.is_dir() or (target.is_file() and target.stat().st_size == member.file_size):
                    continue
                with atomic_write(target, target.with_name(f".{target.name}.part")) as begun:
                    _extract(packed, member, begun)
    except zipfile.BadZipFile as error:
        raise UserError(
            f"{archive} is no zip file that can be read ({error}); remove it and fetch it again."
        ) from error
