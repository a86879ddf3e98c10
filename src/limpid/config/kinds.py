"""Values of the right kind and range: a switch is true or false, a number is no word, channels are at least 1.

What an argument takes is said by its annotation, with the ranges of `limpid.ranges` or any of `annotated_types`; what a
setting of a command takes, by `limpid.config.settings`. Both are checked here.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from functools import cache
from itertools import chain
from pathlib import PurePath
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import BaseMetadata, Ge, GroupedMetadata, Gt, Le, Lt, MaxLen, MinLen, MultipleOf, Predicate

from limpid.errors import UserError, nearest, shortened

#: What stands in the place of a value that is not there: no kind takes it.
_MISSING = type("Missing", (), {"__repr__": lambda self: "missing"})()
#: Annotations that take a list, and that take a mapping.
_LISTS = (list, tuple, set, frozenset, Sequence, Collection, Iterable)
_MAPPINGS = (dict, Mapping, MutableMapping)
#: What each plain kind is called.
_NAMES = {bool: "true or false", int: "int", float: "float", str: "text", type(None): "null"}


class Fault(NamedTuple):
    """What is wrong with a value.

    Attributes:
        place: where in the value, such as ``[1]`` or ``.width``; empty for the value itself.
        value: that stands there.
        wanted: what should, such as ``at least 1``.
        is_of_kind: whether it is of the right kind, and only out of range or wrong inside.
    """

    place: str
    value: object
    wanted: str
    is_of_kind: bool


def refuse_kinds(hints: Mapping[str, Any], where: str, arguments: Mapping[str, object], strict: bool) -> None:
    """Refuse arguments whose values are of no kind that their annotations take, or out of their range.

    Args:
        hints: the annotations of the arguments, by name, `Annotated` ones with their metadata.
        where: the key of the object they are for; empty at the top of a configuration.
        arguments: their values, plain ones.
        strict: also refuse null, fractions, lists and objects where they are not among the kinds. Annotations of
            libraries are not always that exact.

    Raises:
        UserError: naming the first, and what it takes.
    """
    for name, value in arguments.items():
        found = fault(value, hints.get(name, Any), strict)
        if found is not None:
            raise UserError(_sentence(f"{where}.{name}" if where else name, found))


def describes(value: Mapping[str, object]) -> bool:
    """An object with its settings."""
    return isinstance(value.get("_target_"), str)


def refuse_settings(config: Mapping[str, object], settings: type) -> None:
    """Refuse settings that are missing or that the fields of a dataclass do not take.

    Args:
        config: plain values.
        settings: the dataclass; where it `takes_more`, other keys are left alone.

    Raises:
        UserError: naming the first, and what it takes.
    """
    found = _fault_in_settings(config, settings, strict=True)
    if found is not None:
        raise UserError(_sentence("", found))


def fault(value: object, hint: Any, strict: bool = True) -> Fault | None:
    """What is wrong with a plain value for an annotation; None where it fits."""
    kind, ranges = _unwrapped(hint)
    members = typing.get_args(kind) if _is_union(kind) else (kind,)
    faults = [_fault_of_member(value, member, ranges, strict) for member in members]
    if any(one is None for one in faults):
        return None
    found = [one for one in faults if one is not None]
    inner = next((one for one in found if one.is_of_kind), None)
    return inner or Fault("", value, _named(members, strict), False)


def ranges_of(hint: Any) -> tuple[BaseMetadata, ...]:
    """The ranges that an annotation carries at its outermost level."""
    return _unwrapped(hint)[1]


@cache
def _flat(metadata: tuple[Any, ...]) -> tuple[BaseMetadata, ...]:
    """Ranges one by one: an interval is two."""
    flat: list[BaseMetadata] = []
    for one in metadata:
        if isinstance(one, GroupedMetadata):
            flat += [inner for inner in one if isinstance(inner, BaseMetadata)]
        elif isinstance(one, BaseMetadata):
            flat.append(one)
    return tuple(flat)


def _unwrapped(hint: Any) -> tuple[Any, tuple[BaseMetadata, ...]]:
    if typing.get_origin(hint) is not Annotated:
        return hint, ()
    kind, *metadata = typing.get_args(hint)
    return kind, _flat(tuple(metadata))


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _fault_of_member(value: object, hint: Any, outer: tuple[BaseMetadata, ...], strict: bool) -> Fault | None:
    """What is wrong with a value for one member of a union, with the ranges of the union and its own."""
    kind, own = _unwrapped(hint)
    ranges = (*outer, *own)
    if _is_union(kind):
        return fault(value, Annotated[kind, *ranges] if ranges else kind, strict)
    if not _is_of(value, kind, strict):
        return Fault("", value, "", False)
    return _out_of_range(value, ranges) or _fault_inside(value, kind, strict)


# Kinds ---------------------------------------------------------------------------------------------------------------


def _is_of(value: object, kind: Any, strict: bool) -> bool:
    """Whether a value is of a kind, whatever is in it and however large it is."""
    origin = typing.get_origin(kind) or kind
    if origin is Literal:
        return any(value == word and type(value) is type(word) for word in typing.get_args(kind))
    if value is None:
        return not strict or not _is_known(origin) or origin is type(None)
    if origin in (bool, int, float, str):
        return _is_plain(value, origin, strict)
    if origin is type(None):
        return False
    if not _is_known(origin):
        return True
    if origin in _LISTS:
        return isinstance(value, list | tuple) or (not strict and not isinstance(value, str | bool))
    if origin in _MAPPINGS or typing.is_typeddict(origin):
        return isinstance(value, Mapping)
    if issubclass(origin, str | PurePath):
        return isinstance(value, str)
    # Of any other class there is an object: a dict that describes it, or a part of a configuration.
    return isinstance(value, Mapping) or (not strict and not isinstance(value, str | bool))


def _is_plain(value: object, kind: type, strict: bool) -> bool:
    if isinstance(value, Mapping | list | tuple):
        return not strict and isinstance(value, Mapping) and "_target_" in value
    if kind in (bool, str):
        return isinstance(value, kind) or (kind is str and not strict)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # Where a fraction would be cut off it is refused; 2.0 is as good as 2 to a library alone.
    return kind is float or isinstance(value, int) or not strict


def _is_known(origin: Any) -> bool:
    """Whether an annotation says anything: `Any`, `object`, a variable and a forward reference do not."""
    return isinstance(origin, type) and origin not in (Any, object)


# What is inside -------------------------------------------------------------------------------------------------------


def _fault_inside(value: object, kind: Any, strict: bool) -> Fault | None:
    """What is wrong with a member of a list or a mapping."""
    if isinstance(value, list | tuple):
        return _fault_in_list(value, kind, strict)
    if not isinstance(value, Mapping):
        return None
    origin = typing.get_origin(kind) or kind
    if "_target_" in value and not hasattr(origin, "takes_more"):
        return None  # it has a signature of its own
    if dataclasses.is_dataclass(origin) or typing.is_typeddict(origin):
        return _fault_in_settings(value, origin, strict)
    arguments = typing.get_args(kind) if origin in _MAPPINGS else ()
    hint = arguments[1] if len(arguments) == 2 else Any
    for key, member in value.items():
        found = fault(member, hint, strict)
        if found is not None:
            return found._replace(place=f".{key}{found.place}", is_of_kind=True)
    return None


def _fault_in_list(value: Sequence[object], kind: Any, strict: bool) -> Fault | None:
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind) if origin in _LISTS else ()
    each = [arguments[0] if arguments else Any] * len(value)
    if origin is tuple and arguments and arguments[-1] is not ...:
        if len(value) != len(arguments):
            return Fault("", list(value), f"a list of {len(arguments)}", True)
        each = list(arguments)
    for number, (member, hint) in enumerate(zip(value, each, strict=True)):
        found = fault(member, hint, strict)
        if found is not None:
            return found._replace(place=f"[{number}]{found.place}", is_of_kind=True)
    return None


def _fault_in_settings(value: Mapping[str, object], kind: type, strict: bool) -> Fault | None:
    """What is wrong with the settings that the fields of a dataclass or a TypedDict describe."""
    hints = hints_of_fields(kind)
    for name, hint in hints.items():
        if name not in value and not _may_be_missing(kind, name):
            missing = fault(_MISSING, hint, strict=True)
            return Fault(f".{name}", _MISSING, "set" if missing is None else missing.wanted, True)
        found = fault(value[name], hint, strict) if name in value else None
        if found is not None:
            return found._replace(place=f".{name}{found.place}", is_of_kind=True)
    unknown = [name for name in value if name not in hints]
    if unknown and not getattr(kind, "takes_more", False):
        listed = f"made of {', '.join(hints)}{nearest(str(unknown[0]), hints)}"
        return Fault("", dict(value), listed, True)
    return None


def _may_be_missing(kind: type, name: str) -> bool:
    if not dataclasses.is_dataclass(kind):
        return name not in getattr(kind, "__required_keys__", ())
    field = next(one for one in dataclasses.fields(kind) if one.name == name)
    return field.default is not dataclasses.MISSING


@cache
def hints_of_fields(kind: type) -> dict[str, Any]:
    """The annotations of the fields of a dataclass or a TypedDict, with their ranges."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {name: hint for name, hint in hints.items() if typing.get_origin(hint) is not typing.ClassVar}


