"""How a configuration is composed by Hydra: search path, models that need no file of their own, plain values."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from limpid.config.messages import sentence
from limpid.config.registry import registered
from limpid.config.settings import refuse_values
from limpid.config.yaml_files import text_of
from limpid.errors import UserError, shortened
from limpid.paths import config_folders

#: What a row or a single setting may be called by in Hydra's choices but not in ours.
_OF_HYDRA = "hydra/"


@dataclass(frozen=True)
class Composed:
    """A composed configuration.

    Attributes:
        config: plain values, every interpolation resolved: what ``--cfg job --resolve`` prints.
        choices: which option each group took, such as ``{"model": "fdr", "fdr/table6": "channels_64"}``.
        overrides: the words it was composed from.
        paper_network: the settings of the network at budget ``paper``, with which a narrower one is compared.
    """

    config: dict[str, Any]
    choices: dict[str, str]
    overrides: tuple[str, ...]
    paper_network: dict[str, Any]


class LimpidSource(FileConfigSource):
    """The files of conf/ and experiments/, each of which is looked at before Hydra makes values of it."""

    @staticmethod
    def scheme() -> str:
        """The beginning of the addresses that lead here."""
        return "limpid"

    def load_config(self, config_path: str) -> ConfigResult:
        """The content of a file.

        Raises:
            UserError: it cannot be read, is no YAML, stands for too much, or is an empty row.
        """
        file = Path(self.path, self._normalize_file_name(config_path))
        if file.exists():
            text_of(file)
        loaded = super().load_config(config_path)
        if not isinstance(loaded.config, DictConfig):
            raise UserError(f"The file {file} must hold keys with values, but it holds a list or a single value.")
        if not loaded.config and Path(self.path).name == "experiments":
            raise UserError(f"The row {file} is empty; write what it chooses, such as its model, or take it away.")
        return loaded


class LimpidSearchPath(SearchPathPlugin):
    """Adds conf/ and experiments/, the user's own in the current directory before Limpid's.

    A plugin, because `hydra.searchpath` in a primary config makes `glob(*)` find nothing.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folders to Hydra's search path."""
        for kind in ("conf", "experiments"):
            for folder in config_folders(kind):
                search_path.append("limpid", folder.resolve().as_uri().replace("file:", "limpid:", 1))


def register() -> None:
    """Make Hydra know Limpid's search path, and a model for every network that has no model file."""
    Plugins.instance().register(LimpidSource)
    Plugins.instance().register(LimpidSearchPath)
    files = chain.from_iterable((folder / "model").glob("*.yaml") for folder in config_folders("conf"))
    filed = {file.stem for file in files}
    for name in registered():
        if name not in filed:
            node = {"defaults": ["restorer@model", {"override /network": name}]}
            ConfigStore.instance().store(group="model", name=name, node=node, package="_global_", provider="limpid")


register()  # on import, so that a sweep's job in another process has them too


