"""Images of any size for networks that halve them."""

from __future__ import annotations

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
    below = max(least - height, -height % multiple)
    right = max(least - width, -width % multiple)
    if not below and not right:
        return x
    # A reflection must be narrower than the image; where it is not, the border is repeated.
    mode = "reflect" if below < height and right < width else "replicate"
    return F.pad(x, (0, right, 0, below), mode=mode)
