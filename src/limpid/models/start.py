"""Weights that a training starts from, of a network that was trained before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from limpid import checkpoint
from limpid.errors import CannotRun, UserError
from limpid.models.teachers import WeightsOrigin


def load_start(
    network: nn.Module,
    name: str,
    settings: Mapping[str, object] | None,
    ckpt: str | Path | None,
    weights: str | None,
    remedy: str,
) -> WeightsOrigin:
    """The origin of the weights that a training starts from, which are put into `network`: plain facts.

    Args:
        network: that goes on learning.
        name: its name in the registry.
        settings: its settings there; None compares the shapes of its weights alone.
        ckpt: a checkpoint of it; it wins over `weights`.
        weights: ``random`` leaves the network as it is where there is no checkpoint; None refuses.
        remedy: how to get a checkpoint, for the sentence.

    Raises:
        CannotRun: there is no checkpoint.
        UserError: it holds another network, or `weights` is neither None nor ``random``.
    """
    if weights not in (None, "random"):
        raise UserError(f"model.start.weights is {weights!r}, but it must be null or random; a file goes to ckpt.")
    if ckpt is None and weights is None:
        raise CannotRun(remedy)
    if ckpt is None:
        return {"weights": checkpoint.weights_fingerprint(network.state_dict()), "random": True}
    path = Path(ckpt)
    loaded = checkpoint.read(path)
    if loaded["network"] != name or (settings is not None and loaded["network_config"] != dict(settings)):
        wanted = name if settings is None else f"{name} with {dict(settings)}"
        raise UserError(
            f"The checkpoint {path} holds {loaded['network']} with {loaded['network_config']}, but what is adapted is "
            f"{wanted}; give a checkpoint of that network, made at the same budget."
        )
    checkpoint.load(network, checkpoint.weights(loaded), path)
    digest = checkpoint.weights_fingerprint(network.state_dict())
    return {"weights": digest, "trained": dict(loaded["provenance"])}
