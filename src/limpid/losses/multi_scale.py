"""Terms of the networks that Rich Feature Distillation compares with: several scales at once, and a softened L1."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.losses.step import LossTerm, Step


class MSEAtEveryScale(LossTerm):
    """Mean squared error of the image and of the `smaller` ones that a network gives beside it (DRN), summed.

    Their references are the target made smaller bicubically, as DRN (Guo et al., CVPR 2020) makes them.
    """

    def forward(self, step: Step) -> Tensor:
        """One number, in float32."""
        target = step.reference.float()
        errors = [F.mse_loss(step.restored.float(), target)]
        for image in getattr(step.output, "smaller", ()):
            reference = F.interpolate(target, image.shape[-2:], mode="bicubic", antialias=True, align_corners=False)
            errors.append(F.mse_loss(image.float(), reference.clamp(0, 1)))
        return torch.stack(errors).sum()


class SmoothL1(LossTerm):
    """Mean of ``e^2 / 2`` where the error ``|e| < 1`` and of ``|e| - 1/2`` elsewhere (GridDehazeNet, equation 5)."""

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        return F.smooth_l1_loss(step.restored.float(), step.reference)
