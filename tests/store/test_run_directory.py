"""The run store: names, status, locks and curves."""

from __future__ import annotations

import copy
import errno
from pathlib import Path
from typing import Any

import pytest

from limpid.errors import UserError
from limpid.loggers.csv_logger import StepCSVLogger
from limpid.store.atomic_io import write_csv
from limpid.store.fingerprint import affecting, fingerprint
from limpid.store.run_directory import Run, directory_name

CONFIG: dict[str, Any] = {
    "seed": 3, "budget": "mini", "network": {"_target_": "limpid.networks.toy.Toy", "dim": 16},
    "model": {"_target_": "limpid.models.Restorer"}, "loss": {}, "optimizer": {"lr": 1e-3}, "lr_scheduler": {},
    "metrics": {"psnr": {"metric": "psnr", "options": {}, "text": "a"}, "niqe": {"metric": "niqe", "options": {}}},
    "skip_metrics": [], "trainer": {"precision": "bf16-mixed", "max_steps": 10, "devices": 1, "accelerator": "cpu"},
    "data": {"root": "data", "workers": 2, "seed": 3, "test": {"scenes": {"root": "data", "count": 24}}},
    "callbacks": {"ema": None, "progress": {}}, "logger": {},
}  # fmt: skip


def of(config: dict[str, Any], mode: str = "train", network: str = "toy", weights: str | None = None) -> str:
    return fingerprint(affecting(config, mode, network, weights))


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
     "callbacks.progress", "data.test.scenes.root", "metrics.psnr.text"],
)  # fmt: skip
def test_where_and_with_what_a_run_is_done_does_not_change_its_name(path: str) -> None:
    assert of(changed(path, "other")) == of(CONFIG)


@pytest.mark.parametrize(
    "path",
    ["optimizer.lr", "network.dim", "trainer.precision", "trainer.max_steps", "callbacks.ema",
     "data.test.scenes.count", "metrics.psnr.options"],
)  # fmt: skip
def test_what_affects_the_result_does(path: str) -> None:
    assert of(changed(path, "other")) != of(CONFIG)


def test_mode_network_and_tested_weights_affect_the_result() -> None:
    others = {of(CONFIG, "test"), of(CONFIG, network="other"), of(CONFIG, weights="1a2b")}
    assert len(others | {of(CONFIG)}) == 4


def test_a_module_may_move_but_another_class_is_another_run() -> None:
    assert of(changed("model._target_", "limpid.elsewhere.Restorer")) == of(CONFIG)
    assert of(changed("model._target_", "limpid.models.Other")) != of(CONFIG)
    assert of(changed("network._target_", "mine.nets.Net")) == of(CONFIG), "a network goes by its registry's name"
    adam = changed("optimizer._target_", "torch.optim.Adam")
    assert of(adam) == of(changed("optimizer._target_", "torch.optim.adam.Adam"))
    mine = changed("optimizer._target_", "mine.optimizers.Adam")
    assert of(mine) != of(adam)
    assert of(mine) != of(changed("optimizer._target_", "mine.other.Adam")), "nothing keeps a user's names apart"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("callbacks.checkpoint", {"monitor": "val/psnr", "mode": "min", "every": 5}),
        ("callbacks.mine", {"_target_": "mine.Callback"}),
        ("trainer.limit_train_batches", 1),
        ("trainer.overfit_batches", 1),
        ("trainer.gradient_clip_algorithm", "value"),
        ("data.test.scenes.seed", 3),
        ("metrics.own", {"_target_": "mine.Error", "id": "error", "scale": 255}),
    ],
)
def test_what_changes_a_result_in_another_way_does(path: str, value: Any) -> None:
    assert of(changed(path, value)) != of(CONFIG)


def test_a_metric_of_ones_own_is_told_apart_by_its_settings() -> None:
    def scaled(scale: int) -> dict[str, Any]:
        return changed("metrics.own", {"_target_": "mine.Error", "id": "error", "scale": scale})

    assert of(scaled(255)) != of(scaled(1))


def test_how_often_a_checkpoint_is_written_and_where_a_set_is_fetched_change_nothing() -> None:
    def every(batches: int) -> dict[str, Any]:
        return changed("callbacks.checkpoint", {"monitor": "val/psnr", "mode": "max", "every": batches})

    assert of(every(5)) == of(every(500))
    assert of(changed("data.test.scenes.url", "https://new")) == of(CONFIG)
    assert of(changed("trainer.limit_train_batches", None)) == of(CONFIG)


