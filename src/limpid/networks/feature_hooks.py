"""A network's intermediate features by the names of its parts, for losses that compare two networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from limpid.errors import UserError, nearest

#: The tap that stands for what the network itself returns.
OUTPUT = "output"


def forward_with_features(network: nn.Module, x: Tensor, taps: Sequence[str]) -> tuple[Any, dict[str, Tensor]]:
    """What `network` returns for `x`, and what the named parts of it returned on the way.

    Gradients flow through the features as through the output. The network is not changed: the hooks are gone when
    the call returns.

    Args:
        network: any network; its parts are named as in `network.named_modules()`, such as ``groups.0``.
        x: `(N, 3, H, W)` in [0, 1].
        taps: names of parts, or ``output`` for the output. A part that runs several times gives its last result.

    Returns:
        The output and `{tap: features}`.

    Raises:
        UserError: the network has no part of that name, or that part did not run.
    """
    parts = dict(network.named_modules())
    features: dict[str, Tensor] = {}
    handles = []

    def keep(tap: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            features[tap] = output

        return hook

    for tap in taps:
        if tap != OUTPUT and tap not in parts:
            kind = type(network).__name__
            raise UserError(f"There is no part {tap!r} in {kind} to take features from{nearest(tap, parts) or '.'}")
    try:
        handles = [parts[tap].register_forward_hook(keep(tap)) for tap in taps if tap != OUTPUT]
        output = network(x)
    finally:
        for handle in handles:
            handle.remove()
    if OUTPUT in taps:
        features[OUTPUT] = output
    for tap in taps:
        if tap not in features:
            raise UserError(f"The part {tap!r} of {type(network).__name__} did not run, so it has no features to take.")
    return output, features