@contextmanager
def beside_other_hydra() -> Iterator[None]:
    """Hydra initialised for Limpid's configuration, and afterwards as it was before, in a job or in a notebook."""
    register()
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize(config_path=None, version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = outer  # Hydra may have put another instance in its place


@lru_cache(maxsize=1)
def _loader(files: tuple[tuple[str, int], ...]) -> ConfigLoader:
    """The loader of Hydra over the files as they are now; making one takes as long as composing with it."""
    with beside_other_hydra():
        return GlobalHydra.instance().config_loader()


def _files() -> tuple[tuple[str, int], ...]:
    """Every file of the configuration and when it was last changed."""
    files: list[Path] = []
    for folder in chain(config_folders("conf"), config_folders("experiments")):
        files += sorted(folder.rglob("*.yaml"))
    return tuple((str(file), file.lstat().st_mtime_ns) for file in files)


def compose(overrides: Sequence[str], command: str = "train") -> Composed:
    """The configuration of a command with these overrides, composed beside any other use of Hydra in this process.

    Args:
        overrides: Hydra's words, such as ``+rfd/table5=student`` or ``budget=mini``.
        command: whose primary config is taken: ``train``, ``test``, ``predict``, ``profile`` or ``export``.

    Raises:
        UserError: a group, an option or a key is unknown, a file gives a permission, or a switch or a number is
            neither.
    """
    refuse_endless(overrides)
    overrides = last_of_each(overrides)
    with _in_sentences():
        config = _loader(_files()).load_configuration(command, list(overrides), run_mode=RunMode.RUN)
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return _plain(config, choices, overrides)


def plain_values(config: DictConfig) -> dict[str, Any]:
    """The plain values of a composed configuration, interpolations resolved, without what has no value yet."""
    values: Any = OmegaConf.to_container(config, resolve=True)
    return {key: value for key, value in values.items() if not OmegaConf.is_missing(config, key)}


def composed_job(config: DictConfig) -> Composed:
    """The configuration that Hydra handed to a job of its own."""
    return _plain(config, dict(HydraConfig.get().runtime.choices), typed())


def _plain(config: DictConfig, choices: dict[str, str], overrides: Sequence[str]) -> Composed:
    with _in_sentences():
        settle_permissions(config, overrides)
        plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    refuse_values(plain, plain.get("command"))
    own = {group: name for group, name in choices.items() if not group.startswith(_OF_HYDRA)}
    with _in_sentences():
        return Composed(plain, own, tuple(overrides), _network_at_paper(config))


@contextmanager
def _in_sentences() -> Iterator[None]:
    """Errors raised inside of Hydra, OmegaConf or YAML as sentences.

    Raises:
        UserError: in the place of such an error.
    """
    try:
        yield
    except Exception as error:
        message = sentence(error)
        if message is None:
            raise
        raise UserError(message) from error


def _network_at_paper(config: DictConfig) -> dict[str, Any]:
    own = config.budget
    with open_dict(config):
        config.budget = "paper"
        network: Any = OmegaConf.to_container(config.network, resolve=True)
        config.budget = own
    return dict(network)


#: Bounds far beyond what a setting needs; Hydra's parser takes minutes and much memory for what lies far beyond them.
_MOST_LETTERS = 10_000
_MOST_BRACKETS = 30
_MOST_PARTS = 30


def refuse_endless(words: Sequence[str]) -> None:
    """Refuse words that are no text, or too long or too deep to be settings.

    Raises:
        UserError: naming the beginning of the first.
    """
    for word in words:
        if not isinstance(word, str):
            raise UserError(f"A word must be text such as 'budget=mini', but it is {shortened(repr(word), 60)}.")
        begun = shortened(word, 60)
        if len(word) > _MOST_LETTERS:
            raise UserError(f"The word {begun!r} is longer than any setting; shorten it to {_MOST_LETTERS:,} letters.")
        if _depth(word) > _MOST_BRACKETS:
            raise UserError(f"The word {begun!r} has lists more than {_MOST_BRACKETS} deep in each other; flatten it.")
        if key_of(word).count(".") >= _MOST_PARTS:
            raise UserError(f"The word {begun!r} names a key of more than {_MOST_PARTS} parts, which no setting has.")


def last_of_each(words: Sequence[str]) -> list[str]:
    """The words without those whose key a later one sets again: of ``seed=1 seed=2`` the last holds, as in Hydra.

    Settings in braces stay, because Hydra merges them, and so do ``+key=``, which Hydra takes once, and ``~key``.
    """
    kept: list[str] = []
    set_later: set[str] = set()
    for word in reversed(words):
        key, separator, value = word.partition("=")
        replaces = bool(separator) and re.match(r"\+\+|[^-+~]", key) is not None and not value.startswith("{")
        if not (replaces and key in set_later):
            kept.insert(0, word)
        if replaces:
            set_later.add(key)
    return kept


def _depth(word: str) -> int:
    """The largest number of brackets that are open at once."""
    depth = most = 0
    for letter in re.sub(r"[^\[\](){}]", "", word):
        depth += 1 if letter in "[({" else -1
        most = max(most, depth)
    return most


def key_of(override: str) -> str:
    """The key that an override such as ``+data.root=photos`` sets."""
    return override.lstrip("+~").split("=", 1)[0].split("@", 1)[0]


def is_table(group: str) -> bool:
    """Whether a group of the configuration is a table of experiments/, such as ``rfd/table5``."""
    return group.count("/") == 1 and any((folder / group).is_dir() for folder in config_folders("experiments"))


def typed() -> list[str]:
    """The overrides of the job that Hydra runs, as they were typed."""
    return [str(override) for override in HydraConfig.get().overrides.task]


def settle_permissions(config: DictConfig, overrides: Sequence[str]) -> None:
    """Hand what `allow_nonfree` allows to the network, and refuse permissions that are not typed but stand in a file.

    A file could otherwise run any program by allowing it to itself, or say for a user what only a user can know.

    Args:
        config: as composed; a network that asks for `allow_nonfree` is given what was typed.
        overrides: what was typed.

    Raises:
        UserError: a file sets `allow_targets` or `allow_nonfree`.
    """
    if config.allow_targets and "allow_targets" not in map(key_of, overrides):
        listed = ",".join(config.allow_targets)
        raise UserError(
            f"A file in conf/ or experiments/ sets allow_targets=[{listed}], which lets it run what is in there; take "
            "it out of the file, and type it if you trust that package."
        )
    keys = {key_of(word) for word in overrides}
    network = config.get("network")
    if "allow_nonfree" in keys and "allow_nonfree" in (network or ()) and "network.allow_nonfree" not in keys:
        network.allow_nonfree = config.allow_nonfree
    said = any(re.search(r"\ballow_nonfree\b", word) for word in overrides)
    if not said and _allows_nonfree(OmegaConf.to_container(config, resolve=False)):
        raise UserError(
            "A file in conf/ or experiments/ sets allow_nonfree, by which methods are used whose use others restrict; "
            "take it out of the file, and type allow_nonfree=true where you may use them."
        )


def _allows_nonfree(value: Any) -> bool:
    """Whether `allow_nonfree` is set at any depth of plain values; what only refers to it is not counted."""
    if isinstance(value, dict):
        own = value.get("allow_nonfree", False)
        return (bool(own) and not isinstance(own, str)) or any(map(_allows_nonfree, value.values()))
    return isinstance(value, list) and any(map(_allows_nonfree, value))


def launch(command: str, arguments: list[str], job: Callable[[DictConfig], Any]) -> None:
    """Compose `command` with Hydra's command line and call `job` with each composed configuration.

    Exceptions come out as they are: `limpid.cli` says what they mean.
    """
    with _command_line(arguments):
        hydra.main(version_base="1.3", config_path=None, config_name=command)(job)()


def launch_once(command: str, arguments: list[str], job: Callable[[DictConfig], Any]) -> None:
    """Compose `command` and call `job` with the one configuration.

    Raises:
        Exception: what `job` raised, without a line of Hydra's before it.
    """
    captured = CapturedJob(job)
    with _command_line(arguments):
        hydra.main(version_base="1.3", config_path=None, config_name=command)(captured)()
    if captured.error is not None:
        raise captured.error


class CapturedJob:
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


def _flags_first(arguments: list[str]) -> list[str]:
    """The words with Hydra's flags before the others: its parser takes no flag between them.

    Raises:
        UserError: there is no such flag, or it lacks its value.
    """
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise UserError(f"Of the words that begin with a dash: {message}; limpid COMMAND --help shows what there is.")

    parser.error = refuse  # type: ignore[method-assign]
    words = parser.parse_intermixed_args(arguments).overrides
    left = Counter(words)
    flags: list[str] = []
    for word in reversed(arguments):
        if left[word] > 0:
            left[word] -= 1
        else:
            flags.insert(0, word)
    return [*flags, *words]


@contextmanager
def _command_line(arguments: list[str]) -> Iterator[None]:
    """The command line as Hydra reads it, and the environment it works in."""
    refuse_endless(arguments)
    register()  # again: the current directory may have another conf/ than when this module was imported
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints a traceback of its own and exits with 1
    # Threads that wait for each other spin by default; beside data-loading processes that costs ten times the work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    before = sys.argv
    sys.argv = [before[0], *_flags_first(last_of_each(arguments))]
    try:
        yield
    finally:
        sys.argv = before
