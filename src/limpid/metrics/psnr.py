"""Peak signal-to-noise ratio, one value in decibels per image."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from limpid.metrics import images


def psnr(
    restored: Tensor,
    reference: Tensor,
    *,
    space: Literal["rgb", "y"] = "rgb",
    quantise: bool = False,
    eps: float = 0.0,
    identical: float = math.inf,
    clamp: bool = True,
) -> Tensor:
    """`-10 log10(mse + eps)`: the peak is one, and the mean goes over an image's channels and pixels.

    Args:
        restored: `(N, 3, H, W)` or `(N, 1, H, W)`, floating point in [0, 1] or uint8.
        reference: the same shape.
        space: compare RGB, or Y of MATLAB's rgb2ycbcr.
        quantise: round to 8 bit first; Y is then rounded too, as rgb2ycbcr does for uint8 images.
        eps: added to the mean squared error (1e-10 in RL-Restore and OP-Attention).
        identical: the value when the (augmented) error is zero; FFA-Net's code says 100.
        clamp: cut floating-point values outside [0, 1].

    Returns:
        `(N,)` float64, in dB; higher is better.

    Raises:
        UserError: the shapes or types do not fit.
    """
    restored, reference = images.pair(restored, reference, clamp=clamp)
    if quantise:
        restored, reference = images.eight_bit(restored), images.eight_bit(reference)
    if space == "y":
        restored, reference = (images.luma(image, rounded=quantise) for image in (restored, reference))
    error = (restored - reference).square().mean(dim=(1, 2, 3)) + eps
    same = error == 0
    return torch.where(same, identical, -10 * torch.log10(torch.where(same, 1.0, error)))
