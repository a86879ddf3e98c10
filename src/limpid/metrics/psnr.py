"""Peak signal-to-noise ratio, one value per image."""

from __future__ import annotations

import torch
from torch import Tensor


def psnr(restored: Tensor, reference: Tensor, *, eps: float = 0.0, identical: float = float("inf")) -> Tensor:
    """``10 log10(1 / (mse + eps))`` in dB of each image, over all its pixels and channels.

    Args:
        restored: `(N, C, H, W)` in [0, 1]; values outside are clamped.
        reference: the same shape.
        eps: added to the mean squared error.
        identical: the value of an image without any error, where `eps` is 0.

    Returns:
        `(N,)` float64.
    """
    error = restored.double().clamp(0, 1) - reference.double().clamp(0, 1)
    mse = error.square().mean(dim=(1, 2, 3)) + eps
    return torch.where(mse > 0, -10.0 * mse.clamp_min(1e-300).log10(), identical)
