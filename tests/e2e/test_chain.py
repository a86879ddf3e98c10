"""Rows that start from other rows' weights: a chain of three from nothing with one command, and again after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.conftest import Limpid, environment

from limpid import checkpoint
from limpid.config.references import references

SETTINGS = ("data=scenes", "budget=smoke", "trainer=cpu", "data.workers=0", "allow_targets=[toy]")

TOY = '''
from pathlib import Path
from limpid import checkpoint
from limpid.models import Restorer

class Continued(Restorer):
    """Starts from the weights of another run."""

    def __init__(self, start, **settings):
        super().__init__(**settings)
        if start is not None:
            checkpoint.load(self.network, checkpoint.weights(checkpoint.read(Path(start))), Path(start))
'''


def row(model: str, start: str | None) -> dict[str, Any]:
    content: dict[str, Any] = {"defaults": [{"override /model": model}]}
    if start is not None:
        content["model"] = {"start": start}
    return content


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A folder with a system, two models and three rows of its own: first -> second -> third."""
    (tmp_path / "toy.py").write_text(TOY)
    model = {"defaults": ["restorer@model", {"override /network": "aod_net"}]}
    target = {"model": {"_target_": "toy.Continued", "start": None}}
    for name, content in (("toy_first", model), ("toy_next", {**model, **target})):
        file = tmp_path / "conf" / "model" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("# @package _global_\n" + yaml.safe_dump(content, sort_keys=False))
    folder = tmp_path / "experiments" / "toy" / "chain"
    folder.mkdir(parents=True)
    for name, model_name, start in (
        ("first", "toy_first", None),
        ("second", "toy_next", "row:toy/chain/first"),
        ("third", "toy_next", "row:toy/chain/second"),
    ):
        (folder / f"{name}.yaml").write_text(
            "# @package _global_\n" + yaml.safe_dump(row(model_name, start), sort_keys=False)
        )
    return tmp_path


def runs_of(folder: Path) -> dict[str, Path]:
    return {file.parents[2].name: file.parent for file in folder.glob("runs/toy/chain/*/*/*/metrics.json")}


def final(run: Path) -> dict[str, torch.Tensor]:
    return checkpoint.weights(checkpoint.read(run / "checkpoints" / "last.ckpt"))


def test_a_missing_prerequisite_is_named_with_its_command(toy: Path, limpid: Limpid) -> None:
    done = limpid("train", "+toy/chain=third", *SETTINGS, "prerequisites=ask", expect=2, PYTHONPATH=str(toy))
    assert "Row toy/chain/third starts from the weights of row toy/chain/second, which are not there" in done.stderr
    assert "`limpid train +toy/chain=second data=scenes budget=smoke trainer=cpu data.workers=0" in done.stderr
    assert "prerequisites=run" in done.stderr
    assert not list(toy.glob("runs/toy/*"))


def test_a_row_may_start_without_its_prerequisites(toy: Path, limpid: Limpid) -> None:
    limpid("train", "+toy/chain=third", *SETTINGS, "prerequisites=none", PYTHONPATH=str(toy))
    assert set(runs_of(toy)) == {"third"}
    done = limpid("train", "+toy/chain=third", *SETTINGS, "prerequisites=rnu", expect=2, PYTHONPATH=str(toy))
    assert "prerequisites is 'rnu', but it must be ask or run or none" in done.stderr


def test_a_teacher_that_is_no_network_refers_to_no_weights() -> None:
    teacher = {"network": "dsc_mc_fsrcnn", "ckpt": "row:rfd/table4/dsc_mc_fsrcnn"}
    assert references({"model": {"teacher": teacher}}) == {"model.teacher.ckpt": "row:rfd/table4/dsc_mc_fsrcnn"}
    assert references({"model": {"teacher": {**teacher, "network": None}}}) == {}


def test_a_reference_to_no_row_is_one_sentence(toy: Path, limpid: Limpid) -> None:
    more = [*SETTINGS, "prerequisites=ask"]
    done = limpid("train", "model=toy_next", "model.start=row:toy/first", *more, expect=2, PYTHONPATH=str(toy))
    assert "The reference 'row:toy/first' names no row; write row:PAPER/TABLE/ROW" in done.stderr
    done = limpid("train", "model=toy_next", "model.start=row:toy/chain/frst", *more, expect=2, PYTHONPATH=str(toy))
    assert "There is no toy/chain=frst; did you mean 'first'?" in done.stderr


