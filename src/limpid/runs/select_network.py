"""The network that `predict` and `profile` work with: a checkpoint's, the zoo's, or a model's by name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from limpid import zoo
from limpid.config import instantiate
from limpid.errors import UserError, nearest
from limpid.runs.resolve import key_of, refuse_by_hand, refuse_self_allowed

if TYPE_CHECKING:
    import torch
    from torch import nn

#: The keys that choose a network, besides those of a verb's own.
CHOOSING = ("model", "network", "ckpt", "allow_targets")


class Chosen(NamedTuple):
    """A network ready to use.

    Attributes:
        network: in evaluation mode.
        name: it goes by.
        trained: whether its weights mean anything.
        ckpt: where they come from, a path or ``zoo:NAME``; None without.
    """

    network: nn.Module
    name: str
    trained: bool
    ckpt: str | None


def refuse_others(verb: str, known: Sequence[str]) -> None:
    """Refuse typed overrides that `verb` would not read.

    Args:
        verb: for the sentence.
        known: the keys it reads besides `CHOOSING`.

    Raises:
        UserError: naming the first of them.
    """
    for override in HydraConfig.get().overrides.task:
        key = key_of(str(override))
        top = key.split(".")[0]
        if top not in known and top not in CHOOSING:
            hint = nearest(top, (*known, *CHOOSING)) or f"; it takes {', '.join((*CHOOSING, *known))}."
            raise UserError(f"limpid {verb} does not use {key!r}{hint}")


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

    typed = [str(override) for override in HydraConfig.get().overrides.task]
    choices = HydraConfig.get().runtime.choices
    refuse_self_allowed(config, set(map(key_of, typed)))
    allow = list(config.allow_targets)
    ckpt = str(config.ckpt) if config.ckpt else None
    card = None
    if (name := zoo.parse_zoo_name(ckpt)) is not None:
        card = zoo.find(name)
    elif weights and ckpt is None and (card := zoo.default_for(choices["network"])):
        ckpt = f"{zoo.PREFIX}{card.name}"
        for key in map(key_of, typed):
            if key.startswith("network."):
                raise UserError(
                    f"The network {card.network} would take its weights from {ckpt}, which were trained with its own "
                    f"settings, so {key} cannot be set; leave it out, or give ckpt=PATH to weights trained with it."
                )
    if ckpt is not None:
        path = Path(ckpt)
        loaded = checkpoint.read(path)
        if config.ckpt:
            refuse_by_hand(typed, path, loaded["network"])
        if "model" in map(key_of, typed) and choices["network"] != loaded["network"]:
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
    shown = str(choices["network"] if "network" in map(key_of, typed) else choices["model"])
    return Chosen(network.eval(), shown, not learns, None)


def device_named(name: str) -> torch.device:
    """The device `name`; `auto` is the first accelerator there is, else the CPU.

    Raises:
        UserError: there is no such device here.
    """
    import torch

    if name == "auto":
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"There is no device {name!r} here ({str(error).splitlines()[0]}); use device=auto or device=cpu."
        ) from error
    return device
