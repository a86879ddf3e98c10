"""Files written whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

#: Bytes that a file's name may have on the file systems in use.
_LONGEST_NAME = 255


@contextmanager
def atomic_write(path: Path, beside: Path | None = None, durable: bool = False) -> Iterator[Path]:
    """A temporary file beside `path`, which the block writes and which then takes its place.

    A reader sees the old file or the new one. Where the block fails, `path` stays as it was and the temporary file is
    removed. The folder is made if needed.

    Args:
        path: where the file is to be.
        beside: the temporary file, in the same folder; by default named after `path` and the process.
        durable: whether file and name are on the disk when the block is left, so that a power cut takes neither.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside or _beside(path)
    try:
        yield temporary
        if durable:
            synchronize(temporary)
        temporary.replace(path)
        if durable:
            synchronize(path.parent)
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


def _beside(path: Path) -> Path:
    """The temporary file of `path`; where its name would be too long for a file system, a hash stands for it."""
    end = f".{os.getpid()}.part"
    name = path.name
    if len(os.fsencode(name + end)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return path.with_name(name + end)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, where it is durable, see `atomic_write`."""
    with atomic_write(path, durable=True) as file:
        file.write_text(text, encoding="utf-8")


def json_text(value: object, indent: int | None = None) -> str:
    """The JSON of a plain value; a number that is not finite, which JSON has no word for, is null."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


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
