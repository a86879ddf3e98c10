"""The run store: names, status, locks, curves, and tables of what it holds."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from limpid.errors import UserError
from limpid.loggers.csv_logger import StepCSVLogger
from limpid.results import table
from limpid.results.rows import Row, printed_otherwise, rows
from limpid.store import fingerprint
from limpid.store.atomic_io import write_csv
from limpid.store.run_directory import Run

CONFIG: dict[str, Any] = {
    "row": {"paper": "rfd", "table": "table5", "name": "student", "same_as": None},
    "budget": {"name": "mini"}, "seed": 3, "does": "train", "choices": {"model": "rfd_student", "data": "scenes"},
    "network": {"dim": 16}, "model": {}, "loss": {}, "optimizer": {"lr": 1e-3}, "lr_scheduler": {}, "metrics": {},
    "trainer": {"precision": "bf16-mixed", "max_steps": 10, "devices": 1, "accelerator": "cpu"},
    "data": {"root": "data", "workers": 2, "seed": 3, "test": {"scenes": {"root": "data", "count": 24}}},
    "callbacks": {"ema": None, "progress": {}}, "logger": {}, "overrides": [], "narrowed": None,
}  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    *parents, last = path.split(".")
    node = config
    for name in parents:
        node = node[name]
    node[last] = value
    return config


@pytest.mark.parametrize(
    "path",
    ["trainer.devices", "trainer.accelerator", "data.root", "data.workers", "logger.wandb", "seed", "data.seed",
     "callbacks.progress", "data.test.scenes.root", "row"],
)  # fmt: skip
def test_where_and_with_what_a_run_is_done_does_not_change_its_name(path: str) -> None:
    assert fingerprint.fingerprint(changed(path, "other")) == fingerprint.fingerprint(CONFIG)


@pytest.mark.parametrize(
    "path", ["optimizer.lr", "network.dim", "trainer.precision", "trainer.max_steps", "callbacks.ema", "data.test.scenes.count", "does"]
)  # fmt: skip
def test_what_affects_the_result_does(path: str) -> None:
    assert fingerprint.fingerprint(changed(path, "other")) != fingerprint.fingerprint(CONFIG)


def test_run_paths() -> None:
    own = fingerprint.fingerprint(CONFIG)
    config = {**CONFIG, "fingerprint": own}
    store = Path("runs")
    assert fingerprint.run_path(store, config, own) == store / "rfd/table5/student/mini/seed-3"
    assert fingerprint.run_path(store, config, "0ther") == store / f"rfd/table5/student/mini/seed-3-{own}"
    shared = {**config, "row": {**CONFIG["row"], "same_as": "rfd/table5/ours"}}
    assert fingerprint.run_path(store, shared, own) == store / "rfd/table5/ours/mini/seed-3"
    assert (
        fingerprint.run_path(store, {**config, "row": None}, None)
        == store / f"free/rfd_student-scenes/{own}/mini/seed-3"
    )
    assert "=" not in str(fingerprint.run_path(store, config, None))


def test_the_life_of_a_run(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    assert run.status() == {"status": "missing"}
    config = {"fingerprint": "1", "seed": 0, "optimizer": {"lr": 1}}
    with run.locked():
        run.begin(config, {"python": "3"})
        run.progress(5, 10)
        assert run.status()["status"] == "running"
        assert (run.status()["step"], run.status()["steps"]) == (5, 10)
        with pytest.raises(UserError, match=r"in use by process \d+"), Run(run.path).locked():
            pass
    assert run.status()["status"] == "interrupted", "nobody holds it any more"
    with pytest.raises(UserError, match=r"other settings \(optimizer.lr: 1 then, 2 now\).*rerun=true"):
        run.begin({"fingerprint": "2", "seed": 0, "optimizer": {"lr": 2}}, {})
    assert not run.done
    run.finish({"metrics": {}}, [{"a": 1}, {"a": 2, "b": 3}])
    assert run.done
    assert (run.path / "per_image.csv").read_text() == "a,b\n1,\n2,3\n"
    run.clear()
    assert run.status() == {"status": "missing"}
    assert run.config() is None


def test_curves_are_appended_once_and_a_torn_line_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "curves.csv"
    first = StepCSVLogger(file)
    first.log_metrics({"loss": 0.1}, 1)
    first.log_metrics({"loss": 1 / 3, "rate": 2.0}, 2)
    before = file.read_text()
    assert before == f"step,name,value\n1,loss,0.1\n2,loss,{1 / 3!r}\n2,rate,2.0\n"
    with file.open("a") as handle:
        handle.write("3,lo")  # killed while writing
    again = StepCSVLogger(file)
    for step in (2, 3):
        again.log_metrics({"loss": 1 / step}, step)
    assert file.read_text() == before + f"3,loss,{1 / 3!r}\n"


def test_csv_takes_the_union_of_columns(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", [{"name": 'a,"b"', "v": 1.5}])
    assert (tmp_path / "x.csv").read_text() == 'name,v\n"a,""b""",1.5\n'


