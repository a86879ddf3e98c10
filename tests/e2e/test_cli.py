"""The command as a user runs it: sentences and exit status, sweeps, awkward paths, own configs, completion."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tests.conftest import Limpid

from limpid.cli import quoted, status
from limpid.data.image_io import write_image

Refused = Callable[..., str]

SMOKE = ("data=scenes", "budget=smoke", "trainer=cpu", "data.workers=0")


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Refused:
    """What a command says that ends with status 2; run in this process, which starts no other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("LIMPID_DATA", raising=False)
    monkeypatch.setattr("sys.argv", ["limpid"])

    def says(*arguments: str) -> str:
        capfd.readouterr()
        assert status(list(arguments)) == 2
        said = capfd.readouterr().err
        assert "Traceback" not in said
        return said

    return says


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["trian"], "There is no command 'trian'; did you mean 'train'?"),
        (["train", "+rfd/table5=studnt"], "There is no rfd/table5=studnt; did you mean 'student'?"),
        (["train", "rfd/table5=student"], "There is no group or table 'rfd/table5'; a row is added with a plus"),
        (["train", "+rfd/tabel5=student"], "There is no table or group 'rfd/tabel5'; did you mean 'rfd/table5'?"),
        (["train", "model=ffa_nett"], "There is no model=ffa_nett; did you mean 'ffa_net'?"),
        (["train", "modle=x"], "There is no setting 'modle'; did you mean 'model'?"),
        (["train", "+modle=x"], "There is no setting 'modle'; did you mean 'model'?"),
        (["train", "network.dimm=3"], "There is no setting 'network.dimm'; did you mean 'dim'?"),
        (["train", "training.mini.stepz=3"], "There is no setting 'training.mini.stepz'; did you mean 'steps'?"),
        (["train", "+training.mini.stepz=3"], "There is no setting 'training.mini.stepz'; did you mean 'steps'?"),
        (["train", "+model.chanels=3"], "model.chanels is not an argument of limpid.models.Restorer"),
        (["train", "+network.blocs=3"], "network.blocs is not an argument of limpid.networks.ffa_net.FFANet; did you mean 'blocks'?"),
        (["train", "trainer.max_steps=many"], "trainer.max_steps is 'many', but it must be int or null."),
        (["train", "optimizer.lr=abc"], "optimizer.lr is 'abc', but it must be float."),
        (["train", "data=folder", "data.train.held_out=many"], "data.train.held_out is 'many', but it must be float."),
        (["train", "data=folder", "data.train.roots=null"], "data.train.roots is null, but it must be a list."),
        (["train", "rerun=no"], "rerun is 'no', but it must be true or false."),
        (["train", "compile=1"], "compile is 1, but it must be true or false."),
        (["train", "pictures=no"], "pictures is 'no', but it must be int."),
        (["train", "data.monitor_on_test=off"], "data.monitor_on_test is 'off', but it must be true or false."),
        (["train", "trainer.val_check_interval=often"], "trainer.val_check_interval is 'often', but it must be int."),
        (["train", "callbacks.checkpoint.mode=Max"], "callbacks.checkpoint.mode is 'Max', but it must be max or min."),
        (["train", "callbacks.checkpoint.monitor=val/psn"], "the validation scores no 'psn'; did you mean 'psnr'?"),
        (["test", "model=gamma", "rerun=yes"], "rerun is 'yes', but it must be true or false."),
        (["predict", "model=gamma", "input=x", "output=y", "compare=maybe"], "compare is 'maybe', but it must be true or false."),
        (["predict", "model=gamma", "input=x", "output=y", "overwrite=no"], "overwrite is 'no', but it must be true or false."),
        (["export", "model=gamma", "output=y", "overwrite=no"], "overwrite is 'no', but it must be true or false."),
        (["profile", "model=gamma", "repeats=few"], "repeats is 'few', but it must be int."),
        (["train", "+lr_scheduler.steps=5"], "lr_scheduler.steps is set by Limpid itself"),
        (["train", "schedule.lr=1"], "There is no setting 'schedule.lr'; what depends on the budget stands in training"),
        (["train", "budget.crop=3"], "There is no setting 'budget.crop'; what depends on the budget stands in training"),
        (["train", "seed=0,1"], "The word 'seed=0,1' names several values; add -m for a sweep over them"),
        (["train", "data.crop"], "The word 'data.crop' sets nothing; write KEY=VALUE"),
        (["train", "+rdf/table5=student"], "There is no table or group 'rdf/table5'; did you mean 'rfd/table5'?"),
        (["train", "seed=-1"], "seed is -1, but it must be at least 0."),
        (["train", "+rfd/table5=lsid_fcnn"], "Row rfd/table5/lsid_fcnn (LSID-FCNN) is not built yet: "),
        (["train", "+rfd/table5=student", "data.root=/nowhere"], "(the data root /nowhere does not exist); looked in /nowhere/RESIDE/ITS"),
        (["train", "+rfd/table5=student", "data.root=/nowhere"], "add data=scenes"),
        (["train", "model._target_=os.system"], "model._target_ names 'os.system', but targets may only come from"),
        (["train", "network._target_=limpid.networks.ffa_net.FFANett"], "has no 'FFANett'; did you mean 'FFANet'?"),
        (["train", "data=scenes", "data.train.clean.count=null"], "data.train.clean.count is null, but it must be int."),
        (["test", "ckpt=/nowhere/a.ckpt", "data=scenes"], "There is no checkpoint /nowhere/a.ckpt"),
        (["test", "+rfd/table5=student"], "train it with `limpid train +rfd/table5=student budget=paper seed=0`, or give ckpt=PATH."),
        (["test", "model=aod_net", "data=scenes"], "has no weights"),
        (["train", "model=dcp", "data=scenes"], "The method dcp learns nothing, so there is nothing to train"),
        (["train", "model=zid", "data=scenes"], "The method zid learns on each image anew, so there is nothing to train"),
        (["export", "model=zid", "format=onnx", "output=a.onnx"], "zid cannot be exported to onnx: it learns on each image anew"),
        (["table", "rfd/tabel5"], "There is no paper, table or row 'rfd/tabel5'; did you mean 'rfd/table5'?"),
        (["train", "-m", "+rfd/table5=student,studnt"], "There is no rfd/table5=studnt; did you mean 'student'?"),
    ],
)  # fmt: skip
def test_mistakes_get_one_sentence_and_exit_status_2(
    arguments: list[str],
    sentence: str,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("LIMPID_DATA", raising=False)
    monkeypatch.setattr("sys.argv", ["limpid"])
    assert status(arguments) == 2
    out, err = capfd.readouterr()
    assert sentence in err
    assert "Traceback" not in err
    assert out == ""
    assert not list(tmp_path.rglob("config.yaml")), "nothing half-written"


def test_a_sweep_skips_what_is_done_and_what_cannot_run(limpid: Limpid, tmp_path: Path) -> None:
    sweep = ("train", "-m", "+rfd/table5=student,aod_net,lsid_fcnn", *SMOKE, "data.test.scenes.clean.height=32")
    first = limpid(*sweep)
    assert "3 jobs: 2 done, 1 skipped" in first.stderr
    assert "Row rfd/table5/lsid_fcnn (LSID-FCNN) is not built yet" in first.stderr
    again = limpid(*sweep)
    assert "3 jobs: 2 already done, 1 skipped" in again.stderr
    assert len(list((tmp_path / "runs").rglob("metrics.json"))) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}, "Hydra writes nothing of its own"

    entries = json.loads(limpid("table", "rfd/table5", "--format", "json").stdout)
    assert len(entries) == 18
    by_row = {entry["row"]: entry for entry in entries}
    assert by_row["lsid_fcnn"]["why_not"].startswith("not built")
    assert "The set reside_its is not there" in by_row["student"]["why_not"]
    [run] = [run for run in by_row["student"]["runs"] if run["budget"] == "smoke"]  # besides those that were kept
    assert set(run) >= {
        "status",
        "budget",
        "seed",
        "data",
        "overrides",
        "comparable",
        "metrics",
        "provenance",
        "path",
    }
    assert (run["status"], run["budget"], run["seed"], run["data"], run["comparable"]) == (
        "done",
        "smoke",
        0,
        "scenes",
        False,
    )
    assert run["metrics"]["scenes"]["psnr"]["n"] == 2
    assert run["metrics"]["scenes"]["ssim"]["protocol"] == "ssim_zero_pad"
    assert run["metrics"]["scenes"]["params_m"]["mean"] == 0.096007
    assert "data=scenes" in limpid("table", "rfd/table5").stdout


