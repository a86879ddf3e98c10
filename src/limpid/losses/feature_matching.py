"""Feature matching: a discriminator's features of made images are to be those of the references."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.losses.step import LossTerm, Step


class FeatureMatching(LossTerm):
    """The sum over layers of the mean absolute difference of the discriminator's features (pix2pixHD).

    Wang et al., CVPR 2018, equation 4; of the judged images and of the references, to which no gradient goes.

    Args:
        layers: names of layers of the discriminator.
    """

    requires = frozenset({"judged_features", "reference_features"})

    def __init__(self, layers: Sequence[str]) -> None:
        super().__init__()
        self.discriminator_layers = tuple(layers)

    def forward(self, step: Step) -> Tensor:
        """The sum, in float32."""
        assert step.judged_features is not None
        assert step.reference_features is not None
        pairs = [(step.judged_features[name], step.reference_features[name]) for name in self.discriminator_layers]
        return torch.stack([F.l1_loss(judged.float(), reference.float()) for judged, reference in pairs]).sum()
