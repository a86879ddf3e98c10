"""Two methods on the same images: the mean of the images' differences, and how sure it is."""

from __future__ import annotations

import math
import shlex
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from limpid.results.frame import frame_of
from limpid.results.grouping import seedless
from limpid.results.measured import MeasuredRow
from limpid.results.rows import known_row
from limpid.results.run_record import MEASURED, RunRecord

if TYPE_CHECKING:
    import pandas as pd

#: The share of repetitions whose interval holds the true mean.
CONFIDENCE = 0.95

#: What tells one score of an image from another.
_SCORE = ["set", "metric", "image_number"]


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
    def is_significant(self) -> bool:
        """Whether it can be told from chance: neither interval holds 0."""
        intervals = [(self.low, self.high)]
        if self.over_seeds:
            intervals.append(self.over_seeds)
        return all(low > 0 or high < 0 for low, high in intervals)


class PairedDifference(NamedTuple):
    """The difference of a method to the reference, in one metric on one set."""

    method: str
    set: str
    metric: str
    difference: Difference


class Comparison(NamedTuple):
    """How methods differ from the method `reference`."""

    reference: str
    differences: tuple[PairedDifference, ...]


def difference(values: Sequence[float], reference: Sequence[float]) -> Difference:
    """The mean of `values - reference`, image by image, with Student's interval.

    The interval is infinite for a single image. It takes the images for independent draws; several degraded versions of
    one scene are not quite that.

    Args:
        values: of one method, one per image.
        reference: of the other, of the same images in the same order.
    """
    from scipy.stats import t

    gaps = [value - other for value, other in zip(values, reference, strict=True)]
    mean = statistics.fmean(gaps)
    n = len(gaps)
    if n < 2:
        return Difference(mean, -math.inf, math.inf, n)
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * statistics.stdev(gaps) / math.sqrt(n)
    return Difference(mean, mean - half, mean + half, n)


def image_scores(records: Iterable[RunRecord]) -> pd.DataFrame:
    """The scores of every image of runs, as lines of `limpid.results`.

    Args:
        records: of the runs; the row of each is looked up in experiments/.
    """
    measured: list[MeasuredRow] = []
    free: list[RunRecord] = []
    for record in records:
        row = known_row(record.row)
        if row is None:
            free.append(record)
        else:
            measured.append(MeasuredRow(row, (record,)))
    return of_images(frame_of(measured, free, per_image=True))


def of_images(frame: pd.DataFrame) -> pd.DataFrame:
    """The measured scores of single images among the lines of `frame`, each once though several rows share its run."""
    scores = frame[frame["image_number"].notna() & (frame["source"] == MEASURED)]
    return scores.drop_duplicates(["run", *_SCORE])


def mean_over_runs(scores: pd.DataFrame) -> pd.Series:
    """The score of each image, averaged over runs of one method, by `(set, metric, image_number)`.

    Args:
        scores: of the images, as `of_images` gives them. An image that not every run has scored is left out. A score
            that is not a number counts as infinite, so that its mean is not finite either.
    """
    finite = scores.assign(value=scores["value"].fillna(math.inf))
    grouped = finite.groupby(_SCORE, sort=False)["value"].agg(["mean", "size"])
    return grouped["mean"][grouped["size"] == scores["run"].nunique()]


def differences(scores: pd.DataFrame, reference: pd.DataFrame) -> Iterator[tuple[str, str, Difference]]:
    """Each `(set, metric, Difference)` of one method to another, over the images that both have scored.

    A metric with a score that is not finite has no difference.

    Args:
        scores: of the one's images, as `of_images` gives them; its runs differ in their seed.
        reference: of the other's.
    """
    own = mean_over_runs(scores).to_frame("own")
    both = own.join(mean_over_runs(reference).rename("other"), how="inner")
    own_seeds = _seed_means(scores, both)
    other_seeds = _seed_means(reference, both)
    seeds = own_seeds.to_frame("own").join(other_seeds.rename("other"), how="inner")
    for (name, metric), pairs in both.groupby(level=["set", "metric"], sort=False):
        if not all(map(math.isfinite, [*pairs["own"], *pairs["other"]])):
            continue
        over_images = difference(list(pairs["own"]), list(pairs["other"]))
        drawn = seeds[[key[:2] == (name, metric) for key in seeds.index]]
        yield name, metric, over_images._replace(over_seeds=_seed_interval(drawn))


def _seed_means(scores: pd.DataFrame, shared: pd.DataFrame) -> pd.Series:
    """The mean over shared images of each `(set, metric, seed)`."""
    shared_scores = scores.join(shared[[]], on=_SCORE, how="inner")
    return shared_scores.groupby(["set", "metric", "seed"], sort=False)["value"].mean()


def _seed_interval(pairs: pd.DataFrame) -> tuple[float, float] | None:
    if len(pairs) < 2:
        return None
    drawn = difference(list(pairs["own"]), list(pairs["other"]))
    return drawn.low, drawn.high


def compare_to_reference(scores: pd.DataFrame) -> Comparison | None:
    """The differences of methods to one of them; None where there is nothing to compare.

    The reference is the paper's own method if it is among them, else the first. A method is one training: runs of one
    row and one group, which differ in their seed alone.

    Args:
        scores: of the images of all methods, as `of_images` gives them.
    """
    methods = _methods(scores)
    if len(methods) < 2:
        return None
    own = [name for name, members in methods.items() if _is_papers_own(members)]
    reference = own[0] if own else next(iter(methods))
    compared: list[PairedDifference] = []
    for name, members in methods.items():
        if name != reference:
            pairs = differences(members, methods[reference])
            compared += [PairedDifference(name, set_name, metric, one) for set_name, metric, one in pairs]
    return Comparison(reference, tuple(compared)) if compared else None


def _methods(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The scores of each method by a name that no other has."""
    groups = [members for _, members in scores.groupby(["paper", "table", "row", "group"], sort=False, dropna=False)]
    names = [method_name(members) for members in groups]
    for column, what in (("budget", "budget "), ("group", "training ")):
        counts = Counter(names)
        for number, members in enumerate(groups):
            if counts[names[number]] > 1:
                names[number] += f", {what}{members[column].iloc[0]}"
    return dict(zip(names, groups, strict=True))


def method_name(scores: pd.DataFrame) -> str:
    """What to call a method: its row, else its model, and what was set besides.

    Args:
        scores: of the method alone.
    """
    first = scores.iloc[0]
    name = first["model"] if first["row"] is None else first["row"]
    beside = [o for o in shlex.split(first["overrides"]) if not o.startswith(("data=", "model="))]
    return ", ".join([str(name), *(seedless(override, first["seed"]) for override in beside)])


def _is_papers_own(scores: pd.DataFrame) -> bool:
    first = scores.iloc[0]
    if first["row"] is None:
        return False
    row = known_row(f"{first['paper']}/{first['table']}/{first['row']}")
    return row is not None and row.kind == "ours"