AWKWARD = "mit Leerzeichen [1]=ü, 'zwei' $x {y}"


def test_an_awkward_path_simply_works(limpid: Limpid, tmp_path: Path) -> None:
    root = tmp_path / AWKWARD
    rng = np.random.default_rng(0)
    for scene in ("1400", "1401"):
        write_image(root / "indoor" / "gt" / f"{scene}.png", rng.random((52, 60, 3), np.float32))
        write_image(root / "indoor" / "hazy" / f"{scene}_1.png", rng.random((32, 40, 3), np.float32))
    limpid("train", "+rfd/table5=aod_net", *SMOKE)
    [trained] = (tmp_path / "runs").rglob("last.ckpt")
    ckpt = root / "a=b, c.ckpt"
    ckpt.write_bytes(trained.read_bytes())
    limpid("test", "+rfd/table5=aod_net", f"ckpt={ckpt}", f"data.root={root}", "trainer=cpu")
    results = [json.loads(file.read_text()) for file in (tmp_path / "runs").rglob("metrics.json")]
    [tested] = [r for r in results if "sots_indoor" in r["metrics"]]
    assert tested["metrics"]["sots_indoor"]["psnr"]["n"] == 2
    assert tested["comparable"] is False
    assert tested["complete"] == {"sots_indoor": False}, "2 of 500 images"
    assert tested["provenance"]["trained"]["budget"] == "smoke"