# Ranges ---------------------------------------------------------------------------------------------------------------


def _out_of_range(value: object, ranges: Iterable[BaseMetadata]) -> Fault | None:
    """What is wrong with a value of the right kind."""
    ranges = tuple(ranges)
    if isinstance(value, float) and not math.isfinite(value) and not _takes_infinity(value, ranges):
        return Fault("", value, "a finite number", True)
    for one in ranges:
        wanted = _missed(value, one)
        if wanted is not None:
            return Fault("", value, wanted, True)
    return None


def _takes_infinity(value: float, ranges: Iterable[BaseMetadata]) -> bool:
    ends = [one.le for one in ranges if isinstance(one, Le)] + [one.ge for one in ranges if isinstance(one, Ge)]
    return value in ends


def _missed(value: Any, one: BaseMetadata) -> str | None:
    """What a value should be that misses a range; None where it does not, or the range is for other kinds."""
    if isinstance(one, MinLen | MaxLen):
        return _missed_length(value, one)
    if isinstance(one, Predicate):
        return None if not isinstance(value, int | float | Mapping) or one.func(value) else _in_words(one.func)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return next((words for fits, words in _bounds(value, one) if not fits), None)


def _bounds(value: Any, one: BaseMetadata) -> Iterator[tuple[bool, str]]:
    """Whether a number keeps to a bound, and what it should be."""
    if isinstance(one, Ge):
        yield value >= one.ge, f"at least {one.ge}"
    elif isinstance(one, Gt):
        yield value > one.gt, f"above {one.gt}"
    elif isinstance(one, Le):
        yield value <= one.le, f"at most {one.le}"
    elif isinstance(one, Lt):
        yield value < one.lt, f"below {one.lt}"
    elif isinstance(one, MultipleOf):
        yield value % one.multiple_of == 0, f"a multiple of {one.multiple_of}"


