"""The data frame of results: its columns, a line for each value, and what it says of runs."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from tests.results.made_store import make_paper, make_run, make_store

import limpid
from limpid.errors import UserError
from limpid.results import frame
from limpid.results.run_record import read_details, read_record, record_of
from limpid.store.atomic_io import write_csv, write_text
from limpid.store.run_directory import Run

COLUMNS = [
    "paper", "table", "row", "model", "data", "mode", "budget", "seed", "status", "comparable", "overrides", "settings",
    "fingerprint", "training", "group", "run", "set", "image", "image_number", "metric", "protocol", "value", "source", "n",
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The made paper with three seeds of one row, one run of another, one that failed, and a free run."""
    monkeypatch.chdir(tmp_path)
    make_paper(tmp_path)
    return make_store(tmp_path)


def test_there_is_a_line_for_each_value(store: Path) -> None:
    found = limpid.results("mine", store)
    assert list(found.columns) == COLUMNS
    assert found["source"].value_counts().to_dict() == {"paper": 6, "measured": 5, "input": 4}
    assert found["image"].isna().all()
    printed = found[found["source"] == "paper"]
    assert list(printed["row"]) == ["ours", "ours", "another", "another", "never", "never"], "in the order of print"
    assert list(printed["value"]) == [30.0, 0.9] * 3
    assert printed[["budget", "seed", "run", "protocol", "n"]].isna().all(axis=None)


def test_what_a_line_says_of_its_run(store: Path) -> None:
    found = limpid.results("mine/table1/another", store)
    line = found[found["source"] == "measured"].iloc[0]
    assert (line["paper"], line["table"], line["row"], line["model"], line["data"]) == (
        "mine",
        "table1",
        "another",
        "another",
        "made",
    )
    assert (line["mode"], line["budget"], line["seed"], line["status"], line["comparable"]) == (
        "train",
        "mini",
        0,
        "done",
        True,
    )
    assert (line["set"], line["metric"], line["protocol"], line["value"], line["n"]) == (
        "made",
        "psnr",
        "psnr_rgb",
        23.0,
        4,
    )
    assert (line["fingerprint"], line["training"]) == ("1a2b3c4d", "1a2b3c4d")
    assert line["run"] == (store / "mine/table1/another/mini/seed-0").as_posix()


def test_the_means_of_seeds_come_from_one_groupby(store: Path) -> None:
    found = limpid.results("mine/table1/ours", store)
    done = found[(found["source"] == "measured") & (found["status"] == "done")]
    [group] = done.groupby(["group", "set", "metric"])["value"].agg(["mean", "std", "size"]).itertuples(index=False)
    assert tuple(group) == (24.0, 1.0, 3)


def test_a_run_without_values_has_one_line(store: Path) -> None:
    found = limpid.results("mine/table1/ours", store)
    [line] = found[found["status"] == "failed"].itertuples()
    assert (line.source, line.seed, line.set, line.metric) == ("measured", 3, None, None)
    assert math.isnan(line.value)


def test_images_are_there_if_they_are_asked_for(store: Path) -> None:
    found = limpid.results("mine", store, per_image=True)
    images = found[found["image"].notna()]
    assert len(images) == 4 * 4 * 2, "four images of four runs, each with the input's value"
    first = images[(images["row"] == "ours") & (images["seed"] == 0) & (images["source"] == "measured")]
    assert list(first["image"]) == ["00", "01", "02", "03"]
    assert list(first["image_number"]) == [0, 1, 2, 3]
    assert list(first["value"]) == [20.0, 22.0, 24.0, 26.0]
    assert set(first["protocol"]) == {"psnr_rgb"}
    assert set(images[images["source"] == "input"]["value"]) == {10.0}
    assert len(found) - len(images) == len(limpid.results("mine", store))
    assert dict(found.dtypes) == dict(limpid.results("mine", store).dtypes)


def test_runs_without_a_row_are_there_too(store: Path) -> None:
    free = limpid.results("free", store)
    assert list(free["source"]) == ["measured", "input"]
    assert free[["paper", "table", "row"]].isna().all(axis=None)
    assert list(free["model"]) == ["ours", "ours"]
    everything = limpid.results(store=store)
    assert len(everything[everything["paper"].isna()]) == 2
    assert {"mine", "rfd", "fdr", "aosr", "uni_removal", "wmcp"} == set(everything["paper"].dropna())


def test_every_printed_value_of_the_papers_is_there(tmp_path: Path) -> None:
    printed = limpid.results(store=tmp_path).query("source == 'paper'")
    assert len(printed) == sum(len(values) for row in frame.rows() for values in row.printed.values()) == 463
    student = printed[(printed["paper"] == "rfd") & (printed["table"] == "table5") & (printed["row"] == "student")]
    assert dict(zip(student["metric"], student["value"], strict=True)) == {
        "params_m": 0.096,
        "psnr": 27.9356,
        "ssim": 0.9327,
    }


