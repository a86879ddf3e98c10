"""What all figures share: a quiet style, and files written whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpid.store.atomic_io import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colours that also people who do not see red and green apart tell apart (Okabe and Ito).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")


def panels(count: int, width: float = 5.0, height: float = 3.6) -> tuple[Figure, list[Any]]:
    """A figure with `count` panels side by side, and the panels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * count, height), layout="constrained")
    axes = [figure.add_subplot(1, count, i + 1) for i in range(count)]
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def write(figure: Figure, path: Path) -> Path:
    """The `path` of the PNG as which `figure` was written, see `atomic_write`."""
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=120)
    return path
