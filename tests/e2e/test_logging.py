"""One small run with every logger, interrupted and resumed: what each of them holds is read back from its files."""

from __future__ import annotations

import csv
import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import Limpid
from tests.e2e.wandb_file import Segment

from limpid.cli import status
from limpid.results.comparison_panel import read_panel
from limpid.results.rows import find_row

STEPS, EVERY = 4, 2
SMALL = (
    "budget=smoke", "trainer=cpu", "data.workers=0", "log_every=1", f"trainer.max_steps={STEPS}", f"trainer.val_check_interval={EVERY}",
)  # fmt: skip
IMAGES = (
    "data.val.clean.count=3", "data.val.clean.height=32", "data.val.clean.width=40",
    "data.test.scenes_sand.clean.height=32", "data.test.scenes_sand.clean.width=48",
)  # fmt: skip
ROW = ("+aosr/table1=ours", "network.channels=4", "loss.terms.contrast=null", "data=scenes_sand", *SMALL, *IMAGES)
KEYS = [f"val/scenes_sand/val_00000{i}" for i in range(2)]


class Stopped(Exception):
    """What interrupts the run."""


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The directory of a run that every logger saw begin, stop after three steps, and go on; and its last stderr."""
    pytest.importorskip("tensorboard")
    pytest.importorskip("mlflow")
    from contextlib import redirect_stderr
    from io import StringIO

    from limpid.callbacks import Progress

    folder = tmp_path_factory.mktemp("logged")
    words = ["train", *ROW, "callbacks.pictures.val=2", "logger=all"]
    stop = Progress.on_train_batch_end

    def stops(self: Progress, *arguments: Any) -> None:
        stop(self, *arguments)
        if arguments[-1] == 2:
            raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["limpid"])
        patch.setenv("LIMPID_RUNS", str(folder / "runs"))
        for name in ("CACHE", "CONFIG", "DATA"):
            patch.setenv(f"WANDB_{name}_DIR", str(folder / "wandb"))
        patch.delenv("WANDB_MODE", raising=False)
        patch.setattr(Progress, "on_train_batch_end", stops)
        with pytest.raises(Stopped):
            status(words)
        patch.setattr(Progress, "on_train_batch_end", stop)
        said = StringIO()
        with redirect_stderr(said):
            assert status(words) == 0
        [config] = (folder / "runs").rglob("config.yaml")
        yield config.parent, said.getvalue()


@pytest.fixture(scope="module")
def segments(logged: tuple[Path, str]) -> list[Segment]:
    """The two starts of the run in wandb's offline files."""
    return [Segment(folder) for folder in sorted((logged[0] / "wandb").glob("offline-run-*"))]


@pytest.fixture(scope="module")
def results(logged: tuple[Path, str]) -> dict[str, Any]:
    """What metrics.json of the run holds."""
    found: dict[str, Any] = json.loads((logged[0] / "metrics.json").read_text())
    return found


def curves(run: Path, name: str) -> list[tuple[int, float]]:
    """`(step, value)` of one curve in curves.csv."""
    with (run / "curves.csv").open(newline="") as file:
        return [(int(row["step"]), float(row["value"])) for row in csv.DictReader(file) if row["name"] == name]


def test_pictures_are_on_disk_under_fixed_names_with_all_columns(logged: tuple[Path, str]) -> None:
    run = logged[0] / "images"
    names = {file.relative_to(run).as_posix() for file in run.rglob("*.png")}
    shown = {f"{key}.png" for key in KEYS}
    best = {name.replace("val/", "val-best/") for name in shown}
    assert names == shown | best | {f"scenes_sand/test_00000{i}.png" for i in range(2)}
    for name in names:
        panel = read_panel(run / name)
        assert panel.columns == ("input", "restored", "target", "phi")
        assert panel.pixels.shape == ((32, 4 * 48, 3) if "test" in name else (32, 4 * 40, 3))


