"""Two methods on the same images: the mean of the images' differences, and how sure it is."""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from limpid.store.run_directory import Run

#: The share of repetitions whose interval holds the true mean.
CONFIDENCE = 0.95


class Difference(NamedTuple):
    """The mean difference of `n` images, and the interval `[low, high]` that holds the true mean in 95 of 100 cases.

    `over_seeds` is the same interval when the trainings are the draws instead of the images: of each seed that both
    were trained with, the difference of their means. None where they share fewer than two.
    """

    mean: float
    low: float
    high: float
    n: int
    over_seeds: tuple[float, float] | None = None

    @property
    def is_one(self) -> bool:
        """Whether it can be told from chance: neither interval holds 0."""
        intervals = [(self.low, self.high), *([self.over_seeds] if self.over_seeds else [])]
        return all(low > 0 or high < 0 for low, high in intervals)


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


def mean_per_image(runs: Sequence[Run]) -> dict[tuple[str, str], dict[str, float]]:
    """The scores by `(set, image)`, averaged over runs of one method that differ in their seed."""
    scored = [per_image(run) for run in runs]
    return {
        place: {m: statistics.fmean(scores[place][m] for scores in scored) for m in _shared(scored, place)}
        for place in scored[0]
        if all(place in scores for scores in scored)
    }


def _shared(scored: Sequence[Mapping[Any, Mapping[str, float]]], place: Any) -> list[str]:
    """The metrics that all have for an image, not those of the degraded input itself."""
    return [m for m in scored[0][place] if not m.startswith("input_") and all(m in scores[place] for scores in scored)]


def differences(runs: Sequence[Run], reference: Sequence[Run]) -> dict[str, dict[str, Difference]]:
    """`{set: {metric: Difference}}` of one method against another, over the sets and images that both have scored.

    Args:
        runs: of the one, which differ in their seed.
        reference: of the other.
    """
    scored = [mean_per_image(runs), mean_per_image(reference)]
    seeds = [{(run.config() or {}).get("seed"): run for run in some} for some in (runs, reference)]
    by_seed = [[per_image(of[seed]) for of in seeds] for seed in seeds[0] if seed is not None and seed in seeds[1]]
    shared = [place for place in scored[0] if place in scored[1]]
    found: dict[str, dict[str, Difference]] = {}
    for name in dict.fromkeys(place[0] for place in shared):
        places = [place for place in shared if place[0] == name]
        for metric in _shared(scored, places[0]):
            pairs = [[scores[place][metric] for scores in scored] for place in places if metric in scored[1][place]]
            if all(math.isfinite(value) for pair in pairs for value in pair):
                over_images = difference(*zip(*pairs, strict=True))
                over_seeds = _over_seeds(metric, places, by_seed)
                found.setdefault(name, {})[metric] = over_images._replace(over_seeds=over_seeds)
    return found


def _over_seeds(
    metric: str, places: Sequence[Any], by_seed: Sequence[Sequence[Mapping[Any, Mapping[str, float]]]]
) -> tuple[float, float] | None:
    """The interval of the difference of means over the seeds in `by_seed`, each a pair of scores by image."""
    pairs = [
        [statistics.fmean(scores[place][metric] for place in places if metric in scores[place]) for scores in pair]
        for pair in by_seed
    ]
    if len(pairs) < 2:
        return None
    drawn = difference(*zip(*pairs, strict=True))
    return drawn.low, drawn.high


def against_one(runs: Sequence[Run]) -> tuple[str, list[tuple[str, dict[str, dict[str, Difference]]]]] | None:
    """The method that others are compared with, and each other's differences to it; None where nothing is shared.

    The one is the paper's own method if it is among them, else the first.
    """
    methods: dict[str, list[Run]] = {}
    for run in runs:
        methods.setdefault(name_of(run), []).append(run)
    if len(methods) < 2:
        return None
    own = [n for n, some in methods.items() if ((some[0].config() or {}).get("row") or {}).get("kind") == "ours"]
    reference = (own or list(methods))[0]
    others = [(n, differences(some, methods[reference])) for n, some in methods.items() if n != reference]
    compared = [(name, found) for name, found in others if found]
    return (reference, compared) if compared else None


def name_of(run: Run) -> str:
    """What to call a run's method: its row, else its model, and what was set besides."""
    config: Mapping[str, Any] = run.config() or {}
    row = config.get("row")
    name = row["name"] if row else config["choices"]["model"]
    beside = [o for o in config.get("overrides") or [] if not o.startswith(("data=", "model="))]
    return ", ".join([name, *beside])
