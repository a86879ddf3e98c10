"""The network that `predict` and `profile` work with: a checkpoint's, or a model's by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from limpid import targets
from limpid.errors import UserError, nearest
from limpid.verbs.prepare import key_of, refuse_by_hand

if TYPE_CHECKING:
    import torch
    from torch import nn

#: The keys that choose a network, besides those of a verb's own.
CHOOSING = ("model", "network", "ckpt", "allow_targets")


class Chosen(NamedTuple):
    """A network ready to use, the name it goes by, and whether its weights mean anything."""

    network: nn.Module
    name: str
    trained: bool


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


def chosen_network(config: DictConfig) -> Chosen:
    """The network that `ckpt`, or else `model`, names.

    Raises:
        UserError: the checkpoint cannot be used, or `model` or `network.*` say otherwise than it does; or a setting is
            unknown.
    """
    from limpid import checkpoint

    typed = [str(override) for override in HydraConfig.get().overrides.task]
    choices = HydraConfig.get().runtime.choices
    allow = list(config.allow_targets)
    if config.ckpt:
        path = Path(config.ckpt)
        loaded = checkpoint.read(path)
        refuse_by_hand(typed, path, loaded["network"])
        if "model" in map(key_of, typed) and choices["network"] != loaded["network"]:
            raise UserError(
                f"The checkpoint {path} holds the network {loaded['network']}, but model={choices['model']} has "
                f"{choices['network']}; leave out model, or give a checkpoint of that network."
            )
        return Chosen(checkpoint.network(loaded, path, allow), str(loaded["network"]), True)
    settings: Any = OmegaConf.to_container(config.network, resolve=True)
    targets.check(settings, "network", allow)
    network: nn.Module = targets.construct(settings, "network", allow)
    learns = any(True for _ in network.parameters())
    return Chosen(
        network.eval(), str(choices["network"] if "network" in map(key_of, typed) else choices["model"]), not learns
    )


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
