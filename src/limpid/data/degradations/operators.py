"""What all operators share: what they degrade, how they stack, and the check of a range.

An operator is called as ``operator(sample, rng)``. It degrades what the operators before it left, which is `input`, or
the clean `target` where nothing was degraded yet, and returns a copy of the sample with the new `input` and with what
it drew. All randomness comes from `rng`, in the order that the operator documents. `target` is only replaced by
operators that say so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limpid.errors import UserError

Sample = dict[str, Any]
Image = NDArray[np.float32]
Operator = Callable[[Sample, np.random.Generator], Sample]


def current(sample: Sample) -> Image:
    """The image `(H, W, 3)` that the next operator degrades: `input`, or `target` where there is none yet."""
    image: Image = sample["input"] if "input" in sample else sample["target"]
    return image


class Chain:
    """Operators one after the other, each on what the one before left.

    Args:
        operators: in the order of application; they draw from the same generator, one after the other. An empty
            chain leaves the image as it is. Where two operators report under one key, the last one counts.
    """

    def __init__(self, operators: Sequence[Operator]) -> None:
        self.operators = list(operators)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with `input` and all that the operators report."""
        sample = sample | {"input": current(sample)}
        for operator in self.operators:
            sample = operator(sample, rng)
        return sample


def checked_range(owner: str, name: str, values: Sequence[float], most: float = float("inf")) -> tuple[float, float]:
    """The two ends of a range within [0, `most`], in ascending order.

    Args:
        owner: the operator, for the message, such as ``haze``.
        name: the setting, for the message.
        values: lower and upper end; equal ends fix the value.
        most: what the upper end may be at most.

    Raises:
        UserError: `values` is anything else.
    """
    low, high = (float(value) for value in values) if len(values) == 2 else (1.0, 0.0)
    if not 0 <= low <= high <= most:
        bound = "" if most == float("inf") else f", not above {most:g}"
        raise UserError(
            f"The {owner}'s {name} is {list(values)}, but it must be two numbers, the lower first, not negative{bound}."
        )
    return low, high
