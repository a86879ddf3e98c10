"""Images of any size for networks that halve them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def pad_to_multiple(x: Tensor, multiple: int, least: int = 0) -> Tensor:
    """`x` made larger at its right and lower edge by reflection; cut back with ``y[..., :height, :width]``.

    Args:
        x: `(N, C, H, W)`.
        multiple: height and width become multiples of it.
        least: height and width become at least this, itself a multiple.
    """
    height, width = x.shape[-2:]
    if any_size(x):
        return _padded_by_index(x, multiple, least)
    below = max(least - height, -height % multiple)
    right = max(least - width, -width % multiple)
    if not below and not right:
        return x
    # A reflection must be narrower than the image; where it is not, the border is repeated.
    mode = "reflect" if below < height and right < width else "replicate"
    return F.pad(x, (0, right, 0, below), mode=mode)


def mirrored(x: Tensor, before: int, after: int) -> Tensor:
    """`x` continued beyond all four sides by its mirror image, the pixels at the side included.

    Args:
        x: `(N, C, H, W)`, each side no smaller than what is added to it.
        before: rows added above, and columns added at the left.
        after: rows added below, and columns added at the right; both at least 1.
    """
    rows = torch.cat([x[..., :before, :].flip(-2), x, x[..., -after:, :].flip(-2)], -2)
    return torch.cat([rows[..., :before].flip(-1), rows, rows[..., -after:].flip(-1)], -1)


def any_size(x: Tensor) -> bool:
    """Whether the sides of `x` `(..., H, W)` are symbols: `torch.export` records a graph that holds for every size.

    Such a graph has no branches, and its sizes no rounding. Where a network needs either, it asks this and says the
    same in another way.
    """
    return any(isinstance(side, torch.SymInt) for side in x.shape[-2:])


def _padded_by_index(x: Tensor, multiple: int, least: int) -> Tensor:
    """`pad_to_multiple` without a branch that depends on the size.

    The indices choose between reflection and repetition; every pixel is a copy, so the result is the same to the bit.
    """
    sides = x.shape[-2:]
    larger = [torch.sym_max(least, (side + multiple - 1) // multiple * multiple) for side in sides]
    places = [torch.arange(side, device=x.device) for side in larger]
    mirrored = [torch.where(at < side, at, 2 * side - 2 - at) for at, side in zip(places, sides, strict=True)]
    fits = (mirrored[0] >= 0).all() & (mirrored[1] >= 0).all()
    for dim, at, mirror, side in zip((-2, -1), places, mirrored, sides, strict=True):
        x = x.index_select(dim, torch.where(fits, mirror, at.clamp(max=side - 1)))
    return x
