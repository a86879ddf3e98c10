"""`row:PAPER/TABLE/ROW` as a checkpoint: in a test, for photographs, in Python; and what is said where it is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.specs import SMALL, words

import limpid
from limpid.cli import status
from limpid.errors import UserError
from limpid.runs.resolve import resolve, row_run
from limpid.runs.runner import Results

ROW = "rfd/table5/aod_net"
REFERENCE = f"ckpt=row:{ROW}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(autouse=True)
def in_the_store(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMPID_RUNS", str(store))
    monkeypatch.setattr("sys.argv", ["limpid"])


@pytest.fixture(scope="module")
def trained(store: Path) -> Results:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMPID_RUNS", str(store))
        return limpid.run(words(ROW, *SMALL))


def test_python_does_what_the_command_does(trained: Results, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained.metrics["scenes"]["psnr"]["n"] == 2
    assert limpid.run(words(ROW, *SMALL)).skipped
    assert limpid.run(*words(ROW, *SMALL)).skipped
    assert status(["train", *words(ROW, *SMALL)]) == 0
    assert f"already done, nothing to do (rerun=true starts over): {trained.directory}" in capsys.readouterr().out


def test_a_test_takes_the_rows_weights_at_its_budget_and_seed(trained: Results) -> None:
    spec = resolve([REFERENCE, *SMALL], "test")
    assert spec.tested is not None
    assert spec.tested.file == row_run(f"row:{ROW}", SMALL).chosen_checkpoint
    assert spec.tested.trained["row"] == ROW
    by_path = resolve([f"ckpt='{spec.tested.file}'", *SMALL], "test")
    assert by_path.fingerprint == spec.fingerprint
    with_metrics = [REFERENCE, "metrics=rfd", *SMALL]
    assert _tested(with_metrics).metrics == trained.metrics


def _tested(overrides: list[str]) -> Results:
    from limpid.runs.runner import perform

    return perform(resolve(overrides, "test"))


def test_photographs_take_the_rows_weights(trained: Results, tmp_path: Path) -> None:
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    inputs = [f"input={tmp_path / 'photo.png'}", f"output={tmp_path / 'out.png'}", "device=cpu"]
    assert status(["predict", REFERENCE, "budget=smoke", "data=scenes", "data.workers=0", *inputs]) == 0
    network = limpid.load(str(row_run(f"row:{ROW}", SMALL).chosen_checkpoint))
    x = tensor_of(tmp_path / "photo.png")
    expected = limpid.inference.restore(network, x)[0, :, 0, 0]
    restored = np.asarray(Image.open(tmp_path / "out.png"))[0, 0] / 255
    assert np.abs(restored - expected.numpy()).max() <= 0.5 / 255 + 1e-6


def tensor_of(file: Path) -> torch.Tensor:
    return torch.from_numpy(np.asarray(Image.open(file), np.float32) / 255).permute(2, 0, 1)[None]


def test_weights_that_are_not_there_are_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    inputs = [f"input={tmp_path / 'a.png'}", f"output={tmp_path / 'out'}"]
    assert status(["predict", REFERENCE, "budget=mini", *inputs]) == 2
    said = capsys.readouterr().err
    assert f"Row {ROW} has no trained weights (looked in " in said
    assert "train it with `limpid train +rfd/table5=aod_net budget=mini`" in said
    with pytest.raises(UserError, match="names no row; write row:PAPER/TABLE/ROW"):
        resolve(["ckpt=row:rfd/table5", *SMALL], "test")
    with pytest.raises(UserError, match="There is no rfd/table5=aod_nett; did you mean 'aod_net'"):
        resolve(["ckpt=row:rfd/table5/aod_nett", *SMALL], "test")
