"""Typed overrides: refusing unknown ones, and choosing those for prerequisites and for a run's name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from limpid.config.compose import Composed, is_table, key_of
from limpid.errors import UserError, nearest
from limpid.paths import config_folders, shipped
from limpid.results.rows import Row

#: What a prerequisite takes over from the command line of the run that needs it.
_INHERITED = (
    *("budget", "seed", "data", "trainer", "prerequisites"),
    *("logger", "log_every", "memory_format", "compile", "allow_targets", "allow_nonfree"),
)
#: Of `training` it takes over only which weights stand in where files are missing.
_INHERITED_TRAINING = re.compile(r"training\.\w+\.\w+_weights")

#: What makes a training another one, and a test of its weights no other test.
_OF_TRAINING = ("training", "model", "loss", "optimizer", "lr_scheduler", "callbacks")
_TRAINERS_OF_TRAINING = (
    "max_steps",
    "max_epochs",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "val_check_interval",
)

#: What a table shows in its own place, or what changes no result.
_NAMED_OTHERWISE = (
    *("budget", "seed", "rerun", "prerequisites", "ckpt", "allow_targets", "allow_nonfree"),
    *("data.workers", "data.cache", "data.cache_gb", "logger", "log_every", "pictures"),
)


def inherited(overrides: Sequence[str]) -> list[str]:
    """The overrides that also hold for a prerequisite."""
    return [word for word in overrides if _is_inherited(key_of(word))]


def _is_inherited(key: str) -> bool:
    return key.split(".")[0] in _INHERITED or _INHERITED_TRAINING.fullmatch(key) is not None


def of_training(overrides: Sequence[str]) -> list[str]:
    """The overrides that say how weights are trained, and nothing of how they are tested."""
    trainer = {f"trainer.{key}" for key in _TRAINERS_OF_TRAINING}
    return [word for word in overrides if (key := key_of(word)).split(".")[0] in _OF_TRAINING or key in trainer]


def with_own_data(overrides: Sequence[str], recipe: str) -> list[str]:
    """The overrides for a prerequisite that may be trained on other data than the run that needs it.

    Args:
        overrides: what the prerequisite inherits, a recipe among it.
        recipe: the recipe that the prerequisite is trained on.
    """
    if f"data={recipe}" in overrides:
        return list(overrides)
    # What was typed for one of the sets belongs to the other recipe.
    of_sets = ("data.train", "data.val", "data.test.")
    others = [word for word in overrides if not key_of(word).startswith(of_sets)]
    return [f"data={recipe}" if key_of(word) == "data" else word for word in others]


def beyond_the_row(
    overrides: Sequence[str], row: Row | None, mode: str, is_unchanged: bool = False, own: Collection[str] = ()
) -> tuple[str, ...]:
    """The words that were typed besides the row, the budget, the seed, and what changes no result.

    Args:
        overrides: all that were typed.
        row: of the run.
        mode: of the run. What a test tests is named in its own place; what a training starts from is among the words.
        is_unchanged: whether they leave the row's settings as they are, so that only data roots can matter.
        own: the keys of the sets of one's own that are read. Of these it matters where they lie.
    """
    table = () if row is None else (f"{row.paper}/{row.table}",)
    silent = {*_NAMED_OTHERWISE, *table} - ({"ckpt"} if mode == "train" else set())
    read_own = any(key.startswith("data.") for key in own)
    words = []
    for word in overrides:
        key = key_of(word)
        is_root = key.startswith("data.") and key.endswith((".root", ".roots"))
        if is_root and read_own:
            words.append(re.sub(r"='([\w./~-]+)'$", r"=\1", word))  # without quotes that nothing needs
        elif not (is_root or is_unchanged or key in silent):
            words.append(word)
    return tuple(words)


def refuse_unknown_keys(composed: Composed) -> None:
    """Refuse what a plus would silently add and nothing would read: misspelt tables, groups and settings.

    Keys below objects are checked against their signatures instead.

    Raises:
        UserError: naming the first, and the nearest that exists.
    """
    known = set(_top_level(composed.config["command"]))
    for word in composed.overrides:
        key = key_of(word)
        if "/" in key:
            if not is_table(key) and not _is_group(key):
                hint = nearest(key, _tables()) or "; limpid table lists them."
                raise UserError(f"There is no table or group {key!r}{hint}")
            continue
        top, *rest = key.split(".")
        if top not in known:
            raise UserError(f"There is no setting {key!r}{nearest(top, known) or '; --cfg job prints all.'}")
        if top == "training" and rest:
            _refuse_unknown_training(key, rest, composed.config["training"])
    # After the words: a key that was typed is in the configuration too.
    for key in composed.config:
        if key not in known:
            hint = nearest(key, known) or "; --cfg job prints all that is read."
            raise UserError(f"A file of conf/ or experiments/ sets {key!r}, which nothing reads{hint}")


def _refuse_unknown_training(key: str, rest: Sequence[str], training: Mapping[str, Any]) -> None:
    """Refuse a key of `training` that nothing reads: only the budget `paper` holds all of them."""
    known = training["paper"]
    if len(rest) > 1 and rest[1] not in known:
        hint = nearest(rest[1], known) or f"; there are {', '.join(known)}."
        raise UserError(f"There is no setting {key!r}{hint}")


def _top_level(command: str) -> list[str]:
    """The keys at the top of a command's configuration: its groups and its settings."""
    keys: list[str] = []
    for name in ("common", command):
        content = yaml.safe_load((shipped("conf") / f"{name}.yaml").read_text(encoding="utf-8"))
        groups = [next(iter(entry)) for entry in content.pop("defaults", []) if isinstance(entry, dict)]
        keys += [group for group in groups if " " not in group]
        keys += content
    return keys


def _is_group(key: str) -> bool:
    return any((folder / key).is_dir() for folder in config_folders("conf")) or key.startswith("hydra/")


def _tables() -> set[str]:
    folders = chain.from_iterable(root.glob("*/*") for root in config_folders("experiments"))
    return {f"{folder.parent.name}/{folder.name}" for folder in folders if folder.is_dir()}


def refuse_network(overrides: Sequence[str], path: Path, network: str) -> None:
    """Refuse what would change the `network` of the checkpoint at `path`.

    Raises:
        UserError: it or one of its settings was typed.
    """
    for key in map(key_of, overrides):
        if key == "network" or key.startswith("network."):
            raise UserError(
                f"The network comes from the checkpoint {path} ({network}), so {key} cannot be set; "
                "leave it out, or leave out ckpt."
            )


def explained(error: UserError, composed: Composed) -> UserError:
    """The error, with what to do where a network was put into a model that sets another network's widths."""
    typed = {key_of(word): word for word in composed.overrides}
    if "network" not in typed or not re.match(r"network\.\w+ is not an argument", str(error)):
        return error
    network, model = composed.choices["network"], composed.choices["model"]
    return UserError(
        f"{error} It is set by model={model}, whose network is another; choose model={network} in its place, and "
        "loss= and data= as you want them."
    )
