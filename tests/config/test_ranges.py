"""Ranges: every number that a configuration can give has one, in the signature of what takes it."""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from annotated_types import Gt, Interval, Len, MultipleOf

from limpid.config import instantiate
from limpid.config.kinds import fault, ranges_of, refuse_kinds
from limpid.errors import UserError
from limpid.paths import shipped
from limpid.ranges import Channels, Count, FiniteFloat, NonNegativeInt, PositiveFloat, PositiveInt, Seed, Share

_OWN = re.compile(r"_target_:\s*[\"']?(limpid\.[\w.]+)")


def files(*kinds: str) -> Iterator[Path]:
    return chain.from_iterable(sorted(shipped(kind).rglob("*.yaml")) for kind in kinds)


def own_targets() -> list[str]:
    texts = (file.read_text(encoding="utf-8") for file in files("conf", "experiments"))
    return sorted(set(chain.from_iterable(map(_OWN.findall, texts))))


def without_range(hint: object, ranged: bool = False) -> bool:
    """Whether an int or a float stands anywhere in an annotation without a range around it."""
    if typing.get_origin(hint) is Annotated:
        kind = typing.get_args(hint)[0]
        return without_range(kind, ranged or bool(ranges_of(hint)))
    if hint in (int, float):
        return not ranged
    if typing.get_origin(hint) is Literal:
        return False
    return any(without_range(member, False) for member in typing.get_args(hint))


def of_libraries(path: str) -> set[str]:
    """The arguments that a class of Limpid takes but only hands on to a library's, such as Lightning's Trainer."""
    target = instantiate.locate(path, "x")
    bases = target.__mro__ if inspect.isclass(target) else ()
    foreign = [base for base in bases if not base.__module__.startswith("limpid.") and base is not object]
    ours = [base for base in bases if base.__module__.startswith("limpid.")]
    own = set(chain.from_iterable(inspect.signature(base.__init__).parameters for base in ours))
    return set(chain.from_iterable(inspect.signature(base.__init__).parameters for base in foreign)) - own


@pytest.fixture(scope="module")
def signatures() -> dict[str, tuple[dict[str, inspect.Parameter], dict[str, Any]]]:
    """The parameters and annotations of every class and function of Limpid that a configuration names."""
    found = {path: instantiate.locate(path, "x") for path in own_targets()}
    return {
        path: (instantiate.parameters_of(target), instantiate.annotations_of(target)) for path, target in found.items()
    }


def test_every_number_of_every_target_has_a_range(
    signatures: Mapping[str, tuple[Mapping[str, inspect.Parameter], Mapping[str, Any]]],
) -> None:
    assert len(signatures) > 180
    bare = [
        f"{path}({name}: {hints[name]})"
        for path, (parameters, hints) in signatures.items()
        for name in parameters
        if without_range(hints.get(name)) and name not in of_libraries(path)
    ]
    assert bare == [], "give them an alias of limpid.ranges"


def test_every_default_is_in_its_range(
    signatures: Mapping[str, tuple[Mapping[str, inspect.Parameter], Mapping[str, Any]]],
) -> None:
    checked = 0
    for path, (parameters, hints) in signatures.items():
        for name, parameter in parameters.items():
            value = parameter.default
            if isinstance(value, int | float | list | tuple) and name in hints:
                assert fault(value, hints[name]) is None, f"{path}({name}={value})"
                checked += 1
    assert checked > 400


def test_every_value_in_conf_is_in_its_range(
    signatures: Mapping[str, tuple[Mapping[str, inspect.Parameter], Mapping[str, Any]]],
) -> None:
    """What rows change is checked where each is resolved (tests/runs/test_every_row.py)."""
    checked = 0
    for file in files("conf"):
        for node in described(yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)):
            _, hints = signatures.get(node["_target_"], ({}, {}))
            values = {name: value for name, value in node.items() if "${" not in str(value) and name in hints}
            refuse_kinds(hints, file.name, values, strict=True)
            checked += len(values)
    assert checked > 400


