"""The adapter for losses that take two images: those of kornia, torchmetrics, torch.nn and your own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric

from limpid.losses.step import LossTerm, Step


class ImageLoss(LossTerm):
    """`function(restored, target)` as a term of the loss.

    In a configuration: ``term: {_target_: limpid.losses.ImageLoss, function: {_target_: torch.nn.HuberLoss}}``.

    Args:
        function: takes the restored images and their targets, float32 `(N, 3, H, W)`, and gives one number. A metric of
            torchmetrics is asked about each batch alone.
        higher_is_better: the value is subtracted from 1, as in ``1 - SSIM``.
    """

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], higher_is_better: bool = False) -> None:
        super().__init__()
        self.function = function
        self.higher_is_better = higher_is_better

    def forward(self, step: Step) -> Tensor:
        """The value, in float32."""
        restored, target = step.restored.float(), step.reference.float()
        with torch.autocast(restored.device.type, enabled=False):
            value = self.function(restored, target)
        if isinstance(self.function, Metric):
            self.function.reset()  # it would go on to collect the whole training
        return 1.0 - value if self.higher_is_better else value
