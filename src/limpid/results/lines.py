"""The lines of a row in a table: what the paper prints, and the mean and deviation of runs of one training."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from limpid.results.frame import PAPER
from limpid.results.run_record import INPUT, MEASURED

if TYPE_CHECKING:
    import pandas as pd

#: The path of a checkpoint in the run store, as overrides hold it.
_RUNS_CHECKPOINT = re.compile(
    r"(?P<quote>'?)runs/(?P<run>(?:[^/',\s]+/){4}seed-[^/',\s]+)/checkpoints/(?P<file>\w+\.ckpt)(?P=quote)"
)


@dataclass(frozen=True)
class Figure:
    """One value of a line.

    Attributes:
        mean: over the runs of the line; the printed value in the paper's own line.
        deviation: over the runs, which differ in their seed; None for a single run and in the paper's own line.
        printed: the paper's value on the same set, or None.
        protocols: under which it was measured.
    """

    mean: float
    deviation: float | None = None
    printed: float | None = None
    protocols: tuple[str, ...] = ()

    @property
    def difference(self) -> float | None:
        """The mean minus the paper's value, or None where the paper prints nothing."""
        return None if self.printed is None else self.mean - self.printed


class FrameLine(Protocol):
    """A line of the frame, as pandas gives it: an attribute for each column of `limpid.results.frame.COLUMNS`."""

    source: str
    set: str
    metric: str
    value: float
    protocol: str
    n: int
    mode: str
    budget: str
    seed: int  #: pandas.NA where weights that others published were tested
    settings: str
    status: str
    comparable: bool
    fingerprint: str
    training: str
    group: str
    run: str


@dataclass(frozen=True)
class Line:
    """One line of a row: what the paper prints on one set, or what runs of one training measured on it.

    Attributes:
        source: ``paper``, ``measured``, or ``input`` for the degraded input itself.
        set: the data set's name; empty where the runs measured nothing.
        figures: by metric.
        budget: of the runs.
        settings: what else was set of them, in words.
        seeds: of the runs.
        images: how many were measured, or None.
        status: ``done``, or why there are no figures.
        comparable: with the paper.
        runs: the directories of the runs.
    """

    source: str
    set: str
    figures: Mapping[str, Figure]
    budget: str = ""
    settings: str = ""
    seeds: tuple[int, ...] = ()
    images: int | None = None
    status: str = "done"
    comparable: bool = False
    runs: tuple[str, ...] = ()


def lines_of(frame: pd.DataFrame | None) -> Iterator[Line]:
    """The lines of one row: the paper's, one per set, then one per group of runs and set.

    Above the line of each group stands that of the degraded input where it was measured, unless the last one of the set
    reads the same.

    Args:
        frame: the means of one row, as `limpid.results.frame.frame_of` gives them; None for no values at all.
    """
    if frame is None:
        return
    printed: dict[str, dict[str, float]] = {}
    groups: dict[str, list[FrameLine]] = {}
    value: FrameLine
    for value in frame.itertuples():
        if value.source == PAPER:
            printed.setdefault(value.set, {})[value.metric] = value.value
        else:
            groups.setdefault(value.group, []).append(value)
    for name, values in printed.items():
        yield Line(PAPER, name, {metric: Figure(number) for metric, number in values.items()})
    inputs: dict[str, tuple[object, ...]] = {}  # by set, what stands above of the degraded input
    for members, marks in zip(groups.values(), _marks([members[0] for members in groups.values()]), strict=True):
        for line in _group_lines(members, printed, marks):
            if line.source == INPUT:
                shown = (line.images, *((metric, figure_text(line, metric)) for metric in line.figures))
                if inputs.get(line.set) == shown:
                    continue
                inputs[line.set] = shown
            yield line


def _marks(firsts: Sequence[FrameLine]) -> Iterator[list[str]]:
    """What tells each group of runs from others of the same settings, given a line of the frame of each."""
    alike = Counter(_visible_settings(first) for first in firsts)
    of_mode = Counter((*_visible_settings(first), first.mode) for first in firsts)
    of_training = Counter((*_visible_settings(first), first.mode, first.training) for first in firsts)
    for first in firsts:
        visible = (*_visible_settings(first), first.mode)
        # A training has its own test; this is another of the weights that it left, or of others.
        marks = ["tested apart"] if first.mode == "test" and alike[_visible_settings(first)] > of_mode[visible] else []
        if of_training[(*visible, first.training)] > 1:
            marks.append(f"run {first.fingerprint}")
        elif of_mode[visible] > 1:
            marks.append(f"training {first.training}")
        yield marks


def _visible_settings(value: FrameLine) -> tuple[str, ...]:
    return (value.budget, value.settings, value.status)