def test_an_offline_wandb_run_keeps_one_id_and_its_own_steps(logged: tuple[Path, str], segments: list[Segment]) -> None:
    run = logged[0]
    assert len(segments) == 2
    assert {segment.id for segment in segments} == {json.loads((run / "logging.json").read_text())["id"]}
    assert [segment.exit_code for segment in segments] == [1, 0]
    for segment in segments:
        assert segment.axes == {"limpid/step": "", "*": "limpid/step"}
        assert segment.config["run"]["row"].endswith("/ours")
        assert segment.config["network"]["channels"] == 4
    # The second starts after the last checkpoint; what both hold is the same.
    loss = [segment.logged("train/loss") for segment in segments]
    assert [step for step, _ in loss[0]] == [1, 2, 3]
    assert [step for step, _ in loss[1]] == [3, 4]
    assert sorted({*loss[0], *loss[1]}) == curves(run, "train/loss")
    psnr = segments[0].logged("val/psnr") + segments[1].logged("val/psnr")
    assert psnr == curves(run, "val/psnr")
    assert [step for step, _ in psnr] == [2, 4]


def test_wandb_has_the_pictures_of_the_disk(logged: tuple[Path, str], segments: list[Segment]) -> None:
    for key in KEYS:
        for segment, step in zip(segments, (2, 4), strict=True):
            [(logged_at, media)] = segment.logged(key)
            assert logged_at == step
            assert media["caption"] == "input | restored | target | phi"
        last = Image.open(segments[1].folder / media["path"])
        assert np.array_equal(np.asarray(last), read_panel(logged[0] / "images" / f"{key}.png").pixels)
    assert [step for step, _ in segments[1].logged("test/scenes_sand/test_000000")] == [STEPS]
    assert not segments[0].logged("test/scenes_sand/test_000000")


def test_wandb_has_results_beside_the_papers_and_those_of_every_image(
    logged: tuple[Path, str], segments: list[Segment], results: dict[str, Any]
) -> None:
    last = segments[1]
    measured = results["metrics"]["scenes_sand"]["psnr"]["mean"]
    assert last.logged("test/scenes_sand/psnr") == [(STEPS, measured)]
    printed = find_row("aosr/table1/ours").printed["sand_synthetic"]["psnr"]
    assert last.logged("paper/sand_synthetic/psnr") == [(STEPS, printed)]

    def table(name: str) -> list[dict[str, Any]]:
        [(_, media)] = last.logged(name)
        content = json.loads((last.folder / media["path"]).read_text())
        return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]

    lines = {(line["set"], line["metric"]): line for line in table("results")}
    ours = lines["scenes_sand", "psnr"]
    assert (ours["row"], ours["measured"], ours["paper"], ours["images"]) == ("aosr/table1/ours", measured, None, 2)
    assert (ours["protocol"], ours["comparable"]) == ("psnr_rgb", False)
    assert lines["sand_synthetic", "psnr"]["paper"] == printed
    with (logged[0] / "per_image.csv").open(newline="") as file:
        on_disk = list(csv.DictReader(file))
    assert [{k: str(v) for k, v in line.items()} for line in table("per_image")] == on_disk


def test_the_command_that_uploads_all_segments_is_printed(logged: tuple[Path, str]) -> None:
    [line] = [line for line in logged[1].splitlines() if "wandb sync" in line]
    words = shlex.split(line.partition(": ")[2])
    assert words[:2] == ["wandb", "sync"]
    assert [Path(word) for word in words[2:]] == sorted((logged[0] / "wandb").glob("offline-run-*"))
    assert len(words) == 4


def test_tensorboard_holds_the_same(logged: tuple[Path, str], results: dict[str, Any]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logged[0] / "tensorboard"), {"images": 0, "tensors": 0, "scalars": 0}).Reload()
    assert [event.step for event in events.Scalars("val/psnr")] == [2, 4]
    assert {event.step for event in events.Scalars("train/loss")} == {1, 2, 3, 4}
    [test] = events.Scalars("test/scenes_sand/psnr")
    assert test.value == pytest.approx(results["metrics"]["scenes_sand"]["psnr"]["mean"], rel=1e-6)
    assert [event.step for event in events.Scalars("paper/sand_synthetic/psnr")] == [STEPS]
    assert events.Tags()["images"] == [*KEYS, *(f"test/scenes_sand/test_00000{i}" for i in range(2))]
    assert [(event.step, event.width) for event in events.Images(KEYS[0])] == [(2, 160), (4, 160)]
    [text] = events.Tensors("results/text_summary")
    assert "| aosr/table1/ours | sand_synthetic | psnr |" in text.tensor_proto.string_val[0].decode()