def test_a_run_that_rows_share_is_under_each_of_them(tmp_path: Path) -> None:
    make_run(tmp_path / "rfd/table5/ours/mini/seed-0", [20.0], row="rfd/table5/ours")
    found = limpid.results("rfd", tmp_path)
    stored = found[found["run"].notna() & found["run"].str.startswith(str(tmp_path)) & (found["source"] == "measured")]
    assert list(stored["table"] + "/" + stored["row"]) == [
        "table5/ours",
        "table6/high_resolution",
        "table7/w_025",
        "table8/l2",
    ]
    assert stored["run"].nunique() == 1


def test_an_unknown_pattern_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no paper, table or row 'rfd/tabel5'; did you mean 'rfd/table5'"):
        limpid.results("rfd/tabel5", tmp_path)


def test_scores_that_are_missing_or_no_numbers_are_told_apart(tmp_path: Path) -> None:
    rows = [
        {"set": "a", "index": 0, "name": "nan", "psnr": math.inf, "niqe": 3.5},
        {"set": "a", "index": 1, "name": "y", "psnr": math.nan},
    ]
    write_csv(tmp_path / "per_image.csv", rows)
    found = frame.read_per_image(tmp_path)
    assert list(found["image"]) == ["nan", "y", "nan"], "the name of an image is a name"
    assert list(found["metric"]) == ["psnr", "psnr", "niqe"]
    assert found["value"].tolist() == [math.inf, pytest.approx(math.nan, nan_ok=True), 3.5]
    write_text(tmp_path / "per_image.csv", "\n")
    assert frame.read_per_image(tmp_path).empty
    assert frame.read_per_image(tmp_path / "nowhere").empty


def test_asking_for_results_imports_neither_torch_nor_hydra() -> None:
    code = (
        "import sys, limpid; limpid.results('rfd/table5'); "
        "heavy = {'torch', 'lightning', 'hydra', 'omegaconf'} & set(sys.modules); assert not heavy, heavy; "
        "import limpid.results.rows; assert len(limpid.results.rows.rows('rfd/table5')) == 18"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# --- what a run's files say -------------------------------------------------------------------------------------------

SETTINGS = "data: {test: {made: {name: made}}}\nmetrics: {psnr: {id: psnr_rgb, text: Float RGB.}}\nseed: 3\n"
STORED = SETTINGS + (
    "budget: mini\nrun: {row: mine/table1/ours, mode: train, fingerprint: 1a2b3c4d, changes: [network.dim=8, data.root=x],\n"
    "  overrides: [+mine/table1=ours, budget=mini, seed=3, network.dim=8, data.root=x],\n"
    "  narrowed: {dim: 8}, choices: {model: ours, data: made, dataset@data.test.made: card}}\n"
)


def test_a_run_is_read_from_its_files(tmp_path: Path) -> None:
    write_text(tmp_path / "config.yaml", STORED)
    run = Run(tmp_path)
    record = read_record(run)
    assert (record.row, record.mode, record.model, record.data) == ("mine/table1/ours", "train", "ours", "made")
    assert (record.budget, record.seed, record.fingerprint, record.status) == ("mini", 3, "1a2b3c4d", "missing")
    assert (record.overrides, record.narrowed) == (("network.dim=8",), {"dim": 8})
    assert (record.scores, record.comparable) == ((), False)
    details = read_details(run)
    assert details.command == (
        "train", "+mine/table1=ours", "budget=mini", "seed=3", "network.dim=8", "data.root=x",
    )  # fmt: skip
    assert (details.test_sets, details.set_choices) == ({"made": {"name": "made"}}, {"made": "card"})
    assert details.protocols == {"psnr_rgb": "Float RGB."}


@pytest.mark.parametrize("store", ["/data/my runs", "elsewhere", "runs"])
def test_overrides_read_the_same_wherever_the_store_lies(store: str) -> None:
    config = {"run": {"changes": [f"model.ckpt={store}/p/t/r/mini/seed-0/best.ckpt", "data.train.root=/x", "a=./b"]}}
    record = record_of(config, {}, "done", Path(store, "p/t/s/mini/seed-0"))
    assert record.overrides == ("model.ckpt=runs/p/t/r/mini/seed-0/best.ckpt", "a=./b")
    assert record.store_path == "runs/p/t/s/mini/seed-0"
    assert record_of(config, {}, "done", Path()).overrides[-1] == "a=./b", "a run without a directory has no store"


def test_a_run_without_files_has_a_record(tmp_path: Path) -> None:
    record = read_record(Run(tmp_path / "nothing"))
    assert (record.row, record.status, record.scores) == (None, "missing", ())
