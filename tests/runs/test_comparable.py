"""What is comparable with a paper: each clause of the definition in docs/results.md, on a small paper of the test's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.specs import config

import limpid
from limpid.config.recipes import recipe
from limpid.data import own_sets
from limpid.data.datasets.base import why_not_whole
from limpid.errors import UserError
from limpid.results.measured import measured_rows
from limpid.results.rows import find_row
from limpid.results.table import table_rows
from limpid.runs.resolve import resolve
from limpid.runs.runner import Results, perform

#: How many pairs the publisher's sets have.
COUNTS = {"train": 6, "test": 2, "extra": 2}
QUICK = ("trainer=cpu", "data.workers=0", "log_every=1", "pictures=0")

CARD = """
_target_: limpid.data.datasets.PairedByName
name: fog
domain: haze
root: ${data.root}
roots: [fog]
input: test/input
target: test/target
pair: '(?P<target>.+)'
split: test
splits:
  train: {input: train/input, target: train/target, expected: 6}
  test: {input: test/input, target: test/target, expected: 2}
  extra: {input: extra/input, target: extra/target, expected: 2}
held_out: 1
"""
RECIPE = """
defaults:
  - recipe
  - /dataset@train: fog
  - /dataset@val: fog
  - /dataset@test.fog: fog
  - /dataset@test.extra: fog
  - _self_
