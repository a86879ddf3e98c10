"""The last step of ROP and ROP+: the luma is brightened, in 8 bit as MATLAB's `rgb2ycbcr` and `ycbcr2rgb` have it."""

from __future__ import annotations

import torch
from torch import Tensor

#: Y, Cb and Cr of 8 bit from R, G and B in [0, 1] (ITU-R BT.601), but for the offsets.
_TO_YCBCR = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
_OFFSETS = (16.0, 128.0, 128.0)
#: Rows that are worked on at once, so that a large image needs no second copy.
_ROWS = 256


def toned(image: Tensor, gamma: float) -> Tensor:
    """`image` with its luma raised to the power `gamma`: float32 `(3, H, W)`, multiples of 1/255 in [0, 1].

    Args:
        image: `(3, H, W)`, RGB, held to [0, 1] here.
        gamma: below 1 it brightens.
    """
    levels = torch.arange(256, dtype=torch.float64, device=image.device)
    curve = (256 * ((levels + 0.5) / 256) ** gamma - 0.5).round()
    parts = [_toned_rows(rows.double(), curve) for rows in image.split(_ROWS, dim=1)]
    return torch.cat(parts, 1)


def _toned_rows(rgb: Tensor, curve: Tensor) -> Tensor:
    matrix = torch.tensor(_TO_YCBCR, dtype=torch.float64, device=rgb.device)
    offsets = torch.tensor(_OFFSETS, dtype=torch.float64, device=rgb.device).view(3, 1, 1)
    ycbcr = _whole(torch.einsum("ij,jhw->ihw", matrix, _whole(rgb * 255) / 255) + offsets)
    ycbcr[0] = curve[ycbcr[0].long()]
    return (_whole(torch.einsum("ij,jhw->ihw", matrix.inverse() * 255, ycbcr - offsets)) / 255).float()


def _whole(values: Tensor) -> Tensor:
    """The nearest whole levels of 8 bit, halves upwards."""
    return (values + 0.5).floor_().clamp_(0, 255)