def described(value: object) -> Iterator[Mapping[str, Any]]:
    """Every block with a target, at any depth."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield value
        yield from chain.from_iterable(map(described, value.values()))
    elif isinstance(value, list):
        yield from chain.from_iterable(map(described, value))


@pytest.mark.parametrize(
    ("hint", "right", "wrong"),
    [
        (Channels, [1, 64], {0: "at least 1", -1: "at least 1", 4294967296: "at most 16384", 1.5: "int", 2.0: "int"}),
        (PositiveInt, [1], {0: "at least 1", 2**40: "at most 2147483647"}),
        (NonNegativeInt | None, [0, None], {-1: "at least 0", "abc": "int or null", 1.5: "int or null"}),
        (Seed, [0, 4294967295], {4294967296: "at most 4294967295"}),
        (Share, [0, 1, 0.5], {1.01: "at most 1", math.nan: "a finite number", math.inf: "a finite number"}),
        (PositiveFloat, [1e30, 1], {0: "above 0", math.inf: "a finite number", "abc": "float"}),
        (FiniteFloat, [-1e30], {math.nan: "a finite number", math.inf: "a finite number"}),
        (float, [-3.5], {math.nan: "a finite number", -math.inf: "a finite number"}),
        (Annotated[float, Interval(ge=0, le=math.inf)], [math.inf, 3], {math.nan: "a finite number"}),
        (Annotated[int, MultipleOf(2), Gt(0)], [4], {3: "a multiple of 2", 0: "above 0"}),
        (Annotated[int | None, Gt(0)], [None, 1], {0: "above 0"}),
        (Literal["a"] | PositiveInt, ["a", 3], {"b": "a or int", -3: "at least 1"}),
    ],
)
def test_what_a_range_takes(hint: object, right: Sequence[object], wrong: Mapping[object, str]) -> None:
    for value in right:
        refuse_kinds({"a": hint}, "x", {"a": value}, strict=True)
    for value, wanted in wrong.items():
        with pytest.raises(UserError, match=rf"^x\.a is .*, but it must be {wanted}\.$"):
            refuse_kinds({"a": hint}, "x", {"a": value}, strict=True)


@pytest.mark.parametrize(
    ("hint", "value", "sentence"),
    [
        (Sequence[Channels], [3, 0], "x.a[1] is 0, but it must be at least 1."),
        (tuple[Channels, Channels], [3], "x.a is [3], but it must be a list of 2."),
        (tuple[Channels, ...], [3, "b"], "x.a[1] is 'b', but it must be int."),
        (Sequence[Sequence[Share]], [[0.5], [0.1, 2]], "x.a[1][1] is 2, but it must be at most 1."),
        (Mapping[str, PositiveFloat], {"relu1": 0}, "x.a.relu1 is 0, but it must be above 0."),
        (Annotated[Sequence[Count], Len(1)], [], "x.a is [], but it must be of at least 1 member."),
        (Sequence[str], "abc", "x.a is 'abc', but it must be a list."),
        (Channels, [1, 2, 3], "x.a is [1, 2, 3], but it must be int."),
        (Channels, {"a": 1}, "x.a is {'a': 1}, but it must be int."),
        (str, 2024, "x.a is 2024, but it must be text."),
        (Any, [{"deep": [math.nan]}], "x.a[0].deep[0] is nan, but it must be a finite number."),
        (str, ["a" * 100_000], f"x.a is ['{'a' * 198}... (100004 letters), but it must be text."),
        (Sequence[Count], [10**5000], "x.a[0] is too long to be shown, but it must be at most 65536."),
    ],
)
def test_where_in_a_value_the_fault_lies(hint: object, value: object, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        refuse_kinds({"a": hint}, "x", {"a": value}, strict=True)
    assert str(caught.value) == sentence


class NewNetwork:
    """A network that says nothing of ranges but in its signature."""

    def __init__(self, width: Channels, slopes: Sequence[Share] = (), inner: object = None) -> None:
        self.width = width


def test_a_new_class_gets_its_ranges_by_its_annotations_alone() -> None:
    path, allow = f"{__name__}.NewNetwork", [__name__.split(".")[0]]
    inner = {"_target_": path, "width": 0}
    for config, sentence in (
        ({"width": 0}, "network.width is 0, but it must be at least 1."),
        ({"width": 1, "slopes": [2]}, "network.slopes[0] is 2, but it must be at most 1."),
        ({"width": 1, "inner": inner}, "network.inner.width is 0, but it must be at least 1."),
        ({"width": 1, "_partial_": {"a": 1}}, "network._partial_ is {'a': 1}, but it must be true or false."),
    ):
        with pytest.raises(UserError) as caught:
            instantiate.check({"network": {"_target_": path, **config}}, "", allow)
        assert str(caught.value) == sentence
    for target in (1.5, "", "a b", ["limpid"], "limpid..networks"):
        with pytest.raises(UserError, match=r"^network\._target_ is .*, but it must be the dotted name of a class"):
            instantiate.check({"network": {"_target_": target}}, "")
