"""Refusing what cannot be trained, and what was not trained and is to be tested."""

from __future__ import annotations

from torch import nn

from limpid.errors import UserError
from limpid.priors.trivial import Identity
from limpid.runs.spec import RunSpec
from limpid.zero_shot import LearnsOnEachImage


def refuse(spec: RunSpec, network: nn.Module) -> None:
    """Refuse to test a network that learns without weights, or to train what learns nothing beforehand.

    Args:
        spec: of the run.
        network: the run's, as its settings make it.

    Raises:
        UserError: the network of a test has parameters, and nothing trained them; that of a training has none.
    """
    learns = any(True for _ in network.parameters())
    if spec.mode == "train" and not learns and not isinstance(network, Identity):
        name = spec.choices["model"]
        why = "learns on each image anew" if isinstance(network, LearnsOnEachImage) else "learns nothing"
        raise UserError(
            f"The method {name} {why}, so there is nothing to train; use it as it is, with `limpid test model={name}` "
            f"or `limpid predict model={name}`."
        )
    if spec.mode != "test" or spec.tested is not None or not learns:
        return
    if spec.without:
        raise UserError(
            f"The run tests the weights of {spec.without[0]}, but prerequisites=none starts without them; give "
            "prerequisites=run, which makes them first, or ckpt=PATH."
        )
    raise UserError(
        f"The network {spec.network} has no weights to test; give ckpt=PATH, or train it first with "
        f"`limpid train model={spec.choices['model']}`."
    )
