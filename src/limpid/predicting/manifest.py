"""What is done already in an output folder, and by which method.

Each result says in its EXIF block what made it, and of what. Formats without EXIF cannot, so the folder holds
`limpid.jsonl` too: one line of JSON for each file that was written, the last of a name counts. Lines are only ever
appended, so that several commands can write into one folder; a line that was cut short is passed over. Without the
file, and for a result that was given a name of its own, the results themselves tell.
"""

from __future__ import annotations

import enum
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from limpid.store.atomic_io import json_text

NAME = "limpid.jsonl"

#: What stands between a method's identity and the beginning of its input's sha256 in a result.
_OF = ", of "

#: How many hex digits of an input's sha256 are kept.
_DIGITS = 16


@dataclass(frozen=True)
class Source:
    """An input as it was: bytes, time of its last change in nanoseconds, and the beginning of its sha256."""

    bytes: int
    changed: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Source:
        """The file at `path` as it is now."""
        status = path.stat()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(status.st_size, status.st_mtime_ns, digest[:_DIGITS])

    def is_still(self, path: Path) -> bool:
        """Whether the file at `path` is the same one; it is read only where its time has changed and its size not."""
        status = path.stat()
        if status.st_size != self.bytes:
            return False
        return status.st_mtime_ns == self.changed or Source.of(path).sha256 == self.sha256


class State(enum.Enum):
    """What stands in a result's place."""

    ABSENT = "nothing"
    DONE = "what this command would write"
    CHANGED = "the same method's, of an input that has changed since"
    OTHER = "another method's"
    FOREIGN = "a file that Limpid did not write, or that was changed since"


class Manifest:
    """The record of an output folder.

    Args:
        folder: where it lies; None keeps no record, and results are judged by themselves.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._entries: dict[str, dict[str, object]] = {}
        if folder is not None:
            self._read(folder / NAME)

    def _read(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return  # there is none, or it cannot be read: results tell their method themselves
        for line in lines:
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(entry, dict) and isinstance(entry.get("file"), str):
                self._entries[entry["file"]] = entry

    def add(self, path: Path, made_by: str, source: Source | None = None) -> None:
        """Note that `path` was written by the method of the identity `made_by`, from `source`.

        Raises:
            OSError: the record cannot be written.
        """
        if self.folder is None:
            return
        name = path.relative_to(self.folder).as_posix()
        entry = {"file": name, "bytes": path.stat().st_size, "by": made_by}
        if source is not None:
            entry["source"] = asdict(source)
        self._entries[name] = entry
        line = (json_text(entry) + "\n").encode()
        with (self.folder / NAME).open("ab") as file:
            if file.tell() and not _ends_a_line(self.folder / NAME):
                line = b"\n" + line
            file.write(line)  # at once, so that lines of other commands do not come between

    def made_by(self, path: Path) -> str | None:
        """The identity of what wrote the file at `path` as it is now; None where it was not Limpid."""
        from limpid.data.photo_io import processed_by

        entry = self._entry(path)
        if entry is not None:
            return str(entry.get("by")) if entry.get("bytes") == path.stat().st_size else None
        said = processed_by(path)
        return said.partition(_OF)[0] if said is not None and said.startswith("Limpid ") else None

    def is_noted(self, path: Path) -> bool:
        """Whether the record says that the file at `path`, as it is now, was written by Limpid."""
        entry = self._entry(path)
        return entry is not None and entry.get("bytes") == path.stat().st_size

    def state(self, path: Path, made_by: str, source: Path) -> State:
        """What stands at `path`, where the method of the identity `made_by` would put its result of `source`."""
        if not os.path.lexists(path):
            return State.ABSENT
        by = self.made_by(path) if path.is_file() else None
        if by is None:
            return State.FOREIGN
        if by != made_by:
            return State.OTHER
        return State.DONE if self._is_of(path, source) else State.CHANGED

    def _is_of(self, path: Path, source: Path) -> bool:
        """Whether the result at `path` was made from `source` as it is now; by times, where nothing says it."""
        from limpid.data.photo_io import processed_by

        noted = (self._entry(path) or {}).get("source")
        if isinstance(noted, dict) and set(noted) == {"bytes", "changed", "sha256"}:
            return Source(**noted).is_still(source)
        digest = (processed_by(path) or "").partition(_OF)[2]
        if digest:
            return Source.of(source).sha256 == digest
        return source.stat().st_mtime_ns <= path.stat().st_mtime_ns

    def _entry(self, path: Path) -> dict[str, object] | None:
        if self.folder is None:
            return None
        return self._entries.get(path.relative_to(self.folder).as_posix())


def said_in_result(made_by: str, source: Source | None) -> str:
    """What a result carries: the identity of the method that made it, and of which input."""
    return made_by if source is None else f"{made_by}{_OF}{source.sha256}"


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
