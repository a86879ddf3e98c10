"""The cards of conf/dataset and the recipes of conf/data, read without Hydra, for notebooks and for making sets.

What is read here is what Hydra composes for `limpid train`; a test holds the two together. Only what those files use is
understood: lists of defaults, and interpolations that are a whole value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from limpid.errors import UserError, nearest
from limpid.paths import config_folders

_INTERPOLATION = re.compile(r"\$\{(?:(?P<resolver>[\w.]+):)?(?P<argument>[^}]*)\}")


def names(group: str) -> list[str]:
    """The files of a group, such as ``set`` or ``data``, the user's own among them."""
    return sorted({file.stem for folder in config_folders("conf") for file in (folder / group).glob("*.yaml")})


def compose(group: str, name: str) -> dict[str, Any]:
    """A file of conf/ with its defaults merged in; interpolations are left as they are.

    Args:
        group: such as ``set``.
        name: of the file, without its suffix.

    Raises:
        UserError: there is no such file.
    """
    files = [folder / group / f"{name}.yaml" for folder in config_folders("conf")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        known = names(group)
        hint = nearest(name, known) or f"; there are {', '.join(known)}."
        raise UserError(f"There is no {group} {name!r}{hint}")
    own = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    defaults = own.pop("defaults", ["_self_"])
    composed: dict[str, Any] = {}
    for entry in defaults if "_self_" in defaults else [*defaults, "_self_"]:
        composed = merged(composed, own if entry == "_self_" else _default(entry, group))
    return composed


def _default(entry: str | Mapping[str, str], group: str) -> dict[str, Any]:
    """One entry of a list of defaults: ``name``, ``name@key``, or ``{/group@key: name}``; keys may have dots.

    A group without its slash lies in the one that is read: ``{protocol@psnr: psnr_rgb}``.
    """
    if isinstance(entry, str):
        name, _, key = entry.partition("@")
        where = group
    else:
        ((place, name),) = entry.items()
        inside = place if place.startswith("/") else f"{group}/{place}"
        where, _, key = inside.removeprefix("/").partition("@")
    content: dict[str, Any] = compose(where, name)
    for part in reversed(key.split(".") if key else []):
        content = {part: content}
    return content


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, dict by dict; lists are replaced."""
    both = dict(base)
    for key, value in over.items():
        old = both.get(key)
        both[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return both


def resolved(value: Any, known: Mapping[str, Any]) -> Any:
    """`value` with its interpolations filled in.

    ``${a.b}`` is looked up in `known`, ``${oc.env:NAME,default}`` in the environment, and ``${plan:KEY}`` in the
    schedule `default`, which is what a run without a row follows.

    Raises:
        UserError: nothing of that name is known.
    """
    if isinstance(value, Mapping):
        return {key: resolved(member, known) for key, member in value.items()}
    if isinstance(value, list):
        return [resolved(member, known) for member in value]
    match = _INTERPOLATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    resolver, argument = match["resolver"], match["argument"]
    if resolver == "oc.env":
        variable, _, default = argument.partition(",")
        return os.environ.get(variable, default)
    if resolver == "plan":
        return compose("schedule", "default").get(argument)
    found: Any = known
    for part in argument.split("."):
        if resolver or not isinstance(found, Mapping) or part not in found:
            raise UserError(f"{value} cannot be filled in here; give the setting it stands for.")
        found = found[part]
    return resolved(found, known)


def card(name: str, root: str | Path) -> dict[str, Any]:
    """The card of a set as plain values.

    Args:
        name: as `limpid data list` names it.
        root: the data root.

    Raises:
        UserError: there is no such card.
    """
    plain: dict[str, Any] = resolved(compose("dataset", name), {"data": {"root": str(root)}})
    return plain


def recipe(name: str, root: str | Path | None = None, **settings: Any) -> dict[str, Any]:
    """A recipe as plain values.

    Args:
        name: of the file in conf/data.
        root: the data root; None is `LIMPID_DATA`, else ``data``.
        settings: what differs from the recipe, such as ``batch_size=4``; dicts are merged key by key.

    Raises:
        UserError: there is no such recipe, or it has no such setting.
    """
    content = compose("data", name)
    for key in settings:
        if key not in content:
            raise UserError(
                f"The recipe {name} has no setting {key!r}"
                + (nearest(key, content) or f"; it has {', '.join(content)}.")
            )
    content = merged(content, settings if root is None else {"root": str(root), **settings})
    plain: dict[str, Any] = resolved(content, {"data": content, "seed": 0})
    return plain
