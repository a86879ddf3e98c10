"""How a verb is composed by Hydra: search path, resolvers, models that need no file of their own, sweeps."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import hydra
from hydra import initialize, version
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from limpid.config.registry import registered
from limpid.errors import UserError
from limpid.paths import config_folders

#: Either says how long a run is; a level that gives one of them answers for both.
_LENGTHS = ("steps", "epochs")


class LimpidSearchPath(SearchPathPlugin):
    """Adds conf/ and experiments/, the user's own in the current directory before Limpid's.

    A plugin, because `hydra.searchpath` in a primary config makes `glob(*)` find nothing.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folders to Hydra's search path."""
        for kind in ("conf", "experiments"):
            for folder in config_folders(kind):
                search_path.append("limpid", folder.resolve().as_uri())


def plan(key: str, *, _root_: DictConfig) -> Any:
    """`${plan:KEY}`: what the budget says of KEY, else the schedule under the budget's name, else the schedule."""
    budget, schedule = _root_.budget, _root_.schedule
    for level in (budget, schedule.get(budget.name) or {}, schedule):
        if key in _LENGTHS and any(level.get(length) is not None for length in _LENGTHS):
            return level.get(key)
        if level.get(key) is not None:
            return level.get(key)
    return None


def register() -> None:
    """Make Hydra know Limpid's search path, its resolver, and a model for every network that has no model file."""
    Plugins.instance().register(LimpidSearchPath)
    OmegaConf.register_new_resolver("plan", plan, replace=True)
    filed = {file.stem for folder in config_folders("conf") for file in (folder / "model").glob("*.yaml")}
    for name in registered():
        if name not in filed:
            node = {"defaults": ["restorer@model", {"override /network": name}]}
            ConfigStore.instance().store(group="model", name=name, node=node, package="_global_", provider="limpid")


register()  # on import, so that a sweep's job in another process has them too


def launch(verb: str, arguments: list[str], job: Callable[[DictConfig], Any]) -> None:
    """Compose `verb` with Hydra's command line and call `job` with each composed configuration.

    Exceptions come out as they are: `limpid.cli` says what they mean.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints a traceback of its own and exits with 1
    # Threads that wait for each other spin by default; beside data-loading processes that costs ten times the work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    before = sys.argv
    sys.argv = [before[0], *arguments]
    try:
        hydra.main(version_base="1.3", config_path=None, config_name=verb)(job)()
    finally:
        sys.argv = before


class Single:
    """A job that keeps its exception to itself, because Hydra would write a line of its own about it.

    Args:
        job: what is done with the composed configuration.
    """

    def __init__(self, job: Callable[[DictConfig], Any]) -> None:
        self.job = job
        self.error: Exception | None = None

    def __call__(self, config: DictConfig) -> None:
        """Do the job."""
        try:
            self.job(config)
        except Exception as error:
            self.error = error


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """The plain, resolved configuration of `limpid train` with these overrides, and the `choices` of each group.

    It can be asked any number of times, and beside a Hydra application of your own.

    Args:
        overrides: as `limpid train` takes them, such as ``model=rfd_student``.

    Raises:
        UserError: one is unknown, or a file sets `allow_targets`.
    """
    register()
    words = [str(word) for word in overrides]
    typed = {word.lstrip("+~").split("=", 1)[0].split("@", 1)[0] for word in words}
    bases = version.VersionBase.instance()
    hydra_before, base_before = GlobalHydra.instance().hydra, bases.version_base
    GlobalHydra.instance().hydra = None
    try:
        with initialize(config_path=None, version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            config = loader.load_configuration(config_name="train", overrides=words, run_mode=RunMode.RUN)
    except HydraException as error:
        raise UserError(f"The words {' '.join(words)} cannot be composed: {str(error).splitlines()[0]}") from error
    finally:
        GlobalHydra.instance().hydra = hydra_before
        bases.version_base = base_before
    choices = {name: value for name, value in config.hydra.runtime.choices.items() if not name.startswith("hydra/")}
    with open_dict(config):
        del config["hydra"]
        narrow = plan("network", _root_=config) or {}
        config.network.update({key: value for key, value in narrow.items() if f"network.{key}" not in typed})
    if config.allow_targets and "allow_targets" not in typed:
        raise UserError("A file in conf/ or experiments/ sets allow_targets; take it out, and type it if you trust it.")
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    terms = plain["loss"]["terms"]
    plain["loss"]["terms"] = {name: term for name, term in terms.items() if term and term.get("weight") != 0}
    skipped = plain["budget"].get("skip_metrics") or ()
    plain["metrics"] = {name: card for name, card in (plain["metrics"] or {}).items() if name not in skipped}
    return {**plain, "choices": choices}
