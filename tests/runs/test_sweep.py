"""What a sweep leaves behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from limpid.cli import status


def test_a_sweep_that_does_not_start_is_not_taken_for_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A later run in the same process raised nothing: it noted its mistake in the folder of the sweep before."""
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("sys.argv", ["limpid"])
    assert status(["train", "-m", "+rfd/table5=no_such_row"]) == 2
    assert "LIMPID_SWEEP" not in os.environ
    capsys.readouterr()
    assert status(["train", "+rfd/table5=lsid_fcnn"]) == 2
    assert "not built" in capsys.readouterr().err