def finished(store: Path, place: str, seed: int, psnr: float, **facts: Any) -> None:
    run = Run(store / place / "mini" / f"seed-{seed}")
    config = {
        "fingerprint": "1",
        "seed": seed,
        "budget": {"name": "mini"},
        "choices": {"data": "reside_its"},
        **facts,
    }
    with run.locked():
        run.begin(config, {})
    value = {"mean": psnr, "n": 500, "protocol": "psnr_rgb_100"}
    run.finish({"metrics": {"sots_indoor": {"psnr": value}}, "comparable": facts.get("comparable", False)}, [])


def test_tables_show_paper_and_measured_with_seeds_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, psnr in ((0, 20.0), (1, 21.0), (2, 22.0)):
        finished(tmp_path, "rfd/table5/student", seed, psnr)
    monkeypatch.setattr(table, "measured_file", lambda paper: tmp_path / "none.json")
    [entry] = table.entries(rows("rfd/table5/student"), tmp_path, lambda row: None)
    assert entry["expected"] == {"sots_indoor": {"params_m": 0.096, "psnr": 27.9356, "ssim": 0.9327}}
    assert entry["runnable"]
    assert [run["comparable"] for run in entry["runs"]] == [False] * 3
    paper, measured = table.lines(entry)
    assert paper["what"] == "paper"
    assert measured["values"]["psnr"] == (21.0, 1.0)
    assert measured["what"] == "budget mini, seeds 0, 1, 2, not comparable"
    text = table.markdown([entry])
    assert "| Ours [Student] | paper | sots_indoor | 0.096 | 27.9356 | 0.9327 |" in text
    assert "21 ± 1" in text
    assert "psnr_rgb_100" in text
    json.dumps(entry)


def test_weights_trained_on_other_data_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "measured_file", lambda paper: tmp_path / "none.json")
    finished(tmp_path, "rfd/table5/student", 0, 20.0)
    file = next(tmp_path.rglob("metrics.json"))
    results = json.loads(file.read_text()) | {"provenance": {"trained": {"budget": "mini", "data": "scenes"}}}
    file.write_text(json.dumps(results))
    [entry] = table.entries(rows("rfd/table5/student"), tmp_path, lambda row: None)
    assert [line["what"] for line in table.lines(entry)][1] == "budget mini, trained on scenes, seed 0, not comparable"


