"""Lightning's exponential moving average of the weights, with the warm-up that short runs need."""

from __future__ import annotations

from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import Tensor


class EMA(EMAWeightAveraging):
    """`EMAWeightAveraging` whose decay after n updates is at most (1 + n) / (warmup + n).

    Without it an average over a short run still holds the random weights it began with.

    Args:
        decay: of the average once it is warm.
        warmup: larger is slower; 1 switches the warm-up off.
    """

    def __init__(self, decay: float = 0.999, warmup: float = 10.0) -> None:
        super().__init__(decay=decay)

        def average(averaged: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
            n = float(updates)
            return averaged.lerp(current, 1.0 - min(decay, (1.0 + n) / (warmup + n)))

        self._kwargs["avg_fn"] = average
