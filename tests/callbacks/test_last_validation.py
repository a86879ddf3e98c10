"""Every run ends with a validation, once, and goes on with it where it was interrupted."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tests.models.plain import loader, trainer
from tests.specs import spec_of

import limpid
from limpid import callbacks, checkpoint
from limpid.runs.runner import Runner


def validations(run: Path) -> list[int]:
    """The steps at which a run was validated, in the order of its curves."""
    with (run / "curves.csv").open() as file:
        return [int(line["step"]) for line in csv.DictReader(file) if line["name"] == "val/psnr"]


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [(5, 2, [2, 4, 5]), (4, 2, [2, 4]), (2, 5, [2]), (1, 1, [1])],
)
def test_the_last_weights_are_validated_once(tmp_path: Path, steps: int, every: int, expected: list[int]) -> None:
    length = (f"trainer.max_steps={steps}", f"trainer.val_check_interval={every}")
    Runner(spec_of("rfd/table5/aod_net", tmp_path, *length, "data.val.clean.count=1")).run()
    assert validations(tmp_path) == expected
    assert checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")["provenance"]["step"] == steps


def test_a_run_that_ends_in_an_epoch_of_its_data_is_validated_there(tmp_path: Path) -> None:
    """Three epochs of 5 images in batches of 2 are 8 steps: one more than the last multiple of 7."""
    length = ("trainer.max_steps=null", "trainer.max_epochs=3", "trainer.val_check_interval=7")
    sizes = ("data.train.clean.count=5", "data.val.clean.count=1")
    Runner(spec_of("rfd/table5/aod_net", tmp_path, *length, *sizes)).run()
    assert validations(tmp_path) == [7, 8]


def test_a_trainer_of_several_epochs_keeps_them(tmp_path: Path) -> None:
    own = trainer(tmp_path, max_epochs=2, callbacks=[callbacks.LastValidation()])
    own.fit(limpid.model("aod_net"), loader())
    assert (own.current_epoch, own.global_step) == (2, 6)
