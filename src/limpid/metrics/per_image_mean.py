"""Any metric of this package as a `torchmetrics.Metric`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from limpid.metrics.protocols import MetricProtocol


class PerImageMean(Metric):
    """The mean of the images' own values, never of pooled errors; exact over batches of any size and over processes.

    Args:
        metric: a name such as `psnr`, a `MetricProtocol`, or any function `(restored[, reference]) -> (N,)`.
        higher_is_better: of a function; that of a name or a protocol is known.
        options: keyword arguments of the metric, and of `torchmetrics.Metric` (`dist_sync_on_step`, ...).

    Raises:
        UserError: the metric or an option is unknown.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(
        self, metric: str | Callable[..., Tensor], *, higher_is_better: bool | None = None, **options: Any
    ) -> None:
        own = {name: options.pop(name) for name in list(options) if name in _TORCHMETRICS_OPTIONS}
        super().__init__(**own)
        if isinstance(metric, str):
            metric = MetricProtocol(id=metric, metric=metric, options=options)
            options = {}
        self.metric, self.options = metric, options
        # torchmetrics takes the direction for a constant of the class; here it is the metric's own.
        object.__setattr__(self, "higher_is_better", getattr(metric, "higher_is_better", higher_is_better))
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, restored: Tensor, reference: Tensor | None = None) -> None:
        """Add a batch: `(N, C, H, W)` restored images and, where the metric compares, their references."""
        images = (restored,) if reference is None else (restored, reference)
        values = self.metric(*images, **self.options)
        self.total += values.sum()
        self.count += len(values)

    def compute(self) -> Tensor:
        """The mean over all images seen by all processes, float64; NaN before the first."""
        return self.total / self.count


_TORCHMETRICS_OPTIONS = {
    "compute_on_cpu",
    "compute_with_cache",
    "dist_sync_on_step",
    "process_group",
    "dist_sync_fn",
    "distributed_available_fn",
    "sync_on_compute",
}
