"""A user's own work in the current directory: what is found there, and what is said when it is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from limpid.commands import score
from limpid.config import instantiate
from limpid.errors import UserError
from limpid.results import table
from limpid.results.rows import read_row

ROW = "row: {paper: p, table: t, name: r, label: R, kind: ours, does: train, model: aod_net}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(Path.cwd()))])
    return tmp_path


def row_file(folder: Path, text: str) -> Path:
    file = folder / "experiments" / "p" / "t" / "r.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_package_here_is_imported_only_if_it_is_allowed(here: Path) -> None:
    (here / "lies_here.py").write_text("class Thing:\n    def __init__(self, size=1):\n        self.size = size\n")
    card = {"_target_": "lies_here.Thing", "size": 3}
    with pytest.raises(UserError, match=r"add allow_targets=\[lies_here\]"):
        instantiate.construct(card, "thing")
    assert str(here) not in sys.path
    assert instantiate.construct(card, "thing", ["lies_here"]).size == 3
    assert sys.path[-1] == str(here), "behind all that is installed"


def test_a_row_says_no_more_than_it_has_to(here: Path) -> None:
    row = read_row(row_file(here, ROW))
    assert (row.same_as, row.needs, row.not_built, row.expected) == (None, (), None, {})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (ROW.replace("model: aod_net", "modle: aod_net"), "sets 'modle', which no row has; did you mean 'model'?"),
        (ROW.replace(", label: R", ""), "lacks 'label'; add it."),
        (ROW.replace("name: r", "name: s"), "says p/t/s; make it agree with the file's own place."),
        ("defaults: []\n", "has no row block"),
    ],
)
def test_a_wrong_row_is_one_sentence(here: Path, text: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        read_row(row_file(here, text))
    assert sentence in str(error.value)


def test_a_row_that_never_ran_is_in_its_table(here: Path) -> None:
    entries = table.entries([read_row(row_file(here, ROW))], here / "runs", lambda row: None)
    assert table.lines(entries[0]) == [{"what": "no run yet", "set": "", "values": {}}]
    assert "| R | no run yet |" in table.markdown(entries)


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
