"""A run whose files are damaged is named and left out; the others are shown, and nothing else is said."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.results.made_store import HIGHER, make_paper, make_run, make_store

import limpid
from limpid.cli import status
from limpid.errors import Damaged, ResultWarning, UserError
from limpid.loggers.csv_logger import StepCSVLogger
from limpid.results import report, table
from limpid.results.rows import rows
from limpid.store.atomic_io import json_text, write_json
from limpid.store.run_directory import Run, find
from limpid.zoo import create

_DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[: len(file.read_bytes()) // 2] + b'{"'),
    "binary": lambda file: file.write_bytes(bytes(range(256)) * 9),
    "text": lambda file: file.write_text("<html>Quota exceeded"),
    "a number": lambda file: file.write_text("5"),
    "a list": lambda file: file.write_text("[1, {}]"),
    "deep": lambda file: file.write_text("[" * 1200),
    "zeros": lambda file: file.write_bytes(bytes(4096)),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "a pipe": lambda file: (file.unlink(), os.mkfifo(file)),
    "a link to nowhere": lambda file: (file.unlink(), file.symlink_to("gone")),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a made paper and a store of six runs."""
    folder = tmp_path_factory.mktemp("home")
    make_paper(folder)
    make_store(folder)
    return folder


def damaged_copy(home: Path, folder: Path, name: str, damage: str) -> Path:
    """A copy of the store in which one file of one run is damaged; that run."""
    shutil.copytree(home, folder, dirs_exist_ok=True)
    run = folder / "runs" / "mine" / "table1" / "ours" / "mini" / "seed-1"
    (run / "curves.csv").write_text("step,name,value\n1,train/loss,0.5\n")
    _DAMAGE[damage](run / name)
    return run


@pytest.mark.parametrize("damage", _DAMAGE)
@pytest.mark.parametrize("name", ["status.json", "metrics.json", "config.yaml"])
def test_one_damaged_run_is_named_and_the_others_are_shown(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: str
) -> None:
    run = damaged_copy(home, tmp_path, name, damage)
    monkeypatch.chdir(tmp_path)
    with pytest.warns(ResultWarning) as warned:
        frame = limpid.results("mine/table1/ours", "runs")
    said = str(warned[0].message)
    assert said.startswith(f"The run {run.relative_to(tmp_path)} is left out: its {name} ")
    assert said.endswith("; restore the file, or do the run over.")
    assert len(warned) == 1
    seeds = frame[(frame["source"] == "measured") & frame["value"].notna()]["seed"]
    assert sorted(seeds) == [0, 2]
    with pytest.raises(Damaged, match=r"restore it, or add rerun=true to do the run over\."):
        _read_all(Run(run))


def _read_all(run: Run) -> None:
    run.status()
    run.config()
    run.results()


@pytest.mark.parametrize(
    ("name", "damage"),
    [("per_image.csv", "binary"), ("curves.csv", "a folder"), ("curves.csv", "text"), ("environment.json", "a number")],
)
def test_the_report_shows_the_rest_of_a_run(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: str
) -> None:
    damaged_copy(home, tmp_path, name, damage)
    monkeypatch.chdir(tmp_path)
    shown = table.table_rows(rows("mine"), Path("runs"), lambda row: row.not_built)
    with pytest.warns(ResultWarning, match=rf"Something of the run .*seed-1 is left out: its {name} ") as warned:
        report.write(report.gather(shown, Path("runs"), HIGHER, others=True), tmp_path / "report")
    assert len({str(one.message) for one in warned}) == 1
    assert len(list((tmp_path / "report").glob("run-*.html"))) == 6


def test_the_table_tells_of_it_once_and_last(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged_copy(home, tmp_path, "metrics.json", "cut")
    monkeypatch.chdir(tmp_path)
    assert status(["table", "mine/table1", "--format", "md"]) == 0
    shown, told = capsys.readouterr()
    assert "| Ours |" in shown
    assert told.count("seed-1 is left out: its metrics.json is cut short or damaged;") == 1


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("status.json", {"status": 5}, "status is '5'"),
        ("status.json", {"status": "done", "step": "7"}, "step is '7'"),
        ("metrics.json", {"metrics": {"made": {"psnr": 7}}}, "psnr is not values by name"),
        ("metrics.json", {"metrics": {"made": {"psnr": {"mean": "x", "n": 1, "protocol": "p"}}}}, "mean is 'x'"),
        ("metrics.json", {"metrics": {"made": {"psnr": {"mean": 1.0, "protocol": "p"}}}}, "n is missing"),
        ("metrics.json", {"provenance": {"trained": {"seed": "0"}}}, "seed is '0'"),
        ("metrics.json", {"comparable": 1}, "comparable is '1'"),
        ("config.yaml", {"run": [1]}, "run is not values by name"),
        ("config.yaml", {"run": {"choices": {"model": ["a"]}}}, "model is \"['a']\""),
        ("config.yaml", {"metrics": {"psnr": 7}}, "psnr is not values by name"),
        ("config.yaml", {"data": {"test": "made"}}, "test is not values by name"),
    ],
)
def test_other_types_inside_are_named(tmp_path: Path, name: str, content: object, reason: str) -> None:
    run = make_run(tmp_path / "runs" / "seed-0", [20.0, 21.0])
    write_json(run.path / name, content)
    with pytest.raises(Damaged) as raised:
        _read_all(run)
    assert str(raised.value) == (
        f"The file {run.path / name} is damaged ({reason}); restore it, or add rerun=true to do the run over."
    )


