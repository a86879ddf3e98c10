"""Image-quality metrics, one value per image: `psnr(restored, reference) -> (N,)`.

Images are `(N, 3, H, W)` tensors, floating point in [0, 1] or uint8; everything is computed in float64. A
`MetricProtocol` names a metric together with all that decides its number; `PerImageMean` makes any of them a
`torchmetrics.Metric`.
"""

from typing import TYPE_CHECKING, Any

from limpid.metrics.brisque import brisque
from limpid.metrics.ciede2000 import ciede2000
from limpid.metrics.fade import fade
from limpid.metrics.niqe import niqe
from limpid.metrics.piqe import piqe
from limpid.metrics.protocols import METRICS, MetricProtocol
from limpid.metrics.psnr import psnr
from limpid.metrics.sseq import sseq
from limpid.metrics.ssim import PRESETS as SSIM_PRESETS
from limpid.metrics.ssim import SSIMPreset, ssim
from limpid.metrics.visible_edges import VisibleEdges, visible_edge_difference, visible_edges

if TYPE_CHECKING:
    from limpid.metrics.per_image_mean import PerImageMean

__all__ = [
    "METRICS",
    "SSIM_PRESETS",
    "MetricProtocol",
    "PerImageMean",
    "SSIMPreset",
    "VisibleEdges",
    "brisque",
    "ciede2000",
    "fade",
    "niqe",
    "piqe",
    "psnr",
    "sseq",
    "ssim",
    "visible_edge_difference",
    "visible_edges",
]


def __getattr__(name: str) -> Any:
    """`PerImageMean` is imported when it is asked for: torchmetrics takes seconds that a metric does not need."""
    if name == "PerImageMean":
        from limpid.metrics.per_image_mean import PerImageMean

        return PerImageMean
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
