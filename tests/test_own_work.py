"""A user's own work in the current directory: what is found there, and what is said when it is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from limpid.commands import score
from limpid.config import instantiate
from limpid.errors import UserError
from limpid.results import table
from limpid.results.rows import find_row, rows

ROW = "# @package _global_\ndefaults:\n  - override /model: aod_net\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(Path.cwd()))])
    return tmp_path


def row_file(folder: Path, text: str, name: str = "r") -> Path:
    file = folder / "experiments" / "p" / "t" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def paper_file(folder: Path, text: str) -> None:
    (folder / "experiments" / "p").mkdir(parents=True, exist_ok=True)
    (folder / "experiments" / "p" / "paper.yaml").write_text(text)


def test_a_package_here_is_imported_only_if_it_is_allowed(here: Path) -> None:
    (here / "lies_here.py").write_text("class Thing:\n    def __init__(self, size=1):\n        self.size = size\n")
    card = {"_target_": "lies_here.Thing", "size": 3}
    with pytest.raises(UserError, match=r"add allow_targets=\[lies_here\]"):
        instantiate.construct(card, "thing")
    assert str(here) not in sys.path
    assert instantiate.construct(card, "thing", ["lies_here"]).size == 3
    assert sys.path[-1] == str(here), "behind all that is installed"


def test_a_row_file_alone_is_a_row(here: Path) -> None:
    row_file(here, ROW)
    [row] = rows("p")
    assert (row.id, row.label, row.kind, row.order) == ("p/t/r", "r", "ablation", None)
    assert (row.mode, row.model, row.data) == ("train", "aod_net", None)
    assert (row.alias_of, row.not_built, row.printed) == (None, None, {})


def test_a_row_file_says_what_it_does(here: Path) -> None:
    row_file(here, "defaults:\n  - override /data: scenes\nmode: test\n")
    [row] = rows("p/t/r")
    assert (row.mode, row.model, row.data) == ("test", None, "scenes")


def test_rows_that_a_paper_prints_come_first_and_in_its_order(here: Path) -> None:
    for name in ("a", "b", "c"):
        row_file(here, ROW, name)
    paper_file(here, "tables: {t: {rows: {c: {label: C, kind: ours}, b: {label: B, kind: baseline}}}}")
    assert [(row.name, row.label, row.order) for row in rows("p")] == [("c", "C", 1), ("b", "B", 2), ("a", "a", None)]


def test_rows_of_ones_own_stand_beside_those_of_limpid(here: Path) -> None:
    folder = here / "experiments" / "rfd"
    (folder / "table5").mkdir(parents=True)
    (folder / "table5" / "mine.yaml").write_text(ROW)
    (folder / "paper.yaml").write_text("tables: {table5: {rows: {student: {label: Mine too, kind: ours}}}}")
    table = rows("rfd/table5")
    assert [row.label for row in table if row.name in ("student", "mine")] == ["Mine too", "mine"]
    assert len(table) == 19
    assert find_row("rfd/table5/ours").printed["sots_indoor"]["psnr"] == 32.1412


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tables: {t: {rows: {r: {label: R, kind: ours, lable: R}}}}", "sets 'lable', which is not known there; did you mean 'label'?"),
        ("tables: {t: {rows: {r: {kind: ours}}}}", "lacks 'label'; add it."),
        ("tables: {t: {rows: {r: {label: R, kind: own}}}}", "has the kind 'own', but a kind is one of ours, ablation, baseline, input."),
        ("tables: {t: {rows: {r: {label: R, kind: ours, printed: {s: 3}}}}}", "has values that are not numbers"),
        ("tables: {t: {rows: {r: {label: R, kind: ours, alias_of: ../../x}}}}", "but that must be PAPER/TABLE/ROW."),
        ("tables: {t: {rows: [r]}}", "must have rows"),
        ("tables: {t: {rows: {s: {label: S, kind: ours}}}}", "The row p/t/s is printed in experiments/p/paper.yaml, but there is no file experiments/p/t/s.yaml; write it, or take the row out."),
        ("tabels: {}", "sets 'tabels', which is not known there; did you mean 'tables'?"),
        ("tables: {t: [", "cannot be read as YAML"),
        ("- t", "must hold keys with values, but it holds list."),
    ],
)  # fmt: skip
def test_a_wrong_paper_file_is_one_sentence(here: Path, text: str, sentence: str) -> None:
    row_file(here, ROW)
    paper_file(here, text)
    with pytest.raises(UserError) as error:
        rows("p")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_one_wrong_paper_file_leaves_the_rows_of_others_alone(here: Path) -> None:
    row_file(here, ROW)
    paper_file(here, "tabels: {}")
    assert find_row("rfd/table5/ours").label == "Ours"
    with pytest.raises(UserError, match="sets 'tabels'"):
        find_row("p/t/r")
    with pytest.raises(
        UserError, match="There is no row 'rfd/table5/our' in experiments/; did you mean 'rfd/table5/ours'"
    ):
        find_row("rfd/table5/our")


def test_a_row_that_never_ran_is_in_its_table(here: Path) -> None:
    row_file(here, ROW)
    [shown] = table.table_rows(rows("p"), here / "runs", lambda row: None)
    assert shown.lines == ()
    assert "| r | no run yet |" in table.markdown([shown])


def test_folders_are_scored_by_a_metric_from_here(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    (here / "scored_here.py").write_text(
        "class Mean:\n    needs_reference = False\n    def __init__(self, id):\n        self.id = id\n"
        "    def __call__(self, restored, reference=None):\n        return restored.mean((1, 2, 3))\n"
    )
    (here / "conf" / "metrics").mkdir(parents=True)
    (here / "conf" / "metrics" / "own.yaml").write_text("mean:\n  _target_: scored_here.Mean\n  id: mean_own\n")
    (here / "images").mkdir()
    Image.new("RGB", (20, 10), (51, 51, 51)).save(here / "images" / "a.png")
    asked = ["images=images", "metrics=[mean_own]", "format=csv"]
    with pytest.raises(UserError, match=r"allow_targets=\[scored_here\]"):
        score.run(asked)
    assert score.run([*asked, "allow_targets=[scored_here]"]) == 0
    name, value = capsys.readouterr().out.splitlines()[1].split(",")
    assert (name, float(value)) == ("a.png", pytest.approx(0.2))
