"""Paired differences: Student's interval, image by image, over what two runs share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from limpid.results import paired
from limpid.store.atomic_io import write_csv
from limpid.store.run_directory import Run


def finished(path: Path, scores: dict[str, list[float]], **config: Any) -> Run:
    rows = [
        {"set": name, "index": i, "name": f"{i:02d}", "psnr": value, "input_psnr": 0.0}
        for name, values in scores.items()
        for i, value in enumerate(values)
    ]
    path.mkdir(parents=True)
    write_csv(path / "per_image.csv", rows)
    plain = {"fingerprint": str(path), "choices": {"model": path.name}, **config}
    run = Run(path)
    with run.locked():
        run.begin(plain, {})
        run.finish({}, rows)
    return run


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


def test_only_images_that_both_have_are_compared(tmp_path: Path) -> None:
    a = finished(tmp_path / "a", {"x": [1.0, 2.0, 3.0], "y": [5.0]})
    b = finished(tmp_path / "b", {"x": [0.0, 1.5], "z": [1.0]})
    found = paired.differences([a], [b])
    assert list(found) == ["x"]
    assert list(found["x"]) == ["psnr"]
    assert found["x"]["psnr"].mean == pytest.approx(0.75)
    assert found["x"]["psnr"].n == 2


def test_an_infinite_score_cannot_be_averaged(tmp_path: Path) -> None:
    a = finished(tmp_path / "a", {"x": [1.0, math.inf]})
    b = finished(tmp_path / "b", {"x": [0.0, 1.5]})
    assert paired.differences([a], [b]) == {}


def test_the_papers_own_method_is_the_reference(tmp_path: Path) -> None:
    row = {"name": "baseline", "kind": "baseline"}
    a = finished(tmp_path / "a", {"x": [1.0, 2.0]}, row=row, overrides=["data=x", "network.a=2"])
    b = finished(tmp_path / "b", {"x": [0.0, 1.5]}, row={"name": "own", "kind": "ours"})
    c = finished(tmp_path / "c", {"q": [0.0]})
    compared = paired.against_one([a, b, c])
    assert compared is not None
    reference, others = compared
    assert reference == "own"
    assert [name for name, _ in others] == ["baseline, network.a=2"], "c shares no image with it"
    assert paired.name_of(c) == "c"
    assert paired.against_one([a]) is None
    assert paired.against_one([]) is None
    assert paired.against_one([a, c]) is None


def test_seeds_of_one_method_are_averaged(tmp_path: Path) -> None:
    own = [finished(tmp_path / f"o{i}", {"x": [i, 2.0 * i]}, row={"name": "own", "kind": "ours"}) for i in (1.0, 3.0)]
    other = [finished(tmp_path / f"p{i}", {"x": [5.0, i]}, row={"name": "p", "kind": "baseline"}) for i in (4.0, 6.0)]
    compared = paired.against_one([own[0], other[0], own[1], other[1]])
    assert compared is not None
    ((name, found),) = compared[1]
    assert name == "p"
    assert found["x"]["psnr"] == paired.difference([5.0, 5.0], [2.0, 4.0])


def test_an_interval_over_seeds_pairs_trainings_of_one_seed(tmp_path: Path) -> None:
    scores = {0: ([1.0, 3.0], [0.0, 1.0]), 1: ([2.0, 4.0], [1.0, 1.0]), 2: ([3.0, 3.0], [2.5, 0.5])}
    own = [finished(tmp_path / f"a{seed}", {"x": one}, seed=seed) for seed, (one, _) in scores.items()]
    other = [finished(tmp_path / f"b{seed}", {"x": two}, seed=seed) for seed, (_, two) in reversed(scores.items())]
    found = paired.differences(own, other)["x"]["psnr"]
    of_means = paired.difference([2.0, 3.0, 3.0], [0.5, 1.0, 1.5])
    assert found.over_seeds == pytest.approx((of_means.low, of_means.high))
    assert found.mean == pytest.approx(of_means.mean)
    assert paired.differences(own[:1], other)["x"]["psnr"].over_seeds is None, "one seed has no interval"


def test_a_difference_counts_where_neither_interval_holds_zero() -> None:
    assert paired.Difference(1.0, 0.1, 1.9, 9, (0.2, 1.8)).is_one
    assert paired.Difference(-1.0, -1.9, -0.1, 9).is_one
    assert not paired.Difference(1.0, 0.1, 1.9, 9, (-0.2, 2.2)).is_one
    assert not paired.Difference(1.0, -0.1, 2.1, 9, (0.2, 1.8)).is_one