def test_a_store_that_cannot_be_reached_is_not_to_be_done_over(tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to("runs")
    run = Run(tmp_path / "runs" / "seed-0")
    with pytest.raises(Damaged) as raised:
        _read_all(run)
    said = str(raised.value)
    assert said.startswith(f"The file {run.path}/")
    assert said.endswith(
        "cannot be reached (Too many levels of symbolic links); mend the links or the permissions of the folders that it "
        "lies in, or give another."
    )


def test_weights_of_a_damaged_run_are_not_taken_into_the_zoo(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "seed-0", [20.0])
    (run.path / "metrics.json").write_text("{")
    with pytest.raises(UserError, match=r"metrics.json is cut short or damaged"):
        create.add("mine", run.path, tmp_path / "zoo")


def test_a_mean_that_is_no_number_is_null_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_paper(tmp_path)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "runs" / "mine" / "table1" / "ours" / "mini" / "seed-0"
    run = make_run(path, [float("inf")], row="mine/table1/ours")

    def refuse(word: str) -> None:
        raise AssertionError(word)

    stored = json.loads((path / "metrics.json").read_text(), parse_constant=refuse)
    assert stored["metrics"]["made"]["psnr"]["mean"] is None
    assert run.done
    values = limpid.results("mine/table1/ours", "runs").query("source == 'measured'")["value"]
    assert values.isna().all()
    assert json_text({"a": [float("nan"), (1.5, float("-inf"))]}) == '{"a": [null, [1.5, null]]}'


def test_a_run_that_moved_to_another_store_is_shown(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    moved = Path("mine", "table1", "ours", "mini", "seed-2")
    (tmp_path / "other" / moved).parent.mkdir(parents=True)
    shutil.move(tmp_path / "runs" / moved, tmp_path / "other" / moved)
    monkeypatch.chdir(tmp_path)
    frame = limpid.results("mine/table1/ours", "other")
    assert list(frame[frame["source"] == "measured"]["seed"]) == [2]


def test_what_a_logger_keeps_in_a_run_is_no_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "free" / "seed-0", [20.0])
    inner = run.path / "wandb" / "files"
    inner.mkdir(parents=True)
    (inner / "config.yaml").write_text("budget: {value: mini}\n")
    assert [one.path for one in find(tmp_path)] == [run.path]


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_run_whose_folder_is_gone_writes_nothing_more(how: str, tmp_path: Path) -> None:
    run = Run(tmp_path / "seed-0")
    with run.locked():
        run.begin({"run": {"fingerprint": "a"}}, {})
        shutil.rmtree(run.path)
        if how == "replaced":
            run.path.mkdir()
        for write in (lambda: run.progress(1, 2), lambda: run.finish({"metrics": {}}, [])):
            with pytest.raises(UserError, match=rf"The run's folder {run.path} was removed or replaced while"):
                write()
        run.withdraw("it is gone")
        run.fail("it is gone")
    assert run.path.exists() == (how == "replaced")
    assert how == "removed" or not list(run.path.iterdir())


def test_curves_that_are_gone_or_no_curves_are_not_written_to(tmp_path: Path) -> None:
    file = tmp_path / "curves.csv"
    for how in ("removed", "replaced"):
        logger = StepCSVLogger(file)
        logger.log_metrics({"loss": 1.0}, 1)
        logger.synchronize()
        file.rename(tmp_path / f"old-{how}")
        if how == "replaced":
            file.write_text("step,name,value\n")
        with pytest.raises(UserError, match=rf"The file {file} was removed or replaced while the run went on"):
            logger.log_metrics({"loss": 1.0}, 2)
    for content in (
        b"5",
        b"\0" * 99,
        b"a,b\n1,2\n",
        b"step,name,value\nx,loss,1\n",
        b"step,name,value\n\xff\xfe,a,1\n",
    ):
        file.write_bytes(content)
        with pytest.raises(Damaged, match=rf"The file {file} is damaged"):
            StepCSVLogger(file).log_metrics({"loss": 1.0}, 3)
        assert file.read_bytes() == content


def test_a_run_that_cannot_be_begun_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write does, which names no file

    monkeypatch.setattr(Path, "write_text", full)
    run = Run(tmp_path / "store" / "seed-0")
    with pytest.raises(OSError, match=r"No space left.*config\.yaml"), run.locked():
        run.begin({"run": {"fingerprint": "a"}}, {})
    assert not list(tmp_path.iterdir())