def _missed_length(value: object, one: MinLen | MaxLen) -> str | None:
    if not isinstance(value, list | tuple | Mapping | str):
        return None
    is_least = isinstance(one, MinLen)
    bound = one.min_length if isinstance(one, MinLen) else one.max_length
    fits = len(value) >= bound if is_least else len(value) <= bound
    if fits:
        return None
    side = "least" if is_least else "most"
    unit = "letter" if isinstance(value, str) else "member"
    return f"of at {side} {bound} {unit}{'s' * (bound != 1)}"


def _in_words(function: Any) -> str:
    """What a predicate asks for, by the first line of its docstring."""
    if function is math.isfinite:
        return "a finite number"
    words = (function.__doc__ or function.__name__).strip().splitlines()[0].rstrip(".")
    return words[0].lower() + words[1:]


# Sentences ------------------------------------------------------------------------------------------------------------


def _named(members: Sequence[Any], strict: bool) -> str:
    """The kinds of an annotation in words; those that no configuration gives are left out where there are others."""
    kinds = [_unwrapped(member)[0] for member in members]
    ranges = {id(kind): _unwrapped(member)[1] for kind, member in zip(kinds, members, strict=True)}
    listed = chain.from_iterable(typing.get_args(kind) for kind in kinds if typing.get_origin(kind) is Literal)
    words = list(dict.fromkeys(map(str, listed)))
    others = [kind for kind in kinds if typing.get_origin(kind) is not Literal]
    names = {
        _name(kind, ranges[id(kind)]) for kind in others if strict or _is_plain_kind(kind) or _is_list_of_numbers(kind)
    }
    if int in others and float in others:
        names = names - {"int", "float"} | {"a number"}
    return " or ".join([*words, *sorted(names)])


def _is_plain_kind(kind: Any) -> bool:
    return isinstance(kind, type) and kind in _NAMES


def _name(kind: Any, ranges: tuple[BaseMetadata, ...] = ()) -> str:
    origin = typing.get_origin(kind) or kind
    if _is_plain_kind(kind):
        return _NAMES[kind]
    if _is_list_of_numbers(kind):
        return "a list of numbers"
    if origin in _LISTS:
        return "a list"
    if typing.is_typeddict(origin) or dataclasses.is_dataclass(origin):
        return "settings by name"
    if origin in _MAPPINGS:
        of_objects = describes in {getattr(one, "func", None) for one in _flat(ranges)}
        return "an object with its settings" if of_objects else "settings by name"
    is_path = isinstance(origin, type) and issubclass(origin, PurePath)
    return "a path" if is_path else "an object with its settings"


def _is_list_of_numbers(kind: Any) -> bool:
    if typing.get_origin(kind) not in (list, tuple, Sequence):
        return False
    members = [_unwrapped(member)[0] for member in typing.get_args(kind) if member is not ...]
    return bool(members) and all(member in (bool, int, float) for member in members)


def _sentence(key: str, found: Fault) -> str:
    end = "" if found.wanted.endswith("?") else "."
    return f"{f'{key}{found.place}'.lstrip('.')} is {_shown(found.value)}, but it must be {found.wanted}{end}"


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    try:
        return shortened(repr(value))
    except (RecursionError, ValueError):  # Python writes no number of more than 4,300 digits
        return "too long to be shown"