@pytest.mark.parametrize("end", ["", "-0f"])
def test_runs_from_another_run_of_their_own_seed_are_one_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(table, "measured_file", lambda paper: tmp_path / "none.json")
    for seed, start in ((0, 0), (1, 1), (2, 1)):
        started = [f"model.start.ckpt=runs/uni_removal/table4/bkt/mini/seed-{start}{end}/checkpoints/best.ckpt"]
        finished(tmp_path, "rfd/table5/student", seed, 20.0 + seed, overrides=started)
    [entry] = table.entries(rows("rfd/table5/student"), tmp_path, lambda row: None)
    together, alone = [line["what"] for line in table.lines(entry)][1:]
    assert f"bkt/mini/seed-*{end}/" in together
    assert "seeds 0, 1, not" in together
    assert f"bkt/mini/seed-1{end}/" in alone
    assert "seed 2, not" in alone


def test_a_table_says_where_its_paper_prints_two_values_of_one_run(tmp_path: Path) -> None:
    [entry] = table.entries(rows("uni_removal/table2/ours"), tmp_path, lambda row: None)
    said = "brisque on spa is 40.489 here and 30.689 in table5/kt_bda_eicl_efcl, the same run"
    assert entry["printed_otherwise"] == [said]
    assert f"as printed, {said}" in table.markdown([entry])
    of_paper = {e["row"]: e["printed_otherwise"] for e in table.entries(rows("fdr"), tmp_path, lambda row: None)}
    assert not any(of_paper.values()), "0.68 and 0.6799 are one value in two precisions"


@pytest.mark.parametrize(("here", "there", "said"), [(40.5, 40.46, True), (31.0, 31.4, True), (40.46, 40.463, False)])
def test_a_last_0_that_a_file_does_not_keep_counts(here: float, there: float, said: bool) -> None:
    def made(table: str, name: str, value: float, same_as: str | None = None) -> Row:
        return Row("p", table, name, name, "ours", "test", "m", same_as, expected={"s": {"psnr": value}})

    own, other = made("table1", "a", here), made("table2", "b", there, "p/table1/a")
    known = [own, other, made("table1", "c", 20.25), made("table2", "d", 20.25)]
    assert bool(printed_otherwise(own, known)) is bool(printed_otherwise(other, known)) is said


def test_a_row_that_shares_a_run_shows_it(tmp_path: Path) -> None:
    finished(tmp_path, "rfd/table5/ours", 0, 20.0)
    [entry] = table.entries(rows("rfd/table8/l2"), tmp_path, lambda row: "not built")
    assert entry["same_as"] == "rfd/table5/ours"
    assert entry["runs"][0]["metrics"]["sots_indoor"]["psnr"]["mean"] == 20.0
    assert (entry["runnable"], entry["why_not"]) == (False, "not built")


def test_kept_figures_outlive_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "measured.json"
    monkeypatch.setattr(table, "measured_file", lambda paper: kept)
    started_from = f"model.teacher.ckpt='{(tmp_path / 'runs').as_posix()}/rfd/a/best.ckpt'"
    finished(tmp_path / "runs", "rfd/table5/student", 0, 20.0, overrides=[started_from, "data.val.clean.root=/mine"])
    chosen: list[Row] = rows("rfd/table5/student")
    assert table.keep(table.entries(chosen, tmp_path / "runs", lambda row: None)) == [kept]
    [entry] = table.entries(chosen, tmp_path / "another store", lambda row: None)
    assert entry["runs"][0]["metrics"]["sots_indoor"]["psnr"]["mean"] == 20.0
    assert entry["runs"][0]["path"].startswith("runs/rfd/table5/student/"), "not where this machine's store lies"
    assert entry["runs"][0]["overrides"] == ["model.teacher.ckpt='runs/rfd/a/best.ckpt'"]
    [both] = table.entries(chosen, tmp_path / "runs", lambda row: None)
    assert len(both["runs"]) == 1, "the store's own is not shown twice"
    finished(tmp_path / "runs", "rfd/table5/student", 1, 30.0)
    [more] = table.entries(chosen, tmp_path / "runs", lambda row: None)
    assert len(more["runs"]) == 2


def test_unknown_rows_get_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean 'rfd/table5/student'"):
        rows("rfd/table5/studnt")