def test_a_model_refers_to_a_row_without_being_one(toy: Path, limpid: Limpid) -> None:
    done = limpid(
        "train",
        "model=toy_next",
        "model.start=row:toy/chain/first",
        *SETTINGS,
        "prerequisites=ask",
        expect=2,
        PYTHONPATH=str(toy),
    )
    assert "The model toy_next starts from the weights of row toy/chain/first, which are not there" in done.stderr


def test_a_chain_runs_from_nothing_with_one_command_and_tells_where_it_came_from(toy: Path, limpid: Limpid) -> None:
    command = ["train", "+toy/chain=third", *SETTINGS, "prerequisites=run"]
    limpid(*command, PYTHONPATH=str(toy))
    made = runs_of(toy)
    assert set(made) == {"first", "second", "third"}
    (origin,) = json.loads((made["third"] / "metrics.json").read_text())["provenance"]["started_from"]
    assert (origin["row"], origin["budget"], origin["seed"]) == ("toy/chain/second", "smoke", 0)
    assert origin["weights"] == checkpoint.weights_fingerprint(final(made["second"]))
    before = {name: (run / "status.json").stat().st_mtime_ns for name, run in made.items()}
    limpid("train", "+toy/chain=second", *SETTINGS, "prerequisites=ask", PYTHONPATH=str(toy))
    assert before == {name: (run / "status.json").stat().st_mtime_ns for name, run in made.items()}, "nothing twice"


def test_jobs_that_share_a_prerequisite_make_it_once(toy: Path, limpid: Limpid) -> None:
    """Two commands at the same time, both in need of the first row: one makes it, the other waits."""
    environ = {**environment(toy), "PYTHONPATH": str(toy)}
    command = [sys.executable, "-c", "from limpid.cli import main; main()", "train", "+toy/chain=second", *SETTINGS]
    both = [
        subprocess.Popen([*command, "prerequisites=run", f"network.bias={bias}"], cwd=toy, env=environ)
        for bias in (1.0, 2.0)
    ]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    made = [json.loads(file.read_text()) for file in toy.glob("runs/toy/chain/second/*/*/metrics.json")]
    first, second = (results["provenance"]["started_from"][0]["weights"] for results in made)
    assert first == second
    assert len(list(toy.glob("runs/toy/chain/first/*/*/metrics.json"))) == 1


@pytest.mark.slow
def test_a_chain_killed_in_its_second_stage_goes_on(toy: Path, limpid: Limpid) -> None:
    longer = [*SETTINGS, "trainer.max_steps=40", "prerequisites=run"]
    environ = {**environment(toy), "PYTHONPATH": str(toy)}
    command = [sys.executable, "-c", "from limpid.cli import main; main()", "train", "+toy/chain=third", *longer]
    process = subprocess.Popen(command, cwd=toy, env=environ, start_new_session=True)
    while not list(toy.glob("runs/toy/chain/second/*/*/curves.csv")):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert "third" not in runs_of(toy)
    limpid("train", "+toy/chain=third", *longer, PYTHONPATH=str(toy))
    interrupted = {name: final(run) for name, run in runs_of(toy).items()}
    limpid("train", "+toy/chain=third", *longer, PYTHONPATH=str(toy), LIMPID_RUNS=str(toy / "again"))
    for name, weights in interrupted.items():
        (run,) = (file.parent for file in toy.glob(f"again/toy/chain/{name}/*/*/metrics.json"))
        for key, value in final(run).items():
            torch.testing.assert_close(weights[key], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("row", "data", "need", "its_data"),
    [
        ("table5=kt_bda", "scenes_unpaired", "table4=bkt_icl_fcl", "scenes_mixture"),
        ("table4=bkt", "scenes_mixture", "teachers=haze", "scenes"),
    ],
)
def test_a_prerequisite_is_trained_on_what_stands_in_for_its_own_data(
    row: str, data: str, need: str, its_data: str, limpid: Limpid
) -> None:
    """A teacher that was trained on the student's mixture would have seen every type of degradation."""
    refused = limpid(
        "train",
        f"+uni_removal/{row}",
        f"data={data}",
        "data.test_images=1",
        "budget=mini",
        "prerequisites=ask",
        expect=2,
    )
    command = f"`limpid train +uni_removal/{need} data={its_data} data.test_images=1 budget=mini`"
    assert command in refused.stderr
