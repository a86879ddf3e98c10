"""Values of the right kind: a switch is true or false, a number is no word, one of a few words is one of them.

What an argument takes is said by its annotation; what a setting of a command takes, by the value that it ships with.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import yaml

from limpid.errors import UserError
from limpid.paths import shipped

_NUMBERS = {bool, int, float}
_NOT_NULL = {*_NUMBERS, str, Path}
#: Whole numbers of the trainer; of what Lightning takes in several forms, a run of ours counts batches.
_COUNTS: dict[str, list[Any]] = {
    "trainer.val_check_interval": [int],
    "trainer.accumulate_grad_batches": [int, type(None)],
    "trainer.max_steps": [int, type(None)],
    "trainer.max_epochs": [int, type(None)],
}
#: Kinds of values that a configuration holds and that are no text, and what each is called.
_PLAIN = {bool: "true or false", int: "int", float: "float", type(None): "null"}


def refuse_kinds(hints: Mapping[str, Any], where: str, arguments: Mapping[str, object], strict: bool) -> None:
    """Refuse arguments whose values are of no kind that their annotations take: the usual slips of a command line.

    Args:
        hints: the annotations of the arguments, by name.
        where: the key of the object they are for.
        arguments: their values.
        strict: also refuse null where it is not among the kinds, and a fraction for a whole number. Annotations of
            libraries are not always that exact.

    Raises:
        UserError: naming the first, and what it takes.
    """
    for name, value in arguments.items():
        kinds, words = _taken(hints.get(name))
        if _is_wrong(value, kinds, words, strict):
            raise UserError(_sentence(f"{where}.{name}", value, kinds, words))


def refuse_values(config: Mapping[str, Any], command: str) -> None:
    """Refuse settings of a command that are no objects' and whose values are of another kind than they ship with.

    Args:
        config: plain values, as composed.
        command: whose primary config they come from.

    Raises:
        UserError: naming the first, and what it takes.
    """
    for key, default in _defaults(command).items():
        value: Any = config
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        kinds = _COUNTS.get(key) or ([bool] if isinstance(default, bool) else [int, float])
        if _is_wrong(value, kinds, (), strict=True) or (value is not None and isinstance(value, list | Mapping)):
            raise UserError(_sentence(key, value, kinds, ()))
    for key, value in _objects(config):
        if value is not None and not isinstance(value, Mapping | list):
            raise UserError(f"{key} is {_shown(value)}, but it must be an object with its settings, or null for none.")


def _objects(config: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """What stands in the places of objects that may be switched off by null, with their keys."""
    for block in ("metrics", "callbacks", "loss.terms", "data.test"):
        members: Any = config
        for name in block.split("."):
            members = members.get(name) if isinstance(members, Mapping) else None
        yield from ((f"{block}.{name}", member) for name, member in (members or {}).items())
    data = config.get("data") or {}
    yield from ((f"data.{name}", data.get(name)) for name in ("train", "val", "augment"))


@cache
def _defaults(command: str) -> dict[str, bool | int | float]:
    """The switches and numbers that a command ships with, by their keys."""
    found: dict[str, bool | int | float] = dict.fromkeys(_COUNTS, 1)
    for name in ("common", command):
        content = yaml.safe_load((shipped("conf") / f"{name}.yaml").read_text(encoding="utf-8"))
        for key, value in content.items():
            inner = value if isinstance(value, Mapping) and key != "hydra" else {}
            members = {f"{key}.{member}": default for member, default in inner.items()} | {key: value}
            found |= {place: default for place, default in members.items() if isinstance(default, bool | int | float)}
    return found


def _taken(hint: Any) -> tuple[Sequence[Any], tuple[object, ...]]:
    """The kinds that an annotation takes, and the values that it lists."""
    members = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    words: list[object] = []
    kinds: list[Any] = []
    for member in members:
        if typing.get_origin(member) is typing.Literal:
            words += typing.get_args(member)
        else:
            kinds.append(member)
    return kinds, tuple(words)


def _is_wrong(value: object, kinds: Sequence[Any], words: tuple[object, ...], strict: bool) -> bool:
    if any(value == word and type(value) is type(word) for word in words):
        return False
    only = {*kinds}
    if value is None:
        return strict and not words and bool(only) and all(kind in _NOT_NULL or _is_list(kind) for kind in only)
    if isinstance(value, str):
        takes_none = bool(words) or any(kind in _NUMBERS or _is_list_of_numbers(kind) for kind in kinds)
        return takes_none and all(_is_no_text(kind) for kind in kinds)
    if isinstance(value, bool):
        return bool(only & {int, float}) and only <= {int, float, type(None)}
    if isinstance(value, int | float):
        fraction = isinstance(value, float) and not value.is_integer()
        whole = int in only and only <= {int, type(None)}
        return (bool in only and only <= {bool, type(None)}) or (strict and fraction and whole and not words)
    return False


def _is_no_text(kind: Any) -> bool:
    return _is_list_of_numbers(kind) or (isinstance(kind, type) and not issubclass(kind, str | PurePath))


def _is_list(kind: Any) -> bool:
    return typing.get_origin(kind) in (list, tuple, Sequence)


def _is_list_of_numbers(kind: Any) -> bool:
    members = {*typing.get_args(kind)} - {...}
    return _is_list(kind) and bool(members) and members <= _NUMBERS


def _sentence(key: str, value: object, kinds: Sequence[Any], words: Sequence[object]) -> str:
    names = [name for kind, name in _PLAIN.items() if kind in kinds]
    if int in kinds and float in kinds:
        names = ["a number", *(name for name in names if name not in ("int", "float"))]
    if any(map(_is_list_of_numbers, kinds)):
        names.append("a list of numbers")
    if value is None and not words:
        names += [word for kind, word in ((Path, "a path"), (str, "text")) if kind in kinds][:1]
        names += ["a list"] if not names else []
    wanted = " or ".join([*map(str, words), *sorted(names)])
    return f"{key} is {_shown(value)}, but it must be {wanted}."


def _shown(value: object) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
