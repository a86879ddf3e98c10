"""How loggers are made, told and ended, and what they are told of an outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from limpid import loggers
from limpid.errors import CannotRun
from limpid.loggers.outcome import outcome
from limpid.store.atomic_io import write_text
from limpid.store.run_directory import Run

PAPER = "tables: {t: {rows: {r: {label: R, kind: ours, printed: {a: {psnr: 20.0, ssim: 0.5}, b: {psnr: 30.0}}}}}}"
RESULTS = {
    "metrics": {"a": {"psnr": {"mean": 21.5, "n": 2, "protocol": "psnr_rgb"}, "params_m": {"mean": 0.1, "n": 2, "protocol": "parameters"}}},
    "comparable": True,
}  # fmt: skip


def config(**more: Any) -> dict[str, Any]:
    card = {"_target_": "limpid.loggers.TensorBoard", "save_dir": None}
    return {"logger": {"tensorboard": card}, "allow_targets": [], "seed": 3, "run": {"row": None}, **more}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a logger is told, in order."""
    events: list[Any] = []

    def close(self: loggers.TensorBoard, status: str) -> str:
        events.append(("closed", status))
        return "the last line"

    monkeypatch.setattr(
        loggers.TensorBoard, "log_config", lambda self, config: events.append(("config", config["seed"], self.save_dir))
    )
    monkeypatch.setattr(
        loggers.TensorBoard, "log_outcome", lambda self, outcome, step: events.append(("outcome", step))
    )
    monkeypatch.setattr(loggers.TensorBoard, "close", close)
    return events


def test_an_outcome_puts_the_papers_values_beside_the_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "experiments/p/paper.yaml", PAPER)
    write_text(tmp_path / "experiments/p/t/r.yaml", "# @package _global_\n")
    rows = [{"set": "a", "name": "x", "psnr": 21.0}, {"set": "a", "name": "y", "psnr": 22.0, "niqe": 3.0}]
    found = outcome({"run": {"row": "p/t/r"}}, RESULTS, rows)
    assert found.values == {
        "test/a/psnr": 21.5, "test/a/params_m": 0.1, "paper/a/psnr": 20.0, "paper/a/ssim": 0.5, "paper/b/psnr": 30.0,
    }  # fmt: skip
    lines = [dict(zip(found.tables["results"].columns, row, strict=True)) for row in found.tables["results"].rows]
    assert [(line["set"], line["metric"], line["measured"], line["paper"], line["difference"]) for line in lines] == [
        ("a", "psnr", 21.5, 20.0, 1.5),
        ("a", "params_m", 0.1, None, None),
        ("a", "ssim", None, 0.5, None),
        ("b", "psnr", None, 30.0, None),
    ]
    assert lines[0]["row"] == "p/t/r"
    assert (lines[0]["images"], lines[0]["protocol"], lines[0]["comparable"]) == (2, "psnr_rgb", True)
    assert found.tables["per_image"].rows == [["a", "x", 21.0, None], ["a", "y", 22.0, 3.0]]
    assert "| p/t/r | a | psnr | 21.5 | 20 | 1.5 | 2 | psnr_rgb | True |" in found.tables["results"].markdown


def test_a_run_without_a_row_has_no_papers_values() -> None:
    found = outcome({"run": {"row": None}}, RESULTS, [])
    assert set(found.values) == {"test/a/psnr", "test/a/params_m"}
    assert "per_image" not in found.tables


def test_loggers_are_told_the_configuration_and_ended(
    told: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path / "run")
    with loggers.open_loggers(config(), run) as opened:
        loggers.record_outcome(opened, config(), RESULTS, [], 5)
    assert [event[0] for event in told] == ["config", "outcome", "closed"]
    assert told[0][1:] == (3, str(run.path))
    assert told[1][1] == 5
    assert told[2] == ("closed", "finished")
    assert capsys.readouterr().err == "the last line\n"


@pytest.mark.parametrize(("error", "status"), [(ValueError, "failed"), (KeyboardInterrupt, "killed")])
def test_loggers_are_ended_whatever_happens(
    error: type[BaseException], status: str, told: list[Any], tmp_path: Path
) -> None:
    with pytest.raises(error), loggers.open_loggers(config(), Run(tmp_path)):
        raise error
    assert told[-1] == ("closed", status)


def test_a_run_keeps_its_id_until_it_starts_over(told: list[Any], tmp_path: Path) -> None:
    def id_of(run: Run) -> str:
        with loggers.open_loggers(config(), run):
            return (run.path / "logging.json").read_text()

    run, other = Run(tmp_path / "a"), Run(tmp_path / "b")
    first = id_of(run)
    assert id_of(run) == first
    assert id_of(other) != first
    run.clear()
    assert id_of(run) != first


def test_only_the_process_that_writes_has_loggers(told: list[Any], tmp_path: Path) -> None:
    with loggers.open_loggers(config(), Run(tmp_path / "a"), writes=False) as opened:
        assert opened == []
    with loggers.open_loggers(config(logger={}), Run(tmp_path / "a")) as opened:
        assert opened == []
    assert told == []
    assert not (tmp_path / "a").exists(), "csv alone needs no id"


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = {"mlflow": {"_target_": "limpid.loggers.MLflow"}}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "mlflow" else object())
    with pytest.raises(
        CannotRun, match="^logger=mlflow needs the package mlflow, which is not installed; `pip install "
    ):
        loggers.require(cards)
    loggers.require({"wandb": {"_target_": "limpid.loggers.Wandb"}, "own": {"_target_": "mine.Logger"}})
