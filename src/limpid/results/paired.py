"""Two methods on the same images: the mean of the images' differences, and how sure it is."""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from limpid.results.store import Run

#: The share of repetitions whose interval holds the true mean.
CONFIDENCE = 0.95


class Difference(NamedTuple):
    """The mean difference of `n` images, and the interval `[low, high]` that holds the true mean in 95 of 100 cases."""

    mean: float
    low: float
    high: float
    n: int


def difference(values: Sequence[float], reference: Sequence[float]) -> Difference:
    """The mean of `values - reference`, image by image, with Student's interval.

    The interval is infinite for a single image. It takes the images for independent draws; several degraded versions of
    one scene are not quite that.
    """
    from scipy.stats import t

    gaps = [value - other for value, other in zip(values, reference, strict=True)]
    mean, n = statistics.fmean(gaps), len(gaps)
    if n < 2:
        return Difference(mean, -math.inf, math.inf, n)
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * statistics.stdev(gaps) / math.sqrt(n)
    return Difference(mean, mean - half, mean + half, n)


def per_image(run: Run) -> dict[tuple[str, str], dict[str, float]]:
    """The scores of a finished run by `(set, image)`; nothing where there are none."""
    file = run.path / "per_image.csv"
    if not file.is_file():
        return {}
    with file.open(encoding="utf-8", newline="") as lines:
        return {
            (row["set"], row["index"]): {k: float(v) for k, v in row.items() if k not in ("set", "index", "name") and v}
            for row in csv.DictReader(lines)
        }


def differences(run: Run, reference: Run) -> dict[str, dict[str, Difference]]:
    """`{set: {metric: Difference}}` of `run` against `reference`, over the sets and images that both have scored."""
    ours, theirs = per_image(run), per_image(reference)
    shared = [place for place in ours if place in theirs]
    found: dict[str, dict[str, Difference]] = {}
    for name in dict.fromkeys(place[0] for place in shared):
        rows = [(ours[place], theirs[place]) for place in shared if place[0] == name]
        for metric in rows[0][0]:
            pairs = [(a[metric], b[metric]) for a, b in rows if metric in a and metric in b]
            if metric.startswith("input_") or not pairs or not all(map(math.isfinite, (v for p in pairs for v in p))):
                continue
            found.setdefault(name, {})[metric] = difference(*zip(*pairs, strict=True))
    return found


def against_one(runs: Sequence[Run]) -> tuple[Run, list[tuple[Run, dict[str, dict[str, Difference]]]]] | None:
    """The run that others are compared with, and each other's differences to it; None where nothing is shared.

    The one is the paper's own method if it is among them, else the first.
    """
    if len(runs) < 2:
        return None
    own = [run for run in runs if ((run.config() or {}).get("row") or {}).get("kind") == "ours"]
    reference = (own or list(runs))[0]
    others = [(run, differences(run, reference)) for run in runs if run.path != reference.path]
    compared = [(run, found) for run, found in others if found]
    return (reference, compared) if compared else None


def name_of(run: Run) -> str:
    """What to call a run in a comparison: its row, else its model, and what was set besides."""
    config: Mapping[str, Any] = run.config() or {}
    row = config.get("row")
    name = row["name"] if row else config["choices"]["model"]
    beside = [o for o in config.get("overrides") or [] if not o.startswith(("data=", "model="))]
    return ", ".join([name, *beside])
