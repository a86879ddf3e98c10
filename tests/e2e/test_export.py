"""`limpid export` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from tests.e2e.test_predict import saved_network

import limpid
from limpid.cli import status
from limpid.inference import restore


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["limpid"])
    monkeypatch.setenv("LIMPID_ZOO", str(tmp_path / "zoo"))


def test_all_formats_of_a_checkpoint(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    network = limpid.load(saved_network(tmp_path / "best.ckpt", bias=0.9))
    assert status(["export", "ckpt=best.ckpt", "format=all", "output=made"]) == 0
    names = ["aod_net.md", "aod_net.onnx", "aod_net.pt2", "aod_net.safetensors"]
    assert sorted(file.name for file in Path("made").iterdir()) == names
    out = capfd.readouterr().out
    assert out.count("largest difference to the network") == 2
    x = torch.rand(2, 3, 30, 21)
    expected = restore(network, x)
    session = onnxruntime.InferenceSession("made/aod_net.onnx")
    np.testing.assert_allclose(session.run(None, {"input": x.numpy()})[0], expected, atol=1e-5)
    torch.testing.assert_close(torch.export.load("made/aod_net.pt2").module()(x), expected)
    assert torch.equal(restore(limpid.load("made/aod_net.safetensors"), x), expected)

    before = {name: (Path("made") / name).read_bytes() for name in names}
    assert status(["export", "ckpt=best.ckpt", "format=all", "output=made"]) == 0
    assert capfd.readouterr().out.count("exists and is kept (overwrite=true replaces it)") == 3
    assert {name: (Path("made") / name).read_bytes() for name in names} == before
    saved_network(tmp_path / "best.ckpt", bias=0.8)
    assert status(["export", "ckpt=best.ckpt", "format=safetensors", "output=made", "overwrite=true"]) == 0
    assert (Path("made") / names[3]).read_bytes() != before[names[3]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model=aod_net", "output=x.onnx"], "The model aod_net has no weights to export"),
        (["model=identity", "output=x.onnx"], "has no network of its own"),
        (["model=gamma"], "limpid export lacks output"),
        (["model=gamma", "output=x", "format=onx"], "format is 'onx', but it must be onnx or torch or safetensors or all."),
        (["model=gamma", "output=x.pt2"], "format=onnx writes a file .onnx"),
        (["model=gamma", "output=x.pt2", "format=all"], "must be a folder"),
        (["model=gamma", "output=x", "opset=17"], "opset is 17, but it must be at least 18."),
        (["model=gamma", "output=x", "tolerance=-1"], "tolerance is -1, but it must be at least 0."),
        (["model=gamma", "output=x", "check=maybe"], "check is 'maybe', but it must be true or false."),
        (["model=gamma", "output=x", "memory_format=contiguous_format"], "limpid export does not use 'memory_format'"),
        (["model=wmcp", "output=x"], "The method wmcp cannot be exported to onnx: it treats the images of a batch"),
        (["-m", "model=gamma,dcp", "output=x"], "leave out -m"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_refused_in_a_sentence(
    words: list[str], sentence: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert status(["export", *words]) == 2
    err = capfd.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_weights_are_never_written_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    saved_network(tmp_path / "a.ckpt")
    assert status(["export", "ckpt=a.ckpt", "format=safetensors", "output=a.safetensors"]) == 0
    before = Path("a.safetensors").read_bytes()
    again = ["export", "ckpt=a.safetensors", "format=safetensors", "output=a.safetensors", "overwrite=true"]
    assert status(again) == 2
    assert "The result would be written over a.safetensors" in capfd.readouterr().err
    assert Path("a.safetensors").read_bytes() == before
