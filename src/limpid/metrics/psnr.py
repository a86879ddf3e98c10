"""Peak signal-to-noise ratio, one value in decibels per image."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import torch
from torch import Tensor

from limpid.metrics import images
from limpid.metrics.filters import plain, sum_over_strips


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
    images.check_pair(restored, reference)
    if space == "rgb" and plain(restored, reference) and _need_no_conversion(restored, reference, quantise):
        # One pass of OpenCV sums uint8's differences as integers and float32's in float64.
        if clamp:
            restored, reference = images.clamped(restored), images.clamped(reference)
        peak = 255 if restored.dtype == torch.uint8 else 1
        scale = math.prod(restored.shape[1:]) * peak**2
        pairs = zip(restored.flatten(1).numpy(), reference.flatten(1).numpy(), strict=True)
        errors = [cv2.norm(some, other, cv2.NORM_L2SQR) / scale + eps for some, other in pairs]
        decibels = [identical if error == 0 else -10 * math.log10(error) for error in errors]
        return torch.tensor(decibels, dtype=torch.float64)

    def compared(some: Tensor) -> Tensor:
        some = images.unit_range(some, clamp=clamp)
        if quantise:
            some = images.eight_bit(some)
        return images.luma(some, rounded=quantise) if space == "y" else some

    def squared_error(some: Tensor, other: Tensor) -> Tensor:
        difference = (compared(some) - compared(other)).flatten(1)
        return torch.linalg.vecdot(difference, difference)

    channels = 1 if space == "y" else restored.shape[1]
    pixels = restored.shape[2] * restored.shape[3]
    error = sum_over_strips(squared_error, restored, reference) / (channels * pixels) + eps
    same = error == 0
    return torch.where(same, identical, -10 * torch.log10(torch.where(same, 1.0, error)))


def _need_no_conversion(restored: Tensor, reference: Tensor, quantise: bool) -> bool:
    """Whether the values can be compared as they are stored."""
    if restored.dtype != reference.dtype:
        return False
    return restored.dtype == torch.uint8 or (restored.dtype in (torch.float32, torch.float64) and not quantise)
