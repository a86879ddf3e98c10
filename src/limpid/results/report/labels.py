"""How figures, metrics and groups of runs are called on a page."""

from __future__ import annotations

import math
from collections.abc import Mapping

from limpid.results.grouping import settings_of
from limpid.results.lines import Line, figure_text
from limpid.results.run_record import RunRecord

#: What people call a metric, and its unit.
_METRICS = {
    "psnr": ("PSNR", "dB"),
    "ssim": ("SSIM", ""),
    "ssim_range1": ("SSIM, range 1", ""),
    "ciede2000": ("CIEDE2000", ""),
    "niqe": ("NIQE", ""),
    "brisque": ("BRISQUE", ""),
    "piqe": ("PIQE", ""),
    "sseq": ("SSEQ", ""),
    "fade": ("FADE", ""),
    "visible_edge_difference": ("visible edge difference", ""),
    "visible_edges_e": ("new visible edges e", ""),
    "visible_edges_r": ("gradient ratio r", ""),
    "visible_edges_sigma": ("saturated share σ", ""),
    "params_m": ("parameters", "M"),
    "size_mb": ("size", "MB"),
    "gflops": ("GFLOPs", ""),
    "ms": ("time", "ms"),
}
#: Metrics of cost, which no image decides.
COSTS = ("params_m", "size_mb", "gflops", "ms")


def label(metric: str) -> str:
    """What people call `metric`."""
    return _METRICS.get(metric, (metric, ""))[0]


def unit(metric: str) -> str:
    """The unit of `metric`, empty where it has none."""
    return _METRICS.get(metric, ("", ""))[1]


def with_unit(metric: str) -> str:
    """`PSNR (dB)`."""
    return f"{label(metric)} ({unit(metric)})" if unit(metric) else label(metric)


def arrow(metric: str, higher_is_better: Mapping[str, bool]) -> str:
    """``higher`` or ``lower``, which is better; empty where nobody says."""
    if metric in COSTS:
        return "lower"
    if metric not in higher_is_better:
        return ""
    return "higher" if higher_is_better[metric] else "lower"


def number(value: float | None) -> str:
    """A measured value as tables print it, with a true minus sign; empty for None."""
    return "" if value is None else f"{value:.4g}".replace("-", "−")


def printed(value: float | None) -> str:
    """A value of the paper with its own digits and a true minus sign; empty for None."""
    return "" if value is None else f"{value:g}".replace("-", "−")


def figure(line: Line, metric: str) -> str:
    """A figure of a line as tables print it, with a true minus sign."""
    return figure_text(line, metric).replace("-", "−")


def signed(value: float | None) -> str:
    """A difference with its sign; empty for None and for no number."""
    if value is None or math.isnan(value):
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return ("+" if value >= 0 else "−") + f"{abs(value):.4g}"


def settings(run: RunRecord) -> str:
    """What was set of a run besides its row, on one line."""
    return ", ".join([f"budget={run.budget}", *settings_of(run)])
