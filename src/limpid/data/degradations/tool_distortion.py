"""Blur, noise and JPEG as each of RL-Restore's tools is trained on them: one kind, in a range of strengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from limpid.data.degradations.hybrid import HybridDistortion
from limpid.data.degradations.operators import checked_range
from limpid.errors import UserError
from limpid.ranges import NonNegativeFloat, Pixels, PositiveFloat

#: What an image is distorted by, in this order.
KINDS = ("blur", "noise", "quality")


class ToolDistortion(HybridDistortion):
    """The distortion of one of several tools, drawn uniformly among them, then its strengths from the tool's ranges.

    Yu et al., CVPR 2018: a tool is trained on one distortion of a range of strengths, with a little noise and JPEG
    mixed in.

    Args:
        tools: of each tool the ranges that it has otherwise than the rest: `blur`, of the sigma in pixels; `noise`, of
            the sigma in grey levels; `quality`, of JPEG within 1..100.
        noise: range where a tool says nothing.
        quality: likewise.
        scales: see `HybridDistortion`.
        patch: see `HybridDistortion`.
        stride: see `HybridDistortion`.

    Raises:
        UserError: there are no tools, a range is none, or a setting is out of bounds.
    """

    def __init__(
        self,
        tools: Sequence[Mapping[str, Sequence[NonNegativeFloat]]],
        noise: Sequence[NonNegativeFloat] = (0.0, 5.0),
        quality: Sequence[PositiveFloat] = (80.0, 100.0),
        scales: Sequence[PositiveFloat] = (1.0,),
        patch: Pixels | None = None,
        stride: Pixels = 56,
    ) -> None:
        super().__init__(scales=scales, patch=patch, stride=stride)
        if not tools:
            raise UserError("A distortion for tools names none; give it at least one, such as {blur: [0, 1.25]}.")
        rest = {"blur": (0.0, 0.0), "noise": noise, "quality": quality}
        self.tools = [_ranges(number, {**rest, **own}) for number, own in enumerate(tools, 1)]

    def strengths(self, rng: np.random.Generator) -> dict[str, Any]:
        """`tool`, its number from 0, `blur_sigma`, `noise_sigma` and `jpeg_quality`, drawn from `rng` in this order."""
        tool = int(rng.integers(len(self.tools)))
        blur, noise, quality = (float(rng.uniform(*ends)) for ends in self.tools[tool])
        return {"tool": tool, "blur_sigma": blur, "noise_sigma": noise, "jpeg_quality": round(quality)}


def _ranges(number: int, given: Mapping[str, Sequence[float]]) -> list[tuple[float, float]]:
    """The ranges of a tool, in the order of `KINDS`."""
    unknown = sorted(set(given) - set(KINDS))
    if unknown:
        raise UserError(f"Tool {number} has a range of {unknown[0]!r}, but a range is of {', '.join(KINDS)}.")
    if min(given["quality"], default=0) < 1:
        raise UserError(f"Tool {number}'s quality is {list(given['quality'])}, but it must lie within 1 and 100.")
    mosts = {"quality": 100.0}
    return [checked_range(f"tool {number}", kind, given[kind], mosts.get(kind, float("inf"))) for kind in KINDS]
