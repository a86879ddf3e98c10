r"""Weights as their publishers store them: under other names, wrapped, or in another form.

A table `renames/NETWORK.yaml` says how the names of a release become ours; it is data. Its keys, all optional:

- `source`, `licence`: whose release, and what was found of its licence.
- `unwrap`: keys under which the file holds the weights, besides those of `renames/common.yaml`.
- `parts`: keys under which the file holds several networks of which ours is made; the names in each begin with its key.
- `settings`: settings that releases were trained with where they differ from the registry's; the first that fits is
  taken. Without it, the registry's own.
- `known`: settings of single files whose names and shapes are those of other files too, by `weights_fingerprint`.
- `like`: a network whose table's `rename` follows this one's.
- `ignore`: patterns of names that our network has no use for.
- `rename`: pairs of a pattern and what takes its place, applied to each name one after the other. In the second,
  ``\1`` stands for a group, ``<1-1>`` for a group as a number less one, ``<1/2>`` for the half of it, rounded down.
- `stack`: patterns of our names; what comes to ``NAME.0``, ``NAME.1``, ... is stacked to NAME.
- `matlab`: patterns of our names; what comes to them are filters as MATLAB programs of the field store them,
  `(input, size * column + row, output)`, without the last axis where there is one output.
- `rows_first`: patterns of our names; what comes to them are filters as MatConvNet and TensorFlow hold them, `(row,
  column, input, output)`.
- `transpose`: patterns of our names; what comes to them are matrices as TensorFlow holds them, `(input, output)`.
- `reverse`: pairs of a pattern of our names and an axis along which the colours are turned: of a release that sees BGR.
  A third value says how many channels of one colour stand side by side there.
- `rotate`: triples of a pattern of our names, an axis, and the share of its channels that go from its beginning to its
  end: of a release that concatenates two groups of features in the other order.
- `tile`: how often what a release has once, for images of one channel, is laid along our first axis.
- `scale`, `add`: pairs of a pattern of our names and a number that the values are multiplied by, or that is added.
- `fill`: pairs of a name of ours that a release has nothing for, and the whole number that it holds.

Names that become one must hold equal values (a module that is used in many places is stored as often). A tensor whose
shape differs from ours by axes of length one alone is reshaped: a linear layer is a 1x1 convolution.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import torch
import yaml
from torch import Tensor

from limpid.errors import UserError

_FOLDER = Path(__file__).parent / "renames"
_ARITHMETIC = re.compile(r"<(\d)([-/])(\d+)>")


class RenameTable(TypedDict, total=False):
    """A table as the module's docstring describes it; `unwrap` and `strip_prefix` are those that all tables share."""

    source: str
    licence: str
    unwrap: list[str]
    parts: list[str]
    strip_prefix: list[str]
    settings: list[dict[str, Any]]
    known: dict[str, dict[str, Any]]
    like: str
    ignore: list[str]
    rename: list[tuple[str, str]]
    stack: list[str]
    matlab: list[str]
    rows_first: list[str]
    transpose: list[str]
    reverse: list[tuple[str, int] | tuple[str, int, int]]
    rotate: list[tuple[str, int, float]]
    tile: int
    scale: list[tuple[str, float]]
    add: list[tuple[str, float]]
    fill: list[tuple[str, int]]


def table(network: str) -> RenameTable:
    """The table of `network` with what all share; without one of its own, only the latter."""
    common, own = (_read(_FOLDER / f"{name}.yaml") for name in ("common", network))
    if "like" in own:
        own["rename"] = [*own.get("rename", []), *table(own["like"])["rename"]]
    return {**common, **own, "unwrap": [*own.get("unwrap", []), *common["unwrap"]]}


def with_tables() -> list[str]:
    """The networks that have a table."""
    return sorted(file.stem for file in _FOLDER.glob("*.yaml") if file.stem != "common")


