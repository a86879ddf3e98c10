"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import math
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

#: Bytes that a file's name may have on the file systems in use.
_LONGEST_NAME = 255


#: How the names end that `temporary_path` gives: the process, what numbers it, and a suffix.
_TEMPORARY = re.compile(r"\.(?P<process>\d+)-(?P<numbering>[0-9a-f]{8})\.part(\.\w+)?")
#: Seconds after which what a process of another machine began, and did not go on with, is taken for left.
_LEFT = 86_400
#: The folders in which this process has looked for what others left.
_swept: set[tuple[int, int] | None] = set()


@cache
def _numbering() -> str:
    """Eight hex digits for what gives processes their numbers: this machine since its start, or this container."""
    facts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        facts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=4).hexdigest()


def _sweep(folder: Path) -> None:
    """Remove what processes that live no more began in `folder`, once in each process."""
    key = identity(folder)
    if key in _swept:
        return
    _swept.add(key)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _TEMPORARY.search(entry.name)
            if found is None or found.end() < len(entry.name) or not _is_left(found, entry):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


def _is_left(found: re.Match[str], entry: os.DirEntry[str]) -> bool:
    """Whether nobody writes to a temporary file or folder any more."""
    if found["numbering"] != _numbering():  # whether that process lives cannot be known here
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _LEFT
    try:
        os.kill(int(found["process"]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # it lives, and is another user's
        return False
    return False


@contextmanager
def atomic_write(path: Path, beside: Path | None = None, durable: bool = False) -> Iterator[Path]:
    """A temporary file beside `path`, which the block writes and which then takes its place.

    A reader sees the old file or the new one. Where the block fails, `path` stays as it was and the temporary file is
    removed. The folder is made if needed.

    Args:
        path: where the file is to be.
        beside: the temporary file, in the same folder; by default that of `temporary_path`.
        durable: whether file and name are on the disk when the block is left, so that a power cut takes neither.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside or temporary_path(path)
    try:
        yield temporary
        if durable:
            synchronize(temporary)
        temporary.replace(path)
        if durable:
            synchronize(path.parent)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # a full disk names none
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def identity(path: Path) -> tuple[int, int] | None:
    """The device and the number of a file or folder, which another of its name has not; None where there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def synchronize(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_path(path: Path, suffix: str = "") -> Path:
    """A path beside `path`, for what is to take its place once it is whole.

    It names the process, so that a later one knows it for what a killed process left, and removes it. Where its name
    would be too long for a file system, a hash stands for the file's.

    Args:
        path: where the file, or the folder, is to be.
        suffix: what the name is to end in, such as ``.onnx``.
    """
    _sweep(path.parent)
    end = f".{os.getpid()}-{_numbering()}.part{suffix}"
    name = path.name
    if len(os.fsencode(name + end)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return path.with_name(name + end)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, where it is durable, see `atomic_write`."""
    with atomic_write(path, durable=True) as file:
        file.write_text(text, encoding="utf-8", errors="backslashreplace")


def json_text(value: object, indent: int | None = None, sort_keys: bool = False) -> str:
    """The JSON of a plain value; a number that is not finite, which JSON has no word for, is null.

    What is neither a number nor text, such as a path, is given as text.
    """
    plain = _finite(value)
    text = json.dumps(plain, indent=indent, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False, default=str)
    if text.isascii() or _is_unicode(text):
        return text
    return json.dumps(plain, indent=indent, sort_keys=sort_keys, allow_nan=False, default=str)


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can write it; a file's name of other bytes it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _finite(value: object) -> object:
    """The value with None for every number in it that is not finite."""
    if isinstance(value, Mapping):
        return {key: _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(member) for member in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON, see `json_text`."""
    write_text(path, json_text(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """The value in the JSON file at `path`, or None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write `rows` under the union of their keys, in order of appearance."""
    columns = list(dict.fromkeys(chain.from_iterable(rows)))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
