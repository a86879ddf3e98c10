"""What networks return that restore an image several times over."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class StagedOutput(NamedTuple):
    """A restored image and those that led to it, where all are supervised.

    Attributes:
        restored: the image `(N, 3, H, W)`, not clamped.
        stages: the images of all stages, the first stage's first; the last is `restored`. In networks that go from
            coarse to fine the earlier ones are smaller, a half or a quarter of the image's sides, rounded up.
    """

    restored: Tensor
    stages: tuple[Tensor, ...]
