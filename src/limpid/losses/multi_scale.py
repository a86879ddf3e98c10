"""The mean squared error at several scales at once, as DRN is trained."""

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
