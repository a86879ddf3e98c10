"""Blur, noise and JPEG of strengths in given ranges: what each of RL-Restore's tools is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from limpid.data.degradations.hybrid import HybridDistortion
from limpid.data.degradations.operators import checked_range
from limpid.errors import UserError


class RangedDistortion(HybridDistortion):
    """Blur, noise and JPEG in this order, each of a strength drawn uniformly from a range of its own.

    Yu et al., CVPR 2018: a tool is trained on one distortion of a range of strengths, with a little noise and JPEG
    mixed in.

    Args:
        blur: range of the blur's sigma in pixels.
        noise: range of the noise's sigma in grey levels.
        quality: range of the JPEG quality within 1..100.
        scales: see `HybridDistortion`.
        patch: see `HybridDistortion`.
        stride: see `HybridDistortion`.

    Raises:
        UserError: a range is none, or a setting is out of bounds.
    """

    def __init__(
        self,
        blur: Sequence[float] = (0.0, 0.0),
        noise: Sequence[float] = (0.0, 0.0),
        quality: Sequence[float] = (100.0, 100.0),
        scales: Sequence[float] = (1.0,),
        patch: int | None = None,
        stride: int = 56,
    ) -> None:
        super().__init__(scales=scales, patch=patch, stride=stride)
        self.blur = checked_range("distortion", "blur", blur)
        self.noise = checked_range("distortion", "noise", noise)
        self.quality = checked_range("distortion", "quality", quality, 100)
        if self.quality[0] < 1:
            raise UserError(f"The distortion's quality is {list(quality)}, but it must lie within 1 and 100.")

    def strengths(self, rng: np.random.Generator) -> dict[str, Any]:
        """`blur_sigma`, `noise_sigma` and `jpeg_quality`, drawn from `rng` in this order."""
        blur, noise, quality = (float(rng.uniform(*ends)) for ends in (self.blur, self.noise, self.quality))
        return {"blur_sigma": blur, "noise_sigma": noise, "jpeg_quality": round(quality)}
