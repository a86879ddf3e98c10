"""Paired differences: Student's interval, image by image, over what two methods share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats
from tests.results.made_store import begin_run

from limpid.results import paired
from limpid.results.run_record import RunRecord, read_record

ROWS = {
    "own": "{label: Own, kind: ours}",
    "baseline": "{label: Baseline, kind: baseline}",
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a paper of two rows."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "experiments" / "p"
    (folder / "t").mkdir(parents=True)
    entries = ", ".join(f"{name}: {entry}" for name, entry in ROWS.items())
    (folder / "paper.yaml").write_text(f"tables: {{t: {{rows: {{{entries}}}}}}}")
    for name in ROWS:
        (folder / "t" / f"{name}.yaml").write_text("# @package _global_\n")
    return tmp_path


def finished(
    path: Path, scores: dict[str, list[float]], row: str | None = None, seed: int = 0, **facts: Any
) -> RunRecord:
    images = [
        {"set": name, "index": i, "name": f"{i:02d}", "psnr": value, "input_psnr": 0.0}
        for name, values in scores.items()
        for i, value in enumerate(values)
    ]
    choices = {"model": path.name, "data": "d"}
    run = begin_run(path, row and f"p/t/{row}", seed, **{"choices": choices, "fingerprint": path.name, **facts})
    run.finish({}, images)
    return read_record(run)


def differences(own: list[RunRecord], other: list[RunRecord]) -> dict[tuple[str, str], paired.Difference]:
    found = paired.differences(paired.image_scores(own), paired.image_scores(other))
    return {(name, metric): one for name, metric, one in found}


def compared(*records: RunRecord) -> paired.Comparison | None:
    return paired.compare_to_reference(paired.image_scores(records))


def test_the_interval_is_students() -> None:
    values, reference = [3.0, 5.0, 4.0, 9.0], [1.0, 2.0, 4.0, 5.0]
    found = paired.difference(values, reference)
    expected = stats.ttest_rel(values, reference)
    low, high = expected.confidence_interval(0.95)
    assert found.mean == pytest.approx(2.25)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.n == 4


def test_one_image_says_nothing_about_the_next() -> None:
    assert paired.difference([2.0], [1.0]) == (1.0, -math.inf, math.inf, 1, None)


def test_only_images_that_both_have_are_compared(here: Path) -> None:
    a = finished(here / "a", {"x": [1.0, 2.0, 3.0], "y": [5.0]})
    b = finished(here / "b", {"x": [0.0, 1.5], "z": [1.0]})
    found = differences([a], [b])
    assert list(found) == [("x", "psnr")]
    assert found["x", "psnr"].mean == pytest.approx(0.75)
    assert found["x", "psnr"].n == 2


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_score_that_is_no_number_cannot_be_averaged(here: Path, bad: float) -> None:
    a = finished(here / "a", {"x": [1.0, bad], "y": [1.0]})
    b = finished(here / "b", {"x": [0.0, 1.5], "y": [0.5]})
    assert list(differences([a], [b])) == [("y", "psnr")]
    assert list(differences([b], [a])) == [("y", "psnr")]


def test_images_of_one_name_are_paired_by_their_position(here: Path) -> None:
    records = []
    for name, values in (("a", [1.0, 10.0]), ("b", [0.0, 5.0])):
        run = begin_run(here / name, None, 0, choices={"model": name, "data": "d"}, fingerprint=name)
        run.finish({}, [{"set": "x", "index": i, "name": "same", "psnr": value} for i, value in enumerate(values)])
        records.append(read_record(run))
    found = differences(records[:1], records[1:])["x", "psnr"]
    assert (found.mean, found.n) == (3.0, 2)


def test_the_papers_own_method_is_the_reference(here: Path) -> None:
    a = finished(here / "a", {"x": [1.0, 2.0]}, "baseline", changes=["data=x", "network.a=2"])
    b = finished(here / "b", {"x": [0.0, 1.5]}, "own")
    c = finished(here / "c", {"q": [0.0]})
    comparison = compared(a, b, c)
    assert comparison is not None
    assert comparison.reference == "own"
    assert [one.method for one in comparison.differences] == ["baseline, network.a=2"], "c shares no image with it"
    assert paired.method_name(paired.image_scores([c])) == "c"
    assert compared(a) is None
    assert compared() is None
    assert compared(a, c) is None


def test_seeds_of_one_method_are_averaged(here: Path) -> None:
    own = [finished(here / f"o{i}", {"x": [i, 2.0 * i]}, "own", seed=int(i), fingerprint="o") for i in (1.0, 3.0)]
    other = [finished(here / f"p{i}", {"x": [5.0, i]}, "baseline", seed=int(i), fingerprint="p") for i in (4.0, 6.0)]
    comparison = compared(own[0], other[0], own[1], other[1])
    assert comparison is not None
    [one] = comparison.differences
    assert (one.method, one.set, one.metric) == ("baseline", "x", "psnr")
    assert one.difference == paired.difference([5.0, 5.0], [2.0, 4.0])


def test_trainings_of_one_row_are_two_methods(here: Path) -> None:
    own = finished(here / "a", {"x": [1.0, 2.0]}, "own", fingerprint="a")
    mini = finished(here / "b", {"x": [2.0, 4.0]}, "own", fingerprint="b", budget="paper")
    comparison = compared(own, mini)
    assert comparison is not None
    assert comparison.reference == "own, budget mini"
    [one] = comparison.differences
    assert (one.method, one.difference.mean) == ("own, budget paper", 1.5)


def test_a_run_that_two_rows_share_counts_once(here: Path) -> None:
    scores = paired.image_scores([finished(here / "a", {"x": [1.0, 2.0]}, "own")])
    twice = pd.concat([scores, scores.assign(row="baseline")])
    assert len(paired.of_images(twice)) == len(scores) == 2


def test_an_interval_over_seeds_pairs_trainings_of_one_seed(here: Path) -> None:
    scores = {0: ([1.0, 3.0], [0.0, 1.0]), 1: ([2.0, 4.0], [1.0, 1.0]), 2: ([3.0, 3.0], [2.5, 0.5])}
    own = [finished(here / f"a{seed}", {"x": one}, seed=seed) for seed, (one, _) in scores.items()]
    other = [finished(here / f"b{seed}", {"x": two}, seed=seed) for seed, (_, two) in reversed(scores.items())]
    found = differences(own, other)["x", "psnr"]
    of_means = paired.difference([2.0, 3.0, 3.0], [0.5, 1.0, 1.5])
    assert found.over_seeds == pytest.approx((of_means.low, of_means.high))
    assert found.mean == pytest.approx(of_means.mean)
    assert differences(own[:1], other)["x", "psnr"].over_seeds is None, "one seed has no interval"


def test_a_difference_is_significant_where_neither_interval_holds_zero() -> None:
    assert paired.Difference(1.0, 0.1, 1.9, 9, (0.2, 1.8)).is_significant
    assert paired.Difference(-1.0, -1.9, -0.1, 9).is_significant
    assert not paired.Difference(1.0, 0.1, 1.9, 9, (-0.2, 2.2)).is_significant
    assert not paired.Difference(1.0, -0.1, 2.1, 9, (0.2, 1.8)).is_significant
