"""What is one's own in a run, its sets and its classes, tells it from other runs; where published sets lie does not."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.specs import words

from limpid.cli import quoted, status
from limpid.errors import CannotRun
from limpid.results.run_record import read_record
from limpid.runs.resolve import resolve
from limpid.runs.runner import perform
from limpid.runs.spec import RunSpec, read_spec
from limpid.store.run_directory import Run

FOLDER = ("data=folder", "data.workers=0", "trainer=cpu")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with pairs in `a`, and brighter ones of the same names and sizes in `b`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", ["limpid"])
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "runs"))
    for root, value in (("a", 90), ("b", 180)):
        for split in ("train", "test"):
            for number in range(2):
                for folder in ("input", "target"):
                    file = tmp_path / root / split / folder / f"{number}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(np.full((48, 48, 3), value + number, np.uint8)).save(file)
    return tmp_path


def a_test(*more: str) -> RunSpec:
    return resolve(["model=gamma", *FOLDER, *more], "test")


def a_training(*more: str) -> RunSpec:
    return resolve(["model=aod_net", "budget=smoke", *FOLDER, *more])


@pytest.mark.parametrize("asked", [a_test, a_training])
def test_other_images_are_another_run_and_a_moved_folder_is_the_same(here: Path, asked: type[RunSpec]) -> None:
    a, b = asked("data.root=a"), asked("data.root=b")
    assert a.directory != b.directory
    assert ("data.root=a" in a.changes, "data.root=b" in b.changes) == (True, True)
    (here / "elsewhere").mkdir()
    shutil.move("a", "elsewhere/a")
    assert asked(f"data.root='{here}/elsewhere/a'").directory == a.directory
    shutil.copy("b/test/input/0.png", "elsewhere/a/test/input/0.png")
    assert asked("data.root=elsewhere/a").directory != a.directory


def test_a_run_that_is_done_is_no_answer_for_other_images_or_none(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = ("test", "model=gamma", *FOLDER)
    assert status([*test, "data.root=a"]) == 0
    assert status([*test, "data.root=b"]) == 0
    assert "already done" not in capsys.readouterr().out
    assert status([*test, "data.root=a"]) == 0
    assert "already done" in capsys.readouterr().out
    assert status([*test, "data.root=nowhere"]) == 2
    assert (
        "The set folder is not there (the data root nowhere does not exist); looked in nowhere/test."
        in capsys.readouterr().err
    )
    records = [read_record(Run(file.parent)) for file in sorted(here.rglob("metrics.json"))]
    assert {word for record in records for word in record.overrides if "root" in word} == {"data.root=a", "data.root=b"}
    assert len({record.scores[0].value for record in records}) == 2


def test_a_done_run_whose_own_set_is_gone_is_refused_but_not_a_published_one(here: Path) -> None:
    spec = a_test("data.root=a")
    perform(spec)
    assert perform(spec).skipped
    shutil.rmtree("a")
    with pytest.raises(CannotRun, match="The set folder is not there"):
        perform(spec)
    published = resolve(["model=gamma", "data=sots_indoor", "data.root=nowhere"], "test")
    Run(published.directory).begin(published.stored(), {})
    Run(published.directory).finish({"metrics": {}}, [])
    assert perform(published).skipped


def test_what_is_ones_own_is_kept_with_the_run(here: Path) -> None:
    spec = a_test("data.root=a")
    Run(spec.directory).begin(spec.stored(), {})
    assert list(spec.own) == ["data.test.folder"]
    assert read_spec(spec.directory).own == spec.own
    assert read_spec(spec.directory).fingerprint == spec.fingerprint


def test_a_row_on_published_or_made_data_is_the_same_wherever_data_lie(here: Path) -> None:
    for more in ([], ["data=scenes"]):
        usual = resolve(words("rfd/table5/student", *more))
        assert usual.own == {}
        assert resolve(words("rfd/table5/student", "data.root=b", *more)).directory == usual.directory
        assert resolve(words("rfd/table5/student", "data.root=b", *more)).changes == usual.changes


def test_what_limits_the_images_is_part_of_the_run_and_of_its_line(here: Path) -> None:
    plain = a_test("data.root=a")
    for word in ("data.test_images=1", "+trainer.limit_test_batches=1", "+trainer.limit_val_batches=1"):
        limited = a_test("data.root=a", word)
        assert limited.directory != plain.directory
        assert word in limited.changes


CARD = """
_target_: {target}
name: fog
domain: haze
root: ${{data.root}}
roots: [test]
input: input
target: target
pair: '(?P<target>.+)'
expected: 2
url: https://example.org/fog
"""


@pytest.mark.parametrize("target", ["limpid.data.datasets.PairedByName", "own_fog.Fog"])
def test_a_card_of_ones_own_is_no_publishers_though_it_has_a_count(here: Path, target: str) -> None:
    for group in ("data", "dataset"):
        (here / "conf" / group).mkdir(parents=True)
    (here / "own_fog.py").write_text(
        "from limpid.data.datasets import PairedByName\n\nclass Fog(PairedByName):\n    pass\n"
    )
    (here / "conf" / "dataset" / "fog.yaml").write_text(CARD.format(target=target))
    (here / "conf" / "data" / "fog.yaml").write_text("defaults: [recipe, /dataset@test.fog: fog, _self_]\n")
    asked = ("model=gamma", "data=fog", "allow_targets=[own_fog]")
    a, b = (resolve([*asked, f"data.root={root}"], "test") for root in ("a", "b"))
    assert a.directory != b.directory
    assert "data.test.fog" in a.own
    assert ("own_fog" in a.own) == (target == "own_fog.Fog")


CODE = "from torch import nn\n\nclass Own(nn.Module):\n    def forward(self, x):\n        return x * {factor}\n"


def own_network(factor: str) -> Sequence[str]:
    Path("conf/network").mkdir(parents=True, exist_ok=True)
    Path("conf/network/own_changing.yaml").write_text("_target_: own_changing.Own\n")
    Path("own_changing.py").write_text(CODE.format(factor=factor))
    return ("model=own_changing", "allow_targets=[own_changing]", "data=scenes", "budget=smoke")


def test_changed_code_of_ones_own_is_another_run(here: Path) -> None:
    first = resolve(own_network("0.5"), "test")
    assert list(first.own) == ["own_changing"]
    assert resolve(own_network("0.5"), "test").directory == first.directory
    assert resolve(own_network("0.7"), "test").directory != first.directory


def test_in_a_sweep_commas_separate_roots() -> None:
    assert quoted("data.root=a,b c", sweep=True) == "data.root='a','b c'"
    assert quoted("data.root=a,b") == "data.root='a,b'"
    assert quoted("data.root='a,b'", sweep=True) == "data.root='a,b'"
    assert quoted("data.root=choice(a,b)", sweep=True) == "data.root=choice(a,b)"
