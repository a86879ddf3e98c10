"""DerainCycleGAN's own terms: what the masks of the rain are, and that the image stays itself."""

from __future__ import annotations

import torch
from torch import Tensor

from limpid.errors import UserError
from limpid.inference import NetworkOutput
from limpid.losses.perceptual import Perceptual
from limpid.losses.step import LossTerm, Step


class MaskAndImage(LossTerm):
    """Mean squared difference of the restored image with the mask on it, and the rainy image, all in [-1, 1].

    DerainCycleGAN (Wei et al., TIP 2021): ``mean (m + f - a)^2``, the mask alike in all colours.
    """

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        difference = 2 * (step.restored.float() - step.input.float())
        return (_mask(step.output) + difference).square().mean()


class MaskIsNoise(LossTerm):
    """Mean squared difference of the rainy image's mask and noise of U(0, 1), drawn anew in each step.

    Its least value, where the mask is 1/2 everywhere, is 1/12.
    """

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels, in float32."""
        mask = _mask(step.output)
        return (mask - torch.rand_like(mask)).square().mean()


class MaskOfClearIsEmpty(LossTerm):
    """Mean square of the mask of the clear image: it does not rain there."""

    requires = frozenset({"worsened"})

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels, in float32."""
        assert step.worsened is not None
        return _mask(step.worsened).square().mean()


class InputFeatures(Perceptual):
    """The distance of the restored image from the degraded one in VGG's features: what is seen is to stay.

    Args:
        arguments: see `Perceptual`.
        settings: likewise.
    """

    def forward(self, step: Step) -> Tensor:
        """The mean over the batch, in float32; no gradient reaches the input."""
        return self.between(step.restored, step.input)


def _mask(output: NetworkOutput) -> Tensor:
    """The mask in a network's output, float32.

    Raises:
        UserError: there is none.
    """
    mask = getattr(output, "mask", None)
    if not isinstance(mask, Tensor):
        raise UserError(
            "A term of the loss is about the mask of the rain, and the network's output has none; choose "
            "model=derain_cycle_gan, or leave the term out."
        )
    return mask.float()
