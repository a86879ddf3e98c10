"""Named protocols: a metric with all that decides its number, so that a figure never stands without its variant.

A protocol is plain keyword values, and so one file of ``conf/metrics/protocol``, named by its id:

    _target_: limpid.metrics.MetricProtocol
    id: psnr_rgb_100
    metric: psnr
    options: {identical: 100.0}
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from limpid.errors import UserError, nearest
from limpid.metrics.brisque import brisque
from limpid.metrics.ciede2000 import ciede2000
from limpid.metrics.fade import fade
from limpid.metrics.niqe import niqe
from limpid.metrics.piqe import piqe
from limpid.metrics.psnr import psnr
from limpid.metrics.sseq import sseq
from limpid.metrics.ssim import ssim
from limpid.metrics.visible_edges import (
    visible_edge_difference,
    visible_edges_e,
    visible_edges_r,
    visible_edges_sigma,
)


class Kind(NamedTuple):
    """A metric of this package: its function, and what holds for it under any options."""

    function: Callable[..., Any]
    needs_reference: bool
    higher_is_better: bool


METRICS: dict[str, Kind] = {
    "psnr": Kind(psnr, needs_reference=True, higher_is_better=True),
    "ssim": Kind(ssim, needs_reference=True, higher_is_better=True),
    "ciede2000": Kind(ciede2000, needs_reference=True, higher_is_better=False),
    "niqe": Kind(niqe, needs_reference=False, higher_is_better=False),
    "brisque": Kind(brisque, needs_reference=False, higher_is_better=False),
    "piqe": Kind(piqe, needs_reference=False, higher_is_better=False),
    "sseq": Kind(sseq, needs_reference=False, higher_is_better=False),
    "fade": Kind(fade, needs_reference=False, higher_is_better=False),
    "visible_edges_e": Kind(visible_edges_e, needs_reference=True, higher_is_better=True),
    "visible_edges_r": Kind(visible_edges_r, needs_reference=True, higher_is_better=True),
    "visible_edges_sigma": Kind(visible_edges_sigma, needs_reference=True, higher_is_better=False),
    "visible_edge_difference": Kind(visible_edge_difference, needs_reference=True, higher_is_better=False),
}


@dataclass(frozen=True, kw_only=True)
class MetricProtocol:
    """A metric and its options under a name: callable as `(restored, reference or None) -> (N,)`.

    Attributes:
        id: the name that stands beside every figure, such as `ssim_skimage7` or `niqe_live`.
        metric: a name of `METRICS`.
        options: keyword arguments of the metric.
        text: what it computes, in a sentence or two.
        colour_space: what is compared, such as `RGB` or `Y of rgb2ycbcr`.
        value_range: of the images, and the peak or L that goes with it.
        rounding: whether images are rounded to 8 bit first.
        border: what is cropped or padded.
        window: its shape and size.
        reduction: over channels, pixels and images.
        used_by: whose tables or code compute it so.

    Raises:
        UserError: there is no such metric, or it has no such option.
    """

    id: str
    metric: str
    options: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    colour_space: str = ""
    value_range: str = ""
    rounding: str = ""
    border: str = ""
    window: str = ""
    reduction: str = "mean over channels and pixels of an image, then over images"
    used_by: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check the options now, before any image is restored, and make them plain values."""
        if self.metric not in METRICS:
            hint = nearest(self.metric, METRICS)
            raise UserError(
                f"The metric protocol {self.id!r} asks for a metric {self.metric!r}{hint}; "
                f"there are {', '.join(METRICS)}."
            )
        parameters = inspect.signature(METRICS[self.metric].function).parameters.values()
        known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
        for option in self.options:
            if option not in known:
                hint = nearest(option, known)
                raise UserError(
                    f"The metric protocol {self.id!r} sets {option!r}, which {self.metric} does not have{hint}; "
                    f"its options are {', '.join(known) or 'none'}."
                )
        object.__setattr__(self, "options", dict(self.options))
        object.__setattr__(self, "used_by", tuple(self.used_by))

    @property
    def needs_reference(self) -> bool:
        """Whether a reference image is needed."""
        return METRICS[self.metric].needs_reference

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value means a better image."""
        return METRICS[self.metric].higher_is_better

    def __call__(self, restored: Tensor, reference: Tensor | None = None) -> Tensor:
        """One value per image, `(N,)`; a metric without reference leaves `reference` alone.

        Raises:
            UserError: the metric needs a reference and there is none, or refuses the images.
        """
        function = METRICS[self.metric].function
        if not self.needs_reference:
            return function(restored, **self.options)
        if reference is None:
            raise UserError(f"The metric {self.id!r} compares with a reference, but these images have none.")
        return function(restored, reference, **self.options)
