"""The run store: names, status, locks and curves."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from limpid.errors import UserError
from limpid.loggers.csv_logger import Curves
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
    first = Curves(file)
    first.log_metrics({"loss": 0.1}, 1)
    first.log_metrics({"loss": 1 / 3, "rate": 2.0}, 2)
    before = file.read_text()
    assert before == f"step,name,value\n1,loss,0.1\n2,loss,{1 / 3!r}\n2,rate,2.0\n"
    with file.open("a") as handle:
        handle.write("3,lo")  # killed while writing
    again = Curves(file)
    for step in (2, 3):
        again.log_metrics({"loss": 1 / step}, step)
    assert file.read_text() == before + f"3,loss,{1 / 3!r}\n"


def test_csv_takes_the_union_of_columns(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", [{"name": 'a,"b"', "v": 1.5}])
    assert (tmp_path / "x.csv").read_text() == 'name,v\n"a,""b""",1.5\n'
