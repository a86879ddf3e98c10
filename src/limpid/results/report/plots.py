"""Plots as SVG that takes its colours and fonts from the page: matplotlib draws, its colours become CSS variables."""

from __future__ import annotations

import io
import math
import re
import statistics
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

from limpid.results.paired import Difference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours that stand for the page's own: what is drawn in one of them takes the variable.
_INK, _MUTED, _GRID, _SERIES, _SOFT, _CARD = (f"#0{i}0{i}0{i}" for i in range(1, 7))
_VARIABLES = {_INK: "ink", _MUTED: "muted", _GRID: "line", _SERIES: "series", _SOFT: "series-soft", _CARD: "card"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: crisp, and in the page's font
    "svg.hashsalt": "limpid",
    "text.parse_math": False,  # a dollar sign in a user's setting is a dollar sign
    "font.size": 12.5,
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _MUTED,
    "axes.linewidth": 1,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
#: One inch of the figure is 72 units of the SVG; 360 units are about a phone's width.
_WIDTH = 360 / 72
#: A strip shows so many points at most, evenly spaced in their order.
MOST_POINTS = 120
_SVG = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"


def finite(values: Sequence[float]) -> list[float]:
    """The values that can be drawn."""
    return [value for value in values if math.isfinite(value)]


class Plots:
    """The plots of one page: each has ids that no other on the page has."""

    def __init__(self) -> None:
        self._drawn = 0

    def curve(self, points: Sequence[tuple[int, float]], name: str) -> Markup:
        """A value over the steps of a training.

        Args:
            points: `(step, value)`; those that are not finite leave a gap.
            name: of the value, for readers of the page's text.
        """
        with _drawing(2.5) as (figure, axes):
            few = len(points) <= 30
            axes.plot(
                *zip(*points, strict=True), color=_SERIES, linewidth=1.8, marker="o" if few else None, markersize=4
            )
            axes.set_xlabel("step")
            axes.margins(x=0.02)
            axes.xaxis.get_major_locator().set_params(integer=True)
            return self._themed(figure, f"Learning curve of {name}")

    def strips(self, groups: Mapping[str, Sequence[float]], name: str) -> Markup:
        """One strip of images for each group, with a box of the quartiles, one below the other on one scale.

        Args:
            groups: the values of the images by the group's name.
            name: of the value, for the axis.
        """
        with _drawing(0.75 + 0.66 * len(groups)) as (figure, axes):
            for line, (group, values) in enumerate(groups.items()):
                drawn = sorted(finite(values))
                if not drawn:
                    continue
                if len(drawn) > 1:
                    axes.boxplot(
                        drawn,
                        positions=[line],
                        widths=0.36,
                        orientation="horizontal",
                        whis=(0, 100),
                        showfliers=False,
                        showcaps=False,
                        patch_artist=True,
                        manage_ticks=False,
                        boxprops={"facecolor": _SOFT, "edgecolor": _SERIES},
                        whiskerprops={"color": _SERIES},
                        medianprops={"color": _INK, "linewidth": 2},
                    )
                few = drawn[:: math.ceil(len(drawn) / MOST_POINTS)]
                # A fixed scatter across the strip, so that equal values do not hide each other.
                heights = [line + 0.16 * math.sin(2.4 * i) for i in range(len(few))]
                axes.plot(few, heights, "o", color=_SERIES, markersize=3, alpha=0.6, markeredgewidth=0)
                _name_line(axes, line, group)
            _lines_downwards(axes, len(groups))
            axes.set_xlabel(name)
            return self._themed(figure, f"{name} of every image: {', '.join(groups)}")

    def intervals(self, groups: Mapping[str, Difference], name: str) -> Markup:
        """A mean difference and its interval for each group, one below the other, and a line at zero.

        Args:
            groups: the differences by the group's name.
            name: of the value, for the axis.
        """
        with _drawing(0.75 + 0.55 * len(groups)) as (figure, axes):
            axes.axvline(0, color=_MUTED, linewidth=1.2)
            for line, (group, difference) in enumerate(groups.items()):
                if math.isfinite(difference.low):
                    axes.plot([difference.low, difference.high], [line, line], color=_SERIES, linewidth=2.4)
                axes.plot([difference.mean], [line], "o", color=_SERIES, markersize=6)
                _name_line(axes, line, group)
            _lines_downwards(axes, len(groups))
            axes.set_xlabel(f"difference of {name}")
            return self._themed(figure, f"Difference of {name}: {', '.join(groups)}")

    def _themed(self, figure: Figure, alternative: str) -> Markup:
        """The figure as an SVG element whose colours are the page's and whose ids no other plot has."""
        self._drawn += 1
        written = io.BytesIO()
        with warnings.catch_warnings():
            # matplotlib's own font measures the text; the page's font, which shows it, may have more letters.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        root = ElementTree.fromstring(written.getvalue())
        _strip(root)
        # Only ids that something refers to are kept: matplotlib gives every artist one.
        wanted = set(chain.from_iterable(map(_references, root.iter())))
        for element in root.iter():
            element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
            identity = element.attrib.pop("id", None)
            if identity in wanted:
                element.set("id", f"plot{self._drawn}-{identity}")
            if (target := element.attrib.pop(_LINK, None)) is not None:
                element.set("href", f"#plot{self._drawn}-{target[1:]}")
            if "clip-path" in element.attrib:
                element.set("clip-path", element.attrib["clip-path"].replace("url(#", f"url(#plot{self._drawn}-"))
            if "style" in element.attrib:
                element.set("style", _with_variables(element.attrib["style"]))
        for attribute in ("width", "height", "version"):
            root.attrib.pop(attribute, None)
        root.attrib |= {"role": "img", "aria-label": alternative, "class": "plot"}
        return Markup(ElementTree.tostring(root, encoding="unicode"))  # ElementTree has escaped it


def quartiles(values: Sequence[float]) -> tuple[float, float, float, float, float] | None:
    """Least, first quartile, median, third quartile, most; None where nothing is finite."""
    drawn = finite(values)
    if not drawn:
        return None
    if len(drawn) == 1:
        return (drawn[0],) * 5
    low, middle, high = statistics.quantiles(drawn, n=4, method="inclusive")
    return min(drawn), low, middle, high, max(drawn)


@contextmanager
def _drawing(height: float) -> Iterator[tuple[Figure, Any]]:
    """A figure with one axes in the page's style, `height` inches high."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        yield figure, figure.add_subplot()


def _name_line(axes: Axes, line: int, name: str) -> None:
    """The group's name above its line, from the left edge, where a phone has room for it."""
    shown = name if len(name) <= 50 else f"{name[:49]}…"
    transform = axes.get_yaxis_transform()
    behind = {"facecolor": _CARD, "edgecolor": "none", "pad": 1}  # no line goes through a name
    axes.text(0, line - 0.27, shown, transform=transform, va="bottom", ha="left", fontsize=12, bbox=behind)


def _lines_downwards(axes: Axes, count: int) -> None:
    axes.set_ylim(count - 0.6, -0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)


def _strip(root: ElementTree.Element) -> None:
    """Remove the metadata, and the style sheet, which would hold for the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.removeprefix(f"{{{_SVG}}}") in ("metadata", "style"):
                parent.remove(child)


def _references(element: ElementTree.Element) -> list[str]:
    return [
        *(element.attrib[_LINK][1:] for _ in (0,) if _LINK in element.attrib),
        *re.findall(r"url\(#(.+?)\)", element.attrib.get("clip-path", "")),
    ]


def _with_variables(style: str) -> str:
    for colour, name in _VARIABLES.items():
        style = style.replace(colour, f"var(--{name})")
    return re.sub(r"font: ([\d.]+px) [^;]+", r"font: \1 var(--sans)", style)
