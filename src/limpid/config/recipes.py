"""Parts of conf/ as plain values, for notebooks, for making sets and for the data commands.

Hydra composes them, as it does for `limpid train`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict

from limpid.config.compose import beside_other_hydra
from limpid.errors import UserError, nearest
from limpid.paths import config_folders


def names(group: str) -> list[str]:
    """The options of a group, such as ``dataset`` or ``data``, the user's own among them."""
    files = chain.from_iterable((folder / group).glob("*.yaml") for folder in config_folders("conf"))
    return sorted({file.stem for file in files})


def option(group: str, name: str, root: str | Path | None = None) -> dict[str, Any]:
    """The option of a group as plain values, its defaults merged in.

    Args:
        group: such as ``dataset``.
        name: of the file, without its suffix.
        root: the data root that its interpolations name, if they do.

    Raises:
        UserError: there is no such option.
    """
    return options(group, [name], root)[name]


def options(group: str, chosen: Sequence[str], root: str | Path | None = None) -> dict[str, dict[str, Any]]:
    """The chosen options of a group as plain values, by name; see `option`.

    Raises:
        UserError: one of them is not there.
    """
    files = _files(group)
    for name in chosen:
        if f"{name}.yaml" not in files:
            known = names(group)
            hint = nearest(name, known) or f"; there are {', '.join(known)}."
            raise UserError(f"There is no {group} {name!r}{hint}")
    config = _composed(None, [f"+{group}@chosen.option_{i}={name}" for i, name in enumerate(chosen)])
    if root is not None:
        with open_dict(config):
            config.data = {"root": str(root)}
    return {name: _plain(config.chosen[f"option_{i}"]) for i, name in enumerate(chosen)}


def card(name: str, root: str | Path) -> dict[str, Any]:
    """The card of a set as plain values.

    Args:
        name: as `limpid data list` names it.
        root: the data root.

    Raises:
        UserError: there is no such card.
    """
    return option("dataset", name, root)


def recipe(name: str, root: str | Path | None = None, **settings: Any) -> dict[str, Any]:
    """A recipe of conf/data as plain values, with the batch and the crop of `training=default`.

    Args:
        name: of the file in conf/data.
        root: the data root; None is `LIMPID_DATA`, else ``data``.
        settings: what differs from the recipe, such as ``batch_size=4``; dicts are merged key by key.

    Raises:
        UserError: there is no such recipe, or it has no such setting.
    """
    known = names("data")
    if name not in known:
        raise UserError(f"There is no data {name!r}{nearest(name, known) or '; there are ' + ', '.join(known) + '.'}")
    config = _composed("train", [f"data={name}", "training=default"])
    for key in settings:
        if key not in config.data:
            hint = nearest(key, map(str, config.data)) or f"; it has {', '.join(map(str, config.data))}."
            raise UserError(f"The recipe {name} has no setting {key!r}{hint}")
    if root is not None:
        settings = {"root": str(root), **settings}
    with open_dict(config):
        config.data = OmegaConf.merge(config.data, settings)
    return _plain(config.data)


def merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, Any]:
    """The values of `base` with those of `over` in their place, dict by dict; lists are replaced."""
    return _plain(OmegaConf.merge(dict(base), dict(over)))


def _files(group: str) -> set[str]:
    """The files of a group and of the folders in it, relative to the group."""
    folders = [folder / group for folder in config_folders("conf")]
    files: set[str] = set()
    for folder in folders:
        files |= {file.relative_to(folder).as_posix() for file in folder.rglob("*.yaml")}
    return files


def _composed(name: str | None, overrides: list[str]) -> DictConfig:
    try:
        with beside_other_hydra():
            return hydra.compose(config_name=name, overrides=overrides)
    except MissingConfigException as error:
        raise UserError(f"A file of conf/ names another that is not there: {error}") from error


def _plain(node: object) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(node, resolve=True)
    return dict(plain)