def _group_lines(
    values: Sequence[FrameLine], printed: Mapping[str, Mapping[str, float]], marks: Sequence[str]
) -> Iterator[Line]:
    """The lines of runs of one training.

    Args:
        values: the means of the runs, as the frame has them.
        printed: the paper's values, `{set: {metric: value}}`.
        marks: what tells the runs from others of the same settings.
    """
    from pandas import isna  # loaded already: the values come from a frame

    runs = {value.run: value for value in values}
    first = values[0]
    settings = [part for part in (first.settings, *marks) if part]
    facts: dict[str, Any] = {
        "budget": first.budget,
        "settings": ", ".join(settings),
        "seeds": tuple(value.seed for value in runs.values() if not isna(value.seed)),
        "status": first.status,
        "runs": tuple(runs),
    }
    measured = [value for value in values if value.source == MEASURED and value.metric is not None]
    degraded = [value for value in values if value.source == INPUT and value.run == first.run]
    if not measured:
        yield Line(MEASURED, "", {}, comparable=all(value.comparable for value in runs.values()), **facts)
    for tested in dict.fromkeys(value.set for value in measured):
        members = [value for value in measured if value.set == tested]
        yardstick = [value for value in degraded if value.set == tested]
        images = max(value.n for value in members)
        if yardstick:
            yield Line(INPUT, tested, _figures(yardstick, {}), images=images)
        comparable = all(value.comparable for value in members)
        figures = _figures(members, printed.get(tested, {}))
        yield Line(MEASURED, tested, figures, images=images, comparable=comparable, **facts)


def _figures(of_set: Iterable[FrameLine], printed: Mapping[str, float]) -> dict[str, Figure]:
    """The figures of one set by metric, each over the runs that have it.

    Args:
        of_set: lines of the frame, all of one set and source.
        printed: the paper's values on the set.
    """
    values: dict[str, list[float]] = {}
    ids: dict[str, list[str]] = {}
    for line in of_set:
        values.setdefault(line.metric, []).append(line.value)
        ids.setdefault(line.metric, []).append(line.protocol)
    figures = {}
    for metric, members in values.items():
        mean, deviation = mean_and_deviation(members)
        figures[metric] = Figure(mean, deviation, printed.get(metric), tuple(dict.fromkeys(ids[metric])))
    return figures


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean of values and their sample deviation, which a single value does not have (None).

    A value that is not finite makes the deviation NaN.
    """
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None
    if not all(map(math.isfinite, values)):
        return mean, math.nan
    return mean, statistics.stdev(values)


def describe(line: Line) -> str:
    """The description of a line in words, such as ``budget mini, seeds 0, 1, not comparable``.

    A checkpoint of the run store goes by its run, ``rfd/table5/ours/mini/seed-0``.
    """
    if line.source == PAPER:
        return "paper"
    if line.source == INPUT:
        return "the input as it is"
    parts = [f"budget {line.budget}"]
    if line.settings:
        parts.append(_RUNS_CHECKPOINT.sub(_name_of_checkpoint, line.settings))
    if line.seeds:  # weights that others published have none
        seeds = ", ".join(map(str, line.seeds))
        parts.append(f"seeds {seeds}" if len(line.seeds) > 1 else f"seed {seeds}")
    if line.status != "done":
        parts.append(line.status)
    if not line.comparable:
        parts.append("not comparable")
    return ", ".join(parts)


def _name_of_checkpoint(path: re.Match[str]) -> str:
    """The run that left a checkpoint, and the file's name where it is not the best that counts."""
    return path["run"] if path["file"] == "best.ckpt" else f"{path['run']}/{path['file']}"


def figure_text(line: Line, metric: str) -> str:
    """A figure as tables print it; empty where the line has none.

    A printed value keeps its digits. A measured one has four significant digits, and a deviation over seeds behind it.
    """
    figure = line.figures.get(metric)
    if figure is None:
        return ""
    if line.source == PAPER:
        return f"{figure.mean:g}"
    text = f"{figure.mean:.4g}"
    return text if figure.deviation is None else f"{text} ± {figure.deviation:.2g}"


def metrics_of(lines: Iterable[Line], source: str) -> list[str]:
    """The metrics that the lines of one source have, in order of appearance."""
    metrics: dict[str, None] = {}
    for line in lines:
        if line.source == source:
            metrics.update(dict.fromkeys(line.figures))
    return list(metrics)


def protocols(lines: Iterable[Line]) -> dict[str, list[str]]:
    """The protocols under which each metric was measured, by metric."""
    ids_of_metrics: dict[str, dict[str, None]] = {}
    for line in lines:
        if line.source == MEASURED:
            for metric, figure in line.figures.items():
                ids_of_metrics.setdefault(metric, {}).update(dict.fromkeys(figure.protocols))
    return {metric: list(ids) for metric, ids in ids_of_metrics.items()}
