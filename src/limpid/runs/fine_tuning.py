"""Fine-tuning: a training that starts from the weights that `ckpt` names."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from limpid import checkpoint, zoo
from limpid.config.compose import Composed, key_of
from limpid.config.references import PREFIX
from limpid.errors import UserError
from limpid.models import Restorer
from limpid.runs.spec import InitialWeights, RunSpec
from limpid.store.run_directory import Run

#: Where a model of Uni-Removal's second stage says what its network starts from.
START = "model.start.ckpt"


def initial_weights(composed: Composed, prerequisites: Mapping[str, RunSpec]) -> InitialWeights | None:
    """The weights that a training starts from, or None where `ckpt` names none.

    None also where it names a row whose run is not there yet: once that is made, the run is resolved again.

    Raises:
        UserError: the file is not there or is no checkpoint, or the network starts from `model.start.ckpt` already.
    """
    named = None if composed.config["ckpt"] is None else zoo.own_name(composed.config["ckpt"])
    if named is None:
        return None
    if START in {key_of(word) for word in composed.overrides}:
        raise UserError(f"Both ckpt and {START} say what the network starts from; give one of them.")
    path = Path(named)
    if named.startswith(PREFIX):
        run = Run(prerequisites[named].directory)
        if not run.has_weights:
            return None
        path = run.chosen_checkpoint
    loaded = checkpoint.read(path)
    return InitialWeights(
        named,
        path,
        loaded["network"],
        loaded["network_config"],
        checkpoint.weights_fingerprint(checkpoint.weights(loaded)),
        loaded["provenance"],
        bool(composed.config["strict_loading"]),
    )


def refuse_unfitting(initial: InitialWeights, network: nn.Module, spec: RunSpec) -> None:
    """Refuse initial weights that the network of a run does not take, before anything is written.

    Args:
        initial: the weights.
        network: of the run, just made.
        spec: the run.

    Raises:
        UserError: with `strict_loading` names or shapes differ; without it nothing fits; or the file has changed.
    """
    settings = {key: value for key, value in spec.config["network"].items() if key != "_target_"}
    _fitting(initial, network, spec.network, settings)


def start_from(initial: InitialWeights, model: Restorer, says: bool) -> None:
    """Put the initial weights that fit into the model's network.

    Args:
        initial: the weights.
        model: whose training begins.
        says: whether stderr tells how many weights fit.
    """
    state = _fitting(initial, model.network, model.network_name, model.network_config)
    model.network.load_state_dict(state, strict=initial.strict)
    if says:
        count = len(model.network.state_dict())
        print(f"starts from {initial.ckpt}: {len(state)} of {count} weights", file=sys.stderr)


def _fitting(
    initial: InitialWeights, network: nn.Module, name: str, settings: Mapping[str, object]
) -> dict[str, Tensor]:
    """The initial weights that fit `network`, called `name`, by name and shape; with `strict_loading` all do."""
    state = checkpoint.weights(checkpoint.read(initial.file))
    if checkpoint.weights_fingerprint(state) != initial.sha256:
        raise UserError(
            f"The weights of {initial.ckpt} are no longer those that this run was asked for with; restore the file, or "
            "give the command again."
        )
    own = network.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}
    if initial.strict and (len(fitting) < len(state) or len(fitting) < len(own)):
        raise UserError(
            f"The weights of {initial.ckpt} do not fit the network that is trained: {_why(initial, name, settings)} "
            "Add strict_loading=false to take over what fits by name and shape."
        )
    if not fitting:
        raise UserError(
            f"None of the {len(state)} weights of {initial.ckpt} ({initial.network}) fits the network {name} by name "
            "and shape; give another checkpoint, or leave out ckpt."
        )
    return fitting


def _why(initial: InitialWeights, name: str, settings: Mapping[str, object]) -> str:
    """The reason why weights do not fit, with the words that would make the same network."""
    if initial.network != name:
        return f"they are of {initial.network}, and this one is {name}; choose model={initial.network}."
    theirs = {key: value for key, value in initial.settings.items() if settings.get(key) != value}
    words = " ".join(f"network.{key}={_word(value)}" for key, value in theirs.items())
    return f"they were made with other settings of {name}; type {words}." if words else "their shapes are others."


def _word(value: object) -> str:
    return "null" if value is None else str(value).replace(" ", "")
