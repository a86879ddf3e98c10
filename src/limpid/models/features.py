"""A network's output together with features of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from limpid.inference import restored_image
from limpid.networks.feature_hooks import forward_with_features


class OutputWithFeatures(NamedTuple):
    """A network's image and the features it had on the way.

    Attributes:
        restored: `(N, 3, H, W)`.
        features: `(N, C, h, w)`, by the names of layers.
    """

    restored: Tensor
    features: dict[str, Tensor]


def output_with_features(network: nn.Module, x: Tensor, layers: Sequence[str]) -> Any:
    """The output of `network` for `x` `(N, 3, H, W)`, with `.features` where any layers are named.

    MPRNet gives features by names of its own, which are those of whole images; the layers of another network are its
    parts, or ``output`` for its restored image.
    """
    if not layers:
        return network(x)
    own = getattr(network, "FEATURES", ())
    if own:
        return network(x, features=layers)
    output, features = forward_with_features(network, x, layers)
    return OutputWithFeatures(restored_image(output), {name: restored_image(f) for name, f in features.items()})