def test_what_is_switched_off_affects_nothing() -> None:
    without = changed("loss.terms", {"l1": {"weight": 1.0}})
    for off in (None, {"weight": 0}, {"weight": 0.0, "term": {"_target_": "limpid.losses.MSE"}}):
        assert of(changed("loss.terms", {"l1": {"weight": 1.0}, "mse": off})) == of(without)
    skipped = {**CONFIG, "skip_metrics": ["niqe"]}
    assert of(skipped) == of({**CONFIG, "metrics": {"psnr": CONFIG["metrics"]["psnr"]}})


def test_a_reference_that_a_run_starts_without_is_no_weights() -> None:
    refers = changed("model.teacher", {"ckpt": "row:a/b/c"})
    without = fingerprint(affecting(refers, "train", "toy", without=("row:a/b/c",)))
    assert without == of(changed("model.teacher", {"ckpt": None}))
    assert without != of(refers)


def test_run_directories() -> None:
    assert directory_name("rfd/table5/student", "mini", 3, None) == Path("rfd/table5/student/mini/seed-3")
    assert directory_name("free/a-b/1a2b3c4d", "mini", 3, "1a2b") == Path("free/a-b/1a2b3c4d/mini/seed-3-1a2b")
    for place, budget in (("../outside", "mini"), ("rfd/table5/student", "../../mini"), ("/etc", "mini")):
        with pytest.raises(UserError, match="leads out of the run store; rename it"):
            directory_name(place, budget, 0, None)


def test_the_life_of_a_run(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    assert run.status() == {"status": "missing"}
    config = {"run": {"fingerprint": "1"}, "seed": 0, "optimizer": {"lr": 1}}
    with run.locked():
        run.begin(config, {"python": "3"})
        run.progress(5, 10)
        assert run.status()["status"] == "running"
        assert (run.status()["step"], run.status()["steps"]) == (5, 10)
        with pytest.raises(UserError, match=r"in use by process \d+"), Run(run.path).locked():
            pass
    assert run.status()["status"] == "interrupted", "nobody holds it any more"
    with pytest.raises(UserError, match=r"other settings \(optimizer.lr: 1 then, 2 now\).*rerun=true"):
        run.begin({"run": {"fingerprint": "2"}, "seed": 0, "optimizer": {"lr": 2}}, {})
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


def test_a_run_that_never_began_its_first_step_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    run = Run(tmp_path / "runs" / "free" / "a" / "seed-0")
    with run.locked():
        run.begin({"run": {"fingerprint": "a"}}, {})
        run.withdraw("the crop is missing")
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("before", ["another run", "a step", "an earlier start"])
def test_what_was_there_or_got_further_stays(before: str, tmp_path: Path) -> None:
    run = Run(tmp_path / "free" / "a" / "seed-0")
    if before == "an earlier start":
        with run.locked():
            run.begin({"run": {"fingerprint": "a"}}, {})
    with run.locked():
        run.begin({"run": {"fingerprint": "a"}}, {})
        if before == "a step":
            run.progress(1, 10)
        if before == "another run":
            (tmp_path / "free" / "b").mkdir()
        run.withdraw("the disk is full")
    if before == "another run":
        assert [path.name for path in (tmp_path / "free").iterdir()] == ["b"]
    else:
        assert (run.status()["status"], run.status()["message"]) == ("failed", "the disk is full")


def test_a_finished_run_of_which_something_more_fails_stays_finished(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with run.locked():
        run.begin({"run": {"fingerprint": "a"}}, {})
        run.finish({"metrics": {}}, [])  # type: ignore[typeddict-item]
        run.begin({"run": {"fingerprint": "a"}}, {})
        run.fail("a metric's file is missing", was_done=True)
        assert (run.done, run.status()["message"]) == (True, "a metric's file is missing")
        run.fail("the disk is full")
        assert run.status()["status"] == "failed"


def test_a_file_system_without_locks_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("limpid.store.run_directory.FileLock.acquire", refuse)
    refused = pytest.raises(UserError, match=r"gives no locks \(No locks available\), .*LIMPID_RUNS=FOLDER")
    with refused, Run(tmp_path / "run").locked():
        pass
