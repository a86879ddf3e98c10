"""Lightning's exponential moving average of the weights, with the warm-up that short runs need."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import Tensor

from limpid.ranges import NonNegativeFloat


class EMA(EMAWeightAveraging):
    """`EMAWeightAveraging` whose decay after n updates is at most (1 + n) / (warmup + n).

    Without it an average over a short run still holds the random weights it began with. Whole numbers, such as batch
    norm's count of batches, are not averaged but taken over.

    Args:
        decay: of the average once it is warm.
        warmup: larger is slower; 1 switches the warm-up off.
    """

    def __init__(self, decay: Annotated[float, Interval(ge=0, lt=1)] = 0.999, warmup: NonNegativeFloat = 10.0) -> None:
        super().__init__(decay=decay)

        # All tensors at once: asking for the number of updates waits for the GPU, so it is asked once a step.
        def average(averaged: list[Tensor], current: list[Tensor], updates: Tensor | int) -> None:
            n = float(updates)
            share = 1.0 - min(decay, (1.0 + n) / (warmup + n))
            if torch.is_floating_point(averaged[0]):
                torch._foreach_lerp_(averaged, current, share)
            else:
                torch._foreach_copy_(averaged, current)

        self._kwargs.pop("avg_fn", None)
        self._kwargs["multi_avg_fn"] = average
