"""How figures, metrics and groups of runs are called on a page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from limpid.results import table

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


def number(value: Any) -> str:
    """A figure as tables print it, with a true minus sign."""
    return table.number(value).replace("-", "−")


def signed(value: float | None) -> str:
    """A difference with its sign; empty for None and for no number."""
    if value is None or math.isnan(value):
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return ("+" if value >= 0 else "−") + f"{abs(value):.4g}"


def settings(run: Mapping[str, Any]) -> str:
    """What was set of a run besides its row, on one line.

    Args:
        run: as `limpid.results.table.run_entry` describes it.
    """
    return ", ".join([f"budget={run['budget']}", *table.settings_of(run)[1:]])
