"""A user's YAML files, read once it is known that this ends: of bounded size, depth and expansion.

A few lines of YAML can stand for billions of values (an alias to a list of aliases), or for lists nested so deep that
no parser comes back. Both are found here from the events of the file alone, before anything is made of it.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from limpid.errors import UserError
from limpid.paths import shipped

#: Bounds far beyond what a configuration needs.
_MOST_BYTES = 2**20
_MOST_VALUES = 20_000
_MOST_DEPTH = 50

#: libyaml's loader where PyYAML was built with it: it is several times faster.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def text_of(file: Path) -> str:
    """The text of a YAML file, which is known to hold values of a number and depth that can be read.

    Raises:
        UserError: it is no file, cannot be read, is not UTF-8 or no YAML, or stands for too much; naming it.
    """
    text = _decoded(file)
    if shipped("conf").parent not in file.parents:
        try:
            _refuse_too_much(file, text)
        except yaml.YAMLError as error:
            raise UserError(f"The file {file} cannot be read as YAML: {reason(error)}.") from error
    return text


def values_of(file: Path) -> dict[str, Any]:
    """The keys and values in a YAML file; empty for an empty file.

    Raises:
        UserError: as `text_of`, or the file holds something else than keys with values.
    """
    text = text_of(file)
    try:
        content = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:
        why = reason(error) if isinstance(error, yaml.YAMLError) else error
        raise UserError(f"The file {file} cannot be read as YAML: {why}.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"The file {file} must hold keys with values, but it holds {type(content).__name__}.")
    return content


def reason(error: yaml.YAMLError) -> str:
    """What is wrong in a YAML text, and in which line, in a few words."""
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or " ".join(str(error).split())
    if "cannot start any token" in what:
        what = "a tab, or a sign that YAML keeps for itself, begins a value; indent with spaces, and put it in quotes"
    return what if mark is None else f"line {mark.line + 1}: {what}"


def _decoded(file: Path) -> str:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{file} is no file, but a folder or a device; take it out of the configuration's folders.")
        if status.st_size > _MOST_BYTES:
            raise UserError(f"The file {file} has {status.st_size:,} bytes, more than any configuration; shorten it.")
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"The file {file} cannot be read ({error.strerror or error}).") from error
    except UnicodeDecodeError as error:
        raise UserError(f"The file {file} cannot be read as YAML: it is not UTF-8 text; save it as such.") from error


def _refuse_too_much(file: Path, text: str) -> None:
    """Refuse a text whose values lie too deep, or are too many once its aliases are written out."""
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    count = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            count += _size(event.anchor, sizes, file)
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            sizes |= {event.anchor: 1} if event.anchor else {}
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, count))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes |= {anchor: count - before + 1} if anchor else {}
        _refuse_beyond(len(opened), count, file)


def _size(anchor: str | None, sizes: Mapping[str, int], file: Path) -> int:
    """How many values an alias stands for."""
    if anchor is None or anchor not in sizes:
        raise UserError(f"The file {file} refers to *{anchor}, which is not complete there.")
    return sizes[anchor]


def _refuse_beyond(depth: int, count: int, file: Path) -> None:
    if depth > _MOST_DEPTH:
        raise UserError(f"The file {file} holds more than {_MOST_DEPTH} lists or blocks in each other; flatten it.")
    if count > _MOST_VALUES:
        raise UserError(
            f"The file {file} stands for more than {_MOST_VALUES:,} values, its aliases written out; shorten it."
        )
