"""A network's intermediate features by the names of its parts, for losses that compare two networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from limpid.errors import UserError, nearest

#: The layer name that stands for what the network itself returns.
OUTPUT = "output"


def forward_with_features(network: nn.Module, x: Tensor, layers: Sequence[str]) -> tuple[Any, dict[str, Tensor]]:
    """The output of `network` for `x`, and what the named layers of it returned on the way.

    Gradients flow through the features as through the output. The network is not changed: the hooks are gone when
    the call returns.

    Args:
        network: any network; its layers are named as in `network.named_modules()`, such as ``groups.0``.
        x: `(N, 3, H, W)` in [0, 1].
        layers: names of layers, or ``output`` for the output. A layer that runs several times gives its last result.

    Returns:
        The output and `{layer: features}`.

    Raises:
        UserError: the network has no layer of that name, or that layer did not run.
    """
    modules = dict(network.named_modules())
    features: dict[str, Tensor] = {}
    hooks = []

    def keep(layer: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            features[layer] = output

        return hook

    for layer in layers:
        if layer != OUTPUT and layer not in modules:
            kind = type(network).__name__
            hint = nearest(layer, modules) or "."
            raise UserError(f"There is no part {layer!r} in {kind} to take features from{hint}")
    try:
        hooks = [modules[layer].register_forward_hook(keep(layer)) for layer in layers if layer != OUTPUT]
        output = network(x)
    finally:
        for hook in hooks:
            hook.remove()
    if OUTPUT in layers:
        features[OUTPUT] = output
    for layer in layers:
        if layer not in features:
            raise UserError(
                f"The part {layer!r} of {type(network).__name__} did not run, so it has no features to take."
            )
    return output, features
