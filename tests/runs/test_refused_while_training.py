"""A training from which the disk is taken away ends with a sentence, and leaves no half of a folder."""

from __future__ import annotations

import copy
import dataclasses
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.specs import spec_of

from limpid.errors import UserError
from limpid.loggers.csv_logger import StepCSVLogger
from limpid.models import Restorer
from limpid.runs.runner import perform
from limpid.runs.spec import RunSpec


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    return spec_of("aod_net", tmp_path_factory.mktemp("runs") / "run", "trainer.max_steps=3", "log_every=1")


def test_a_folder_that_is_removed_is_not_made_again(
    spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "store" / "run"
    original = Restorer.training_step

    def removes(self: Restorer, batch: Any, batch_idx: int) -> Any:
        if batch_idx == 1:
            shutil.rmtree(folder.parent)
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Restorer, "training_step", removes)
    with pytest.raises(UserError, match="was removed or replaced while the run went on"):
        perform(dataclasses.replace(copy.deepcopy(spec), directory=folder))
    assert not folder.parent.exists()


def test_a_full_disk_is_a_sentence_and_noted(spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "store" / "run"

    def full(self: StepCSVLogger, metrics: object, step: int | None = None) -> None:
        if step == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    monkeypatch.setattr(StepCSVLogger, "log_metrics", full)
    said = f"There is no room on the disk to write {folder / 'curves.csv'}; make some, and give the same command again."
    with pytest.raises(UserError) as raised:
        perform(dataclasses.replace(copy.deepcopy(spec), directory=folder))
    assert str(raised.value) == said
    stored = json.loads((folder / "status.json").read_text())
    assert (stored["status"], stored["message"]) == ("failed", said)
