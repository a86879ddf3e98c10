"""The network that `predict`, `profile` and `export` work with: a checkpoint's, the zoo's, or a model's by name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from limpid import zoo
from limpid.config import instantiate
from limpid.config.compose import key_of, settle_permissions, typed
from limpid.config.references import PREFIX
from limpid.config.registry import network_config
from limpid.errors import UserError, nearest
from limpid.runs.overrides import refuse_network
from limpid.store.fingerprint import NETWORK_NEUTRAL

if TYPE_CHECKING:
    from torch import nn

#: The keys that choose a network, besides those of a command's own.
CHOOSING = ("model", "network", "ckpt", "allow_targets", "allow_nonfree")
#: With a row's weights, what says which of its runs.
CHOOSING_RUN = ("budget", "seed", "data")


class Chosen(NamedTuple):
    """A network ready to use.

    Attributes:
        network: in evaluation mode.
        name: it goes by.
        trained: whether its weights mean anything.
        ckpt: where they come from, a path or ``zoo:NAME``; None without.
        settings: those that differ from the registry's, in a line; of what has weights they are the weights'.
    """

    network: nn.Module
    name: str
    trained: bool
    ckpt: str | None
    settings: str = ""


def refuse_others(command: str, known: Sequence[str]) -> None:
    """Refuse typed overrides that `command` would not read.

    Args:
        command: for the sentence.
        known: the keys it reads besides `CHOOSING`, and besides `CHOOSING_RUN` where `ckpt` is a row's.

    Raises:
        UserError: naming the first of them.
    """
    words = typed()
    of_a_row = any(key_of(word) == "ckpt" and PREFIX in word for word in words)
    taken = (*CHOOSING, *known, *(CHOOSING_RUN if of_a_row else ()))
    for key in map(key_of, words):
        top = key.split(".")[0]
        if top not in taken:
            hint = nearest(top, taken) or f"; it takes {', '.join(taken)}."
            raise UserError(f"limpid {command} does not use {key!r}{hint}")


def with_aliases(words: Sequence[str]) -> list[str]:
    """The words with ``ckpt=zoo:NAME`` in the place of ``model=ALIAS``, the alias of a card.

    Raises:
        UserError: the model is none, and looks like an alias.
    """
    if {"ckpt", "network"} & {key_of(word) for word in words}:
        return list(words)
    return [_with_alias(word) for word in words]


def _with_alias(word: str) -> str:
    from limpid.config.recipes import names

    name = word.removeprefix("model=")
    known = [*names("model"), *names("network")]
    if name == word or name in known:
        return word
    aliases = zoo.aliases()
    if name in aliases:
        return f"ckpt={zoo.PREFIX}{aliases[name].name}"
    if nearest(name, aliases):
        raise UserError(f"There is no model {name!r}{nearest(name, [*known, *aliases])}")
    return word


def _row_checkpoint(reference: str, typed: Sequence[str]) -> str:
    """The checkpoint that a row's training left at the typed budget and seed.

    Raises:
        UserError: it is not there.
    """
    from limpid.runs.resolve import row_run

    run = row_run(reference, typed)
    if not run.has_weights:
        words = " ".join(word for word in typed if key_of(word) in CHOOSING_RUN)
        row = reference.removeprefix(PREFIX)
        paper, table, name = row.split("/")
        raise UserError(
            f"Row {row} has no trained weights (looked in {run.path}); train it with "
            f"`{f'limpid train +{paper}/{table}={name} {words}'.rstrip()}`, or say at which budget=, seed= and "
            "data= it was."
        )
    return str(run.chosen_checkpoint)


def chosen_network(config: DictConfig, weights: bool = False) -> Chosen:
    """The network that `ckpt`, or else `model`, names.

    Args:
        config: as composed.
        weights: take the zoo's default weights for the network where no `ckpt` is given. Which weights of the zoo are
            used is said on stderr.

    Raises:
        UserError: the checkpoint cannot be used, or `model` or `network.*` say otherwise than it does; or a setting is
            unknown.
    """
    from limpid import checkpoint

    words = typed()
    choices = HydraConfig.get().runtime.choices
    settle_permissions(config, words)
    allow = list(config.allow_targets)
    ckpt = zoo.own_name(str(config.ckpt)) if config.ckpt else None
    if ckpt is not None and ckpt.startswith(PREFIX):
        ckpt = _row_checkpoint(ckpt, words)
    card = None
    if (name := zoo.parse_zoo_name(ckpt)) is not None:
        card = zoo.find(name)
    elif weights and ckpt is None and (card := zoo.default_for(choices["network"])):
        ckpt = f"{zoo.PREFIX}{card.name}"
        for key in map(key_of, words):
            if key.startswith("network."):
                raise UserError(
                    f"The network {card.network} would take its weights from {ckpt}, which were trained with its own "
                    f"settings, so {key} cannot be set; leave it out, or give ckpt=PATH to weights trained with it."
                )
    if ckpt is not None:
        path = Path(ckpt)
        loaded = checkpoint.read(path)
        if config.ckpt:
            refuse_network(words, path, loaded["network"])
        if "model" in map(key_of, words) and choices["network"] != loaded["network"]:
            raise UserError(
                f"The checkpoint {path} holds the network {loaded['network']}, but model={choices['model']} has "
                f"{choices['network']}; leave out model, or give a checkpoint of that network."
            )
        if card is not None:
            print(f"weights: {card.summary()}; `limpid zoo show {card.name}` says more", file=sys.stderr)
        return Chosen(checkpoint.network(loaded, path, allow), str(loaded["network"]), True, ckpt)
    settings: Any = OmegaConf.to_container(config.network, resolve=True)
    instantiate.check(settings, "network", allow)
    network: nn.Module = instantiate.construct(settings, "network", allow)
    learns = any(True for _ in network.parameters())
    shown = str(choices["network"] if "network" in map(key_of, words) else choices["model"])
    usual = network_config(str(choices["network"]))
    changed = " ".join(
        f"{key}={value}" for key, value in settings.items() if usual.get(key) != value and key not in NETWORK_NEUTRAL
    )
    return Chosen(network.eval(), shown, not learns, None, changed)
