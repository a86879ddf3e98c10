"""A network or prior by its config name: `limpid.build("ffa_net", blocks=19)`.

`conf/network/*.yaml` is the registry; a `conf/` in the current directory is looked at first, so a user's own network
lives outside the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpid.config import instantiate
from limpid.config.kinds import refuse_kinds
from limpid.config.yaml_files import values_of
from limpid.errors import UserError, nearest
from limpid.paths import config_folders

if TYPE_CHECKING:
    from torch import nn


def registered() -> dict[str, Path]:
    """The config file of every network and prior, by name; the user's own come before the package's."""
    files: dict[str, Path] = {}
    for folder in config_folders("conf"):
        for file in sorted((folder / "network").glob("*.yaml")):
            files.setdefault(file.stem, file)
    return files


def network_config(name: str) -> dict[str, Any]:
    """The registry's settings of `name`, `_target_` included; that its use is allowed no file says.

    Raises:
        UserError: no network or prior has that name.
    """
    files = registered()
    if not isinstance(name, str) or name not in files:
        raise UserError(f"There is no network or prior named {name!r}{nearest(str(name), files) or '.'}")
    settings = values_of(files[name])
    if not isinstance(settings.get("_target_"), str):
        raise UserError(f"The file {files[name]} describes no network; give it a _target_ and its settings.")
    return settings | ({"allow_nonfree": False} if "allow_nonfree" in settings else {})


def build(name: str, *, allow_targets: Sequence[str] = (), **overrides: Any) -> nn.Module:
    """The network or prior `name` with the registry's settings and keyword `overrides`.

    Args:
        name: a config name, such as ``ffa_net``, ``rfd_student`` or ``aod_net``.
        allow_targets: packages besides Limpid's usual ones that the config may take the network from.
        overrides: settings that differ from the registry's, such as ``blocks=19``.

    Raises:
        UserError: the name, a setting, or the package of its target is unknown.
    """
    refuse_kinds({"allow_targets": Sequence[str]}, "", {"allow_targets": allow_targets}, strict=True)
    config = network_config(name) | overrides
    instantiate.check(config, f"network {name}", allow_targets)
    module: nn.Module = instantiate.construct(config, f"network {name}", allow_targets)
    return module