train: {split: train, part: train}
val: {split: train, part: val}
test: {extra: {split: extra}}
augment: null
"""
ROW: dict[str, Any] = {
    "defaults": [{"override /model": "aod_net"}, {"override /data": "fog"}],
    "training": {"paper": {"steps": 2, "epochs": None, "crop": 16, "batch_size": 2}},
}
PAPER = """
title: A Paper about Fog
tables:
  table1:
    rows:
      learnt: {label: Learnt, kind: ours, printed: {fog: {psnr: 30.0}}}
      again: {label: Learnt, kind: ours, alias_of: mine/table1/learnt, printed: {extra: {psnr: 30.0}}}
      tested: {label: Tested, kind: baseline, printed: {fog: {psnr: 30.0}}}
      prior: {label: Prior, kind: baseline, printed: {fog: {psnr: 30.0}}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a paper, its rows, and its data in full."""
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for kind in ("input", "target"):
            folder = tmp_path / "data" / "fog" / split / kind
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).save(folder / f"{number}.png")
    contents: dict[str, dict[str, Any]] = {
        "learnt": ROW,
        "again": ROW,
        "tested": {**ROW, "mode": "test", "ckpt": "row:mine/table1/learnt"},
        "prior": {"defaults": [{"override /model": "dcp"}, {"override /data": "fog"}], "mode": "test"},
        "unprinted": ROW,
    }
    files = {"conf/dataset/fog.yaml": CARD, "conf/data/fog.yaml": RECIPE, "experiments/mine/paper.yaml": PAPER}
    for name, content in contents.items():
        text = "# @package _global_\n" + yaml.safe_dump(content, sort_keys=False)
        files[f"experiments/mine/table1/{name}.yaml"] = text
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(own_sets, "_published", lambda: frozenset({"fog"}))  # it stands for a publisher's set
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LIMPID_DATA", str(tmp_path / "data"))
    return tmp_path


def run(name: str, *words: str, command: str = "train") -> dict[str, Any]:
    """The content of metrics.json of a row."""
    results: Results = perform(resolve([f"+mine/table1={name}", *QUICK, *words], command))
    document: dict[str, Any] = json.loads((results.directory / "metrics.json").read_text())
    return document


def lose(here: Path, split: str, name: str = "0") -> None:
    for kind in ("input", "target"):
        (here / "data" / "fog" / split / kind / f"{name}.png").unlink()


def test_the_papers_data_and_its_whole_training_are_comparable(here: Path) -> None:
    learnt = run("learnt")
    assert (learnt["comparable"], learnt["not_comparable"], learnt["trained_as_printed"]) == (True, [], True)
    assert learnt["complete"] == {"fog": True, "extra": True}
    assert run("prior")["comparable"]
    tested = run("tested")  # the weights of another row
    assert (tested["comparable"], tested["trained_as_printed"]) == (True, False)
    own = run("learnt", command="test")
    assert own["comparable"]
    tiled = run("learnt", "inference=tiled", command="test")
    assert tiled["not_comparable"] == ["it is not the row as it is, at budget paper"]


def test_a_training_set_with_one_image_missing_is_not_the_papers_and_no_row_that_tests_it_is(here: Path) -> None:
    lose(here, "train")
    learnt = run("learnt")
    assert learnt["not_comparable"] == ["of the training, fog has 5 of 6 images"]
    assert (learnt["complete"], learnt["trained_as_printed"]) == ({"fog": True, "extra": True}, False)
    tested = run("tested")
    assert tested["not_comparable"] == [
        "the tested weights are not those of the row's whole training",
        "the weights of mine/table1/learnt are not those of its whole training",
    ]
    assert run("prior")["comparable"], "what learns nothing needs no training set"


def test_a_training_that_began_on_fewer_images_does_not_go_on_with_all(here: Path) -> None:
    lose(here, "train")
    run("learnt")
    (here / "runs/mine/table1/learnt/paper/seed-0/metrics.json").unlink()  # as if it had been interrupted
    for kind in ("input", "target"):
        shutil.copy(*(here / "data/fog/train" / kind / f"{name}.png" for name in (1, 0)))
    with pytest.raises(
        UserError, match="began with 4 training images, and now there are 5; restore the set, or add rer"
    ):
        run("learnt")
    assert run("learnt", "rerun=true")["comparable"]


def test_a_row_needs_the_sets_that_its_own_table_prints(here: Path) -> None:
    lose(here, "extra")
    learnt = run("learnt")
    assert (learnt["comparable"], learnt["complete"]) == (True, {"fog": True, "extra": False})
    assert learnt["comparable_sets"] == ["fog"]
    shown = {row.row.name: row for row in table_rows([find_row("mine/table1/learnt")], here / "runs", lambda row: None)}
    lines = {line.set: line.comparable for line in shown["learnt"].lines if line.source == "measured"}
    assert lines == {"fog": True, "extra": False}
    [again] = measured_rows([find_row("mine/table1/again")], here / "runs")
    assert [record.comparable for record in again.runs] == [False], (
        "the same run, of which this row prints the other set"
    )
    unprinted = run("unprinted")
    assert unprinted["not_comparable"] == ["fog has 1 of 2 images"]
    assert unprinted["trained_as_printed"], "where it is tested says nothing about how it was trained"


def test_a_set_that_is_absent_matters_where_it_is_printed(here: Path) -> None:
    shutil.rmtree(here / "data" / "fog" / "extra")
    prior = run("prior")
    assert (prior["comparable"], len(prior["absent"]), prior["complete"]) == (True, 1, {"fog": True})
    lose(here, "test")
    assert run("prior", "rerun=true")["not_comparable"] == ["fog has 1 of 2 images"]


def test_a_set_that_comes_later_is_tested_without_another_training(here: Path) -> None:
    """A finished run once said of a set that lay there that it was not there."""
    extra = here / "data" / "fog" / "extra"
    extra.rename(here / "apart")
    before = run("learnt")
    assert (list(before["metrics"]), len(before["absent"])) == (["fog"], 1)
    curves = here / "runs/mine/table1/learnt/paper/seed-0/curves.csv"
    trained = curves.read_text()
    (here / "apart").rename(extra)
    after = run("learnt")
    assert (sorted(after["metrics"]), after["absent"], after["comparable_sets"]) == (
        ["extra", "fog"],
        [],
        ["fog", "extra"],
    )
    assert after["provenance"]["weights"] == before["provenance"]["weights"]
    assert (after["metrics"]["fog"], after["trained_as_printed"]) == (before["metrics"]["fog"], True)
    assert curves.read_text() == trained
    assert perform(resolve(["+mine/table1=learnt", *QUICK])).skipped


def test_what_is_typed_beside_the_row_is_another_run(here: Path) -> None:
    assert resolve(["+mine/table1=learnt", *QUICK]).comparable
    for word in (
        "budget=smoke",
        "data.test_images=1",
        "+trainer.limit_test_batches=1",
        "data.test.fog.splits.test.expected=1",
        "data.train.splits.train.expected=5",
        "training.paper.steps=3",
        "optimizer.lr=0.1",
        "data.monitor_on_test=true",
    ):
        assert not resolve(["+mine/table1=learnt", *QUICK, word]).comparable, word


def test_a_checkpoint_counts_only_where_the_run_that_left_it_is_finished(here: Path) -> None:
    run("learnt")
    left = resolve(["+mine/table1=learnt", *QUICK]).directory
    elsewhere = here / "copy.ckpt"
    shutil.copy(left / "checkpoints" / "best.ckpt", elsewhere)
    assert run("learnt", f"ckpt={elsewhere}", command="test")["comparable"]
    (left / "metrics.json").unlink()  # as if the training had been interrupted
    for words in ([], [f"ckpt={elsewhere}"]):
        spec = resolve(["+mine/table1=learnt", *QUICK, *words], "test")
        assert spec.tested is not None
        assert not spec.tested.as_printed


@pytest.mark.parametrize(
    "card",
    [CARD.replace(", expected: 6", "").replace(", expected: 2", ""), CARD.replace("expected: 2", "expected: null")],
)
def test_an_unknown_number_of_images_is_never_all_of_them(here: Path, card: str) -> None:
    (here / "conf" / "dataset" / "fog.yaml").write_text(card)
    assert run("prior")["not_comparable"] == ["nobody says how many images fog has"]


def test_a_set_that_limpid_made_in_a_publishers_layout_is_not_the_publishers(here: Path) -> None:
    (here / "data" / "fog" / "manifest-test.jsonl").write_text("{}")
    assert run("prior")["not_comparable"] == ["fog was made by limpid data make"]


@pytest.mark.parametrize(
    ("name", "trained"),
    [("did_hy", True), ("sand", True), ("photographs_sand", True), ("scenes", True), ("scenes_mixture", True),
     ("scenes_unpaired", True), ("haze_levels", False)],
)  # fmt: skip
def test_made_sets_are_never_the_papers(name: str, trained: bool) -> None:
    data = limpid.data.Recipe(name)
    made = [*data.test.values(), *([data.train] if trained else [])]
    assert all(why_not_whole(images) for images in made)


def test_the_patches_of_rl_restore_are_3584_of_each_level() -> None:
    expected = {name: card["splits"][name]["expected"] for name, card in recipe("hybrid_patches")["test"].items()}
    assert expected == {"mild": 3584, "moderate": 3584, "severe": 3584}
    assert config("fdr/table1/ours")["data"]["test"]["mild"]["split"] == "mild"