def unwrapped(content: object, rules: RenameTable, where: Path) -> dict[str, Tensor]:
    """The state dict inside what a file holds.

    Raises:
        UserError: there is none.
    """
    state = _joined(content, rules.get("parts", ()))
    for _ in range(3):  # a state dict in a dict in a dict is as deep as releases go
        if isinstance(state, Mapping) and state and all(_is_real(value) for value in state.values()):
            prefix = _common_prefix(state, rules["strip_prefix"])
            return {str(name).removeprefix(prefix): value for name, value in state.items()}
        if not isinstance(state, Mapping):
            break
        inside = [key for key in rules["unwrap"] if isinstance(state.get(key), Mapping)]
        if not inside:
            break
        state = state[inside[0]]
    raise UserError(f"The file {where} holds no weights by name (a state dict), so there is nothing to import.")


def _is_real(value: object) -> bool:
    """Whether it is a tensor of real numbers."""
    return isinstance(value, Tensor) and not value.is_complex()


def _joined(content: object, parts: Sequence[str]) -> object:
    """The state dicts under the keys `parts` as one, each name after its key; `content` itself where one is missing."""
    if not parts or not isinstance(content, Mapping):
        return content
    states = {part: content.get(part) for part in parts}
    joined: dict[str, object] = {}
    for part, state in states.items():
        if not isinstance(state, Mapping):
            return content
        joined.update({f"{part}.{name}": value for name, value in state.items()})
    return joined


def _common_prefix(names: Collection[object], prefixes: Sequence[str]) -> str:
    """The first of `prefixes` that all `names` begin with; empty where there is none."""
    for prefix in prefixes:
        if all(str(name).startswith(prefix) for name in names):
            return prefix
    return ""