def test_mlflow_holds_the_same_in_one_run(logged: tuple[Path, str], results: dict[str, Any]) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{logged[0]}/mlflow.db")
    [run] = client.search_runs([client.get_experiment_by_name("limpid").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["row"] == "aosr/table1/ours"
    assert run.data.metrics["test/scenes_sand/psnr"] == results["metrics"]["scenes_sand"]["psnr"]["mean"]
    assert run.data.metrics["paper/sand_synthetic/psnr"] == 24.6728
    assert [point.step for point in client.get_metric_history(run.info.run_id, "val/psnr")] == [2, 4]
    files = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"config.json", "results.json", "per_image.json", "images"} <= files
    assert len([a for a in client.list_artifacts(run.info.run_id, "images") if a.path.endswith(".png")]) == 2 * 2 + 2


def test_loggers_change_no_bit_of_a_result(
    logged: tuple[Path, str], results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMPID_RUNS", "runs")
    monkeypatch.setattr("sys.argv", ["limpid"])
    assert status(["train", *ROW, "callbacks.pictures.val=0"]) == 0
    [file] = (tmp_path / "runs").rglob("metrics.json")
    plain = json.loads(file.read_text())
    assert plain["provenance"]["weights"] == results["provenance"]["weights"]
    assert plain["metrics"] == results["metrics"]
    assert (file.parent / "curves.csv").read_bytes() == (logged[0] / "curves.csv").read_bytes()
    assert not (file.parent / "logging.json").exists()


def test_what_only_tests_logs_its_outcome_and_maps_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMPID_RUNS", "runs")
    monkeypatch.setattr("sys.argv", ["limpid"])
    small = ("data.test.scenes.clean.height=32", "data.test.scenes.clean.width=40")
    words = ("+wmcp/table2=dcp", "data=scenes", "budget=smoke", "trainer=cpu", *small, "logger=wandb")
    assert status(["train", "-m", *words, "seed=0,1"]) == 0
    segment, other = (Segment(folder) for folder in sorted((tmp_path / "runs").rglob("offline-run-*")))
    assert segment.id != other.id, "each job of a sweep is a run of its own"
    assert {segment.config["seed"], other.config["seed"]} == {0, 1}
    [(step, media)] = segment.logged("test/scenes/test_000000")
    assert (step, media["caption"]) == (0, "input | restored | target | transmission | scene_depth | airlight")
    printed = find_row("wmcp/table2/dcp").printed
    assert printed
    for name, values in printed.items():
        for metric, value in values.items():
            assert segment.logged(f"paper/{name}/{metric}") == [(0, value)]
    assert len(segment.logged("results")) == len(segment.logged("per_image")) == 1
    assert segment.exit_code == 0


@pytest.mark.slow
def test_two_processes_show_what_one_does(limpid: Limpid, tmp_path: Path) -> None:
    words = (
        "train",
        "+wmcp/table2=dcp",
        "data=scenes",
        "budget=smoke",
        "data.test_images=5",
        "callbacks.pictures.test=3",
    )
    pictures, media = [], []
    for trainer in ("cpu", "ddp_cpu"):
        store = tmp_path / trainer
        done = limpid(*words, f"trainer={trainer}", "logger=wandb", LIMPID_RUNS=str(store))
        assert "wandb sync" in done.stderr
        [run] = (config.parent for config in store.rglob("config.yaml"))
        pictures.append({f.relative_to(run): f.read_bytes() for f in (run / "images").rglob("*.png")})
        [segment] = map(Segment, (run / "wandb").glob("offline-run-*"))
        shown = [f"test/scenes/test_00000{i}" for i in range(3)]
        media.append([segment.logged(key)[0][1]["sha256"] for key in shown])
    assert len(pictures[0]) == 3
    assert pictures[0] == pictures[1]
    assert media[0] == media[1]


def test_nothing_is_left_outside_the_store(logged: tuple[Path, str]) -> None:
    folder = logged[0].parents[5]
    assert {entry.name for entry in folder.iterdir()} == {"runs", "wandb"}
    assert os.environ.get("WANDB_MODE") is None