def test_a_checkpoint_brings_its_own_network(limpid: Limpid, refused: Refused, tmp_path: Path) -> None:
    limpid("train", "model=ffa_net", "network.dim=16", "network.blocks=1", *SMOKE)
    [ckpt] = (tmp_path / "runs").rglob("last.ckpt")
    tested = limpid("test", f"ckpt={ckpt}", "data=scenes", "data.test_images=1", "trainer=cpu")
    assert "psnr" in tested.stdout
    assert "network.dim cannot be set" in refused("test", f"ckpt={ckpt}", "network.dim=64", "data=scenes")
    of_a_row = refused("test", "+rfd/table5=aod_net", f"ckpt={ckpt}", "data=scenes")
    assert "holds the network ffa_net, but the row's is aod_net" in of_a_row
    content = torch.load(ckpt, weights_only=True)
    content["network_config"]["_target_"] = "os.system"
    torch.save(content, ckpt)
    assert "its sha256 is not in sha256.json" in refused("test", f"ckpt={ckpt}", "data=scenes")
    torch.save(content, tmp_path / "foreign.ckpt")
    assert "_target_" in refused("test", f"ckpt={tmp_path / 'foreign.ckpt'}", "data=scenes")
    ckpt.write_bytes(ckpt.read_bytes()[:1000])
    assert "cut short" in refused("test", f"ckpt={ckpt}", "data=scenes")


def test_networks_sets_and_rows_from_outside(limpid: Limpid, tmp_path: Path) -> None:
    files = {
        "mine.py": "from torch import nn\nclass Net(nn.Conv2d):\n"
        "    def __init__(self, size=3):\n        super().__init__(3, 3, size, padding=size // 2)\n",
        "conf/network/mine.yaml": "_target_: mine.Net\nsize: 5\n",
        "conf/data/mine.yaml": "defaults: [recipe, /dataset@train: folder, /dataset@test.mine: folder, _self_]\n"
        "train: {roots: [pairs]}\ntest: {mine: {roots: [pairs]}}\n",
        "experiments/own/paper.yaml": "tables:\n  table1:\n    rows:\n"
        "      first: {label: Mine, kind: ours, printed: {mine: {psnr: 30.0}}}\n",
        "experiments/own/table1/first.yaml": "# @package _global_\ndefaults:\n  - override /model: mine\n"
        "  - override /data: mine\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text.replace("defaults: [recipe, /dataset@train: folder, /dataset@test.mine: folder, _self_]",
            "defaults:\n  - recipe\n  - /dataset@train: folder\n  - /dataset@test.mine: folder\n  - _self_"))  # fmt: skip
    rng = np.random.default_rng(0)
    for kind in ("input", "target"):
        for i in range(3):
            write_image(tmp_path / "pairs" / kind / f"{i}.png", rng.random((64, 64, 3), np.float32))
    smoke = ("budget=smoke", "trainer=cpu", "data.root=.", "data.workers=0")
    refused = limpid("train", "+own/table1=first", *smoke, expect=2, PYTHONPATH=".")
    assert "add allow_targets=[mine]" in refused.stderr
    done = limpid("train", "+own/table1=first", "allow_targets=[mine]", *smoke, PYTHONPATH=".")
    assert "Mine (own/table1/first)" in done.stdout
    assert (tmp_path / "runs/own/table1/first/smoke/seed-0/metrics.json").is_file() or list(
        (tmp_path / "runs/own/table1/first/smoke").glob("seed-0*/metrics.json")
    )


