"""A network's output together with features of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from limpid.inference import NetworkOutput, restored_image
from limpid.networks.feature_hooks import forward_with_features


class OutputWithFeatures(NamedTuple):
    """A network's image and the features it had on the way.

    Attributes:
        restored: `(N, 3, H, W)`.
        features: `(N, C, h, w)`, by the names of layers.
    """

    restored: Tensor
    features: dict[str, Tensor]


@runtime_checkable
class _HasFeatures(Protocol):
    """A network's named tuple with features in it."""

    @property
    def features(self) -> Mapping[str, Tensor]:
        """The features `(N, C, h, w)`, by the names of layers."""


def features_of(output: NetworkOutput) -> Mapping[str, Tensor]:
    """The features `(N, C, h, w)`, by the names of layers, in an output of `output_with_features`."""
    assert isinstance(output, _HasFeatures)
    return output.features


def output_with_features(network: nn.Module, x: Tensor, layers: Sequence[str]) -> NetworkOutput:
    """The output of `network` for `x` `(N, 3, H, W)`, with `.features` where any layers are named.

    MPRNet gives features by names of its own, which are those of whole images; the layers of another network are its
    parts, or ``output`` for its restored image.
    """
    if not layers:
        plain: NetworkOutput = network(x)
        return plain
    if getattr(network, "FEATURES", ()):
        own: NetworkOutput = network(x, features=layers)
        return own
    output, features = forward_with_features(network, x, layers)
    return OutputWithFeatures(restored_image(output), {name: restored_image(f) for name, f in features.items()})