def renamed(state: Mapping[str, Tensor], rules: RenameTable, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The published weights `state` under our names and in our form.

    Args:
        state: as published.
        rules: a table.
        shapes: of our network's tensors, by name.

    Raises:
        UserError: two names become one and their values differ.
    """
    ours: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for published, value in state.items():
        if any(re.search(pattern, published) for pattern in rules.get("ignore", ())):
            continue
        name = published
        for pattern, replacement in rules.get("rename", ()):
            name = re.sub(pattern, functools.partial(_filled, replacement=replacement), name)
        if name in ours and not torch.equal(ours[name], value):
            raise UserError(
                f"The published weights {origin[name]} and {published} both belong to {name}, but they differ, so they "
                "are of another network."
            )
        ours[name], origin[name] = value, published
    for pattern in rules.get("stack", ()):
        ours = _stacked(ours, pattern)
    for pattern, change in _changes(rules):
        ours = _changed(ours, pattern, change)
    for name, number in rules.get("fill", ()):
        if name in shapes and name not in ours:
            ours[name] = torch.tensor(number)
    return {name: _shaped(value, shapes.get(name), rules.get("tile", 1)) for name, value in ours.items()}


def misfit(state: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> str | None:
    """The first few differences between `state` and the `shapes` it should have, in words; None where it fits."""
    missing = [name for name in shapes if name not in state]
    strange = [name for name in state if name not in shapes]
    other = [name for name in shapes if name in state and state[name].shape != shapes[name]]
    parts = [f"it lacks {_few(missing)}"] if missing else []
    parts += [f"it has {_few(strange)} that the network has not"] if strange else []
    if other:
        first = other[0]
        form = f"{first} is {_by(state[first].shape)} in it and {_by(shapes[first])} in the network"
        parts.append(form + (f" (and {len(other) - 1} more differ)" if len(other) > 1 else ""))
    return "; ".join(parts) or None


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _by(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _read(file: Path) -> RenameTable:
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _filled(match: re.Match[str], replacement: str) -> str:
    """`replacement` with the groups of `match` in it."""

    def number(token: re.Match[str]) -> str:
        value, by = int(match[int(token[1])]), int(token[3])
        return str(value - by if token[2] == "-" else value // by)

    return match.expand(_ARITHMETIC.sub(number, replacement))


def _stacked(state: Mapping[str, Tensor], pattern: str) -> dict[str, Tensor]:
    parts: dict[str, dict[int, Tensor]] = {}
    rest: dict[str, Tensor] = {}
    for name, value in state.items():
        stem, _, index = name.rpartition(".")
        if index.isdigit() and re.fullmatch(pattern, stem):
            parts.setdefault(stem, {})[int(index)] = value
        else:
            rest[name] = value
    stacked = {}
    for stem, members in parts.items():
        if len({value.shape for value in members.values()}) == 1:  # else of another network
            stacked[stem] = torch.stack([members[i] for i in sorted(members)])
    return {**rest, **stacked}


def _changes(rules: RenameTable) -> list[tuple[str, Callable[[Tensor], Tensor]]]:
    """What a table does to tensors, in its order: patterns of our names, and what is done to what comes to them."""
    changes: list[tuple[str, Callable[[Tensor], Tensor]]] = []
    changes += [(pattern, _filters) for pattern in rules.get("matlab", ())]
    changes += [(pattern, _filters_of_rows) for pattern in rules.get("rows_first", ())]
    changes += [(pattern, _transposed) for pattern in rules.get("transpose", ())]
    for pattern, *where in rules.get("reverse", ()):
        changes.append((pattern, functools.partial(_turned, where=where)))
    for pattern, axis, share in rules.get("rotate", ()):
        changes.append((pattern, functools.partial(_rotated, axis=axis, share=share)))
    changes += [(pattern, functools.partial(torch.mul, other=factor)) for pattern, factor in rules.get("scale", ())]
    changes += [(pattern, functools.partial(torch.add, other=number)) for pattern, number in rules.get("add", ())]
    return changes


def _changed(state: Mapping[str, Tensor], pattern: str, change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    return {name: change(value) if re.search(pattern, name) else value for name, value in state.items()}


def _turned(value: Tensor, where: Sequence[int]) -> Tensor:
    """`value` with the order along an axis reversed; as it is where it has no such axis: it is of another network.

    Args:
        value: a tensor.
        where: the axis, and how many of its channels stay together in their order, where there are several.
    """
    axis, together = where[0], where[1] if len(where) > 1 else 1
    if axis >= value.ndim or value.shape[axis] % together:
        return value
    return value.unflatten(axis, (-1, together)).flip(axis).flatten(axis, axis + 1)


def _rotated(value: Tensor, axis: int, share: float) -> Tensor:
    """`value` with the first `share` of `axis` behind the rest; as it is where it has no such axis."""
    return value.roll(-round(share * value.shape[axis]), axis) if axis < value.ndim else value


def _filters(value: Tensor) -> Tensor:
    """MATLAB's `(input, size * column + row, output)` as `(output, input, row, column)`; other forms as they are."""
    size = math.isqrt(value.shape[1]) if value.ndim in (2, 3) else 0
    if not size or size**2 != value.shape[1]:
        return value
    return value.reshape(len(value), size, size, -1).permute(3, 0, 2, 1).contiguous()


def _filters_of_rows(value: Tensor) -> Tensor:
    """Filters `(row, column, input, output)` as `(output, input, row, column)`; other forms as they are."""
    return value.permute(3, 2, 0, 1).contiguous() if value.ndim == 4 else value


def _transposed(value: Tensor) -> Tensor:
    """The transposed matrix; other forms as they are."""
    return value.t().contiguous() if value.ndim == 2 else value


def _shaped(value: Tensor, shape: torch.Size | None, tile: int) -> Tensor:
    """`value` in `shape`, where the two differ by axes of length one alone, or by `tile` along the first axis."""
    if shape is None:
        return value
    if tile > 1 and value.ndim and (tile * len(value), *value.shape[1:]) == tuple(shape):
        return torch.cat([value] * tile)
    same = [n for n in value.shape if n != 1] == [n for n in shape if n != 1]
    return value.reshape(shape) if same else value