def test_values_of_paths_are_quoted_and_others_left_alone() -> None:
    assert quoted("data.root=/a b,c=[d]") == "data.root='/a b,c=[d]'"
    assert quoted("ckpt=it's") == r"ckpt='it\'s'"
    assert quoted("ckpt=null") == "ckpt=null"
    assert quoted("ckpt=zoo:ffa_net") == "ckpt=zoo:ffa_net"
    assert quoted("input='by hand'") == "input='by hand'"
    assert quoted("output=~/x") == f"output='{Path.home()}/x'"
    assert quoted("seed=1,2") == "seed=1,2"


def test_output_that_nobody_reads_to_its_end_is_no_mistake() -> None:
    ends = os.pipe()
    os.close(ends[0])
    command = [sys.executable, "-c", "from limpid.cli import main; main()", "--help"]
    done = subprocess.run(command, stdout=ends[1], stderr=subprocess.PIPE, check=False)
    os.close(ends[1])
    assert (done.returncode, done.stderr) == (0, b"")


def test_tab_completion_goes_through_the_verb(limpid: Limpid) -> None:
    def completed(line: str) -> set[str]:
        done = limpid("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
        return set(done.stdout.split())

    assert completed("limpid tr") == {"train"}
    assert "+rfd/table5=student" in completed("limpid train +rfd/table5=stu")
    assert {"budget=mini", "budget=paper", "budget=smoke"} <= completed("limpid train budget=")


def test_stdout_carries_the_answer_alone(limpid: Limpid) -> None:
    done = limpid("train", "+rfd/table5=aod_net", *SMOKE)
    assert "train 2/2" in done.stderr
    assert "train 2/2" not in done.stdout
    assert "psnr_rgb_100" in done.stdout


def test_wandb_is_offline_and_lives_in_the_run(limpid: Limpid, tmp_path: Path) -> None:
    limpid("train", "+rfd/table5=aod_net", *SMOKE, "logger=wandb")
    [config] = (tmp_path / "runs").rglob("config.yaml")
    [offline] = (config.parent / "wandb").glob("offline-run-*")
    assert list(offline.glob("run-*.wandb"))
    assert not (tmp_path / "wandb").exists()


def test_folders_are_scored_without_a_model(limpid: Limpid, refused: Refused, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(3):
        clean = rng.random((32, 40, 3), np.float32)
        write_image(tmp_path / "clean, [1]" / f"{i}.png", clean)
        write_image(tmp_path / "restored=ü" / f"{i}.png", np.clip(clean + 0.02 * (i + 1), 0, 1))
    folders = ("images=restored=ü", "reference=clean, [1]")
    done = json.loads(limpid("test", *folders, "metrics=[psnr,ssim_zero_pad]", "format=json", "output=out").stdout)
    values = [row["psnr_rgb"] for row in done["per_image"]]
    assert done["metrics"]["psnr_rgb"] == {"mean": pytest.approx(sum(values) / 3), "n": 3, "protocol": "psnr_rgb"}
    assert values == sorted(values, reverse=True)
    assert json.loads((tmp_path / "out" / "scores.json").read_text()) == done
    lines = (tmp_path / "out" / "per_image.csv").read_text().splitlines()
    assert lines[0] == "name,psnr_rgb,ssim_zero_pad"
    assert len(lines) == 4
    for wrong, sentence in {
        ("metrics=[psnrr]",): "There is no metric 'psnrr'; did you mean 'psnr'?",
        ("images=nowhere",): "There are no images in nowhere",
        ("imagess=x",): "'imagess=x' means nothing when images are scored; did you mean 'images'?",
        ("reference=out",): "3 of the images in restored=ü have no image of the same name in out: 0.png",
    }.items():
        assert sentence in refused("test", *folders, *wrong)
    assert "add reference=DIR" in refused("test", folders[0], "metrics=[psnr]")


def test_one_bad_image_does_not_throw_away_the_scores_of_a_folder(refused: Refused, tmp_path: Path) -> None:
    for name, size in (("a", 24), ("b", 5), ("d", 24)):
        for folder in ("images", "reference"):
            write_image(tmp_path / folder / f"{name}.png", np.full((size, size, 3), 0.5, np.float32))
    for folder in ("images", "reference"):
        (tmp_path / folder / "c.png").write_bytes(b"no picture")
        Image.new("L", (24, 24), 9).save(tmp_path / folder / "e.gif")  # which is read, though never written
    write_image(tmp_path / "images/f.png", np.zeros((24, 24, 3), np.float32))
    for name in ("f.bmp", "f.jpg"):
        Image.new("L", (24, 24)).save(tmp_path / "reference" / name)
    said = refused("test", "images=images", "reference=reference", "metrics=[ssim,psnr]", "output=out")
    sentences = said.splitlines()[-4:]
    assert sentences[0] == "3 of 6 images could not be scored:"
    assert sentences[1].startswith("  images/b.png: SSIM with a window of 7 pixels needs images of at least 7x7")
    assert sentences[2].startswith("  images/c.png is not an image that can be read")
    assert sentences[3].startswith("  images/f.png has several references (f.bmp, f.jpg)")
    lines = (tmp_path / "out" / "per_image.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["name", "a.png", "d.png", "e.gif"]
    scores = json.loads((tmp_path / "out" / "scores.json").read_text(), parse_constant=pytest.fail)
    assert scores["metrics"]["psnr_rgb"] == {"mean": None, "n": 3, "protocol": "psnr_rgb"}, "it is infinite"


def test_a_full_disk_is_a_sentence_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, *arguments: object, **settings: object) -> None:
        Path(path).touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(Path, "write_text", full)
    assert status(["test", f"images={tmp_path}", "metrics=[piqe]", f"output={tmp_path / 'scores'}"]) == 2
    assert "There is no room on the disk to write" in capfd.readouterr().err
    assert not list((tmp_path / "scores").iterdir())


@pytest.mark.parametrize("launcher", ["joblib", pytest.param("submitit_local", marks=pytest.mark.slow)])
def test_a_launcher_gives_the_same_table(launcher: str, limpid: Limpid, tmp_path: Path) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher")
    # With loading processes: in joblib's workers they cannot start the usual way.
    jobs = ["-m", "+rfd/table5=aod_net", "seed=1,2", *SMOKE, "data.workers=1"]
    limpid("train", *jobs, LIMPID_RUNS=str(tmp_path / "basic"))
    limpid("train", *jobs, f"hydra/launcher={launcher}", LIMPID_RUNS=str(tmp_path / launcher))
    tables = [
        json.loads(limpid("table", "rfd/table5/aod_net", "--format", "json", LIMPID_RUNS=str(tmp_path / store)).stdout)
        for store in ("basic", launcher)
    ]
    basic, other = ([run["metrics"] for run in entries[0]["runs"] if run["budget"] == "smoke"] for entries in tables)
    assert len(basic) == 2
    assert basic == other


@pytest.mark.slow
def test_a_search_survives_a_job_that_fails(limpid: Limpid) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    search = ["hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "hydra.sweeper.n_trials=4"]
    settings = ["hydra.sweeper.n_jobs=1", "hydra.sweeper.sampler.seed=1", "optimizer.lr=choice(-1,0.001)"]
    done = limpid("train", "-m", "model=aod_net", *SMOKE, *search, *settings, expect=1)
    assert "Invalid learning rate: -1" in done.stderr
    assert "4 jobs:" in done.stderr


def test_the_wandb_sweep_is_a_command_that_composes(limpid: Limpid) -> None:
    sweep = yaml.safe_load((Path(__file__).parents[2] / "docs" / "sweeps" / "wandb.yaml").read_text())
    words = [word for word in sweep["command"][1:] if word != "${args_no_hyphens}"]
    limpid(*words, *(f"{key}={spec.get('min', 0)}" for key, spec in sweep["parameters"].items()), "--cfg", "job")
