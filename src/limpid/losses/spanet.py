"""The terms that SPANet's recipe adds to L1: structural similarity, and a mask of where the rain is."""

from __future__ import annotations

import torch
from kornia.metrics import ssim
from torch import Tensor
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.losses.step import LossTerm, Step
from limpid.ranges import Share


class SSIMLoss(LossTerm):
    """``1 - SSIM`` of the restored image and the target, as in SPANet's recipe (Wang et al., CVPR 2019).

    Gaussian window of 11 x 11 with sigma 1.5, each colour channel by itself; borders are reflected, where SPANet's
    code pads with zeros.
    """

    WINDOW = 11

    def forward(self, step: Step) -> Tensor:
        """One minus the mean over all pixels and channels, in [0, 2], in float32."""
        image = step.restored
        with torch.autocast(image.device.type, enabled=False):
            return 1.0 - ssim(image.float(), step.reference.float(), self.WINDOW).mean()


class RainMask(LossTerm):
    """Mean squared difference of the network's attention and a mask of the rain (SPANet).

    The mask is 1 where any channel of the input differs from the target and 0 elsewhere. On pairs that
    differ everywhere, by noise or JPEG, it is 1 almost everywhere and teaches nothing.

    Args:
        threshold: the largest difference that is no rain, in units of the image. SPANet's code takes every difference
            of the 8-bit images; half a grey level is the same and does not trip over rounding.

    Raises:
        UserError: when called: the network returned no attention.
    """

    def __init__(self, threshold: Share = 0.5 / 255) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels, in float32."""
        attention = getattr(step.output, "attention", None)
        if attention is None:
            raise UserError(
                "The rain_mask term needs a network that returns a map of the rain, as spanet does; choose "
                "network=spanet, or leave the term out with loss.terms.rain_mask.weight=0."
            )
        return F.mse_loss(attention.float(), self.mask(step.input, step.reference))

    def mask(self, degraded: Tensor, clean: Tensor) -> Tensor:
        """Where two images `(N, 3, H, W)` differ: `(N, 1, H, W)` of 0 and 1."""
        return ((degraded - clean).abs().amax(1, keepdim=True) > self.threshold).float()
