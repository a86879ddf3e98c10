"""A metric under its true name: which variant, on what range, with which window, and who reports it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from limpid.metrics.psnr import psnr
from limpid.metrics.ssim import ssim

_FUNCTIONS = {"psnr": psnr, "ssim": ssim}


class MetricProtocol:
    """A metric with its settings, callable as `(restored, reference) -> (N,)`.

    Args:
        id: the name printed with every number.
        metric: the function in `limpid.metrics`.
        options: its settings.
        higher_is_better: the direction.
        needs_reference: whether it compares with a reference.
        text: colour space, range, rounding, border, window and reduction, and who used it.
    """

    def __init__(
        self,
        id: str,
        metric: str,
        options: dict[str, Any] | None = None,
        higher_is_better: bool = True,
        needs_reference: bool = True,
        text: str = "",
    ) -> None:
        self.id, self.metric, self.options = id, metric, dict(options or {})
        self.higher_is_better, self.needs_reference, self.text = higher_is_better, needs_reference, text

    def __call__(self, restored: Tensor, reference: Tensor | None = None) -> Tensor:
        """One value per image."""
        return _FUNCTIONS[self.metric](restored, reference, **self.options)  # type: ignore[operator]
