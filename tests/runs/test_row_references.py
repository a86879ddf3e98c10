"""`row:PAPER/TABLE/ROW` as a checkpoint: in a test, for photographs, in Python; and what is said where it is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.specs import SMALL, config, words

import limpid
from limpid.cli import status
from limpid.config.references import references
from limpid.errors import UserError
from limpid.results.rows import rows
from limpid.runs.resolve import resolve, row_run
from limpid.runs.runner import Results, perform

ROW = "rfd/table5/aod_net"
#: What is tested without weights: priors, and what learns on each image.
WITHOUT_WEIGHTS = ("dcp", "wmcp", "mof", "kim2020", "cbcs", "rop", "rop_plus", "zid", "identity")
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


def test_a_test_of_a_training_of_another_length_takes_its_weights_and_no_others(trained: Results) -> None:
    """They were those of the row as it is, under a line that said ``trainer.max_steps=3``."""
    longer = [*words(ROW, *SMALL), "trainer.max_steps=3"]
    with pytest.raises(UserError, match=r"train it with `limpid train .*trainer.max_steps=3"):
        resolve(longer, "test")
    left = perform(resolve(longer))
    tested = resolve([*longer, "metrics=standard"], "test").tested
    assert tested is not None
    assert tested.file.parent.parent == left.directory != trained.directory
    given = resolve([*longer, f"ckpt='{left.directory}/checkpoints/best.ckpt'"], "test")
    assert not [word for word in given.changes if "max_steps" in word], "nobody knows whether it is so of a file"
    as_it_is = resolve(words(ROW, *SMALL), "test").tested
    assert as_it_is is not None
    assert as_it_is.file.parent.parent == trained.directory


def _tested(overrides: list[str]) -> Results:
    return perform(resolve(overrides, "test"))


def test_photographs_take_the_rows_weights(trained: Results, tmp_path: Path) -> None:
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    inputs = [f"input={tmp_path / 'photo.png'}", f"output={tmp_path / 'out.png'}", "device=cpu", "inference=full"]
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


@pytest.mark.parametrize(
    ("row", "data", "expected"),
    [
        ("uni_removal/table1/mprnet", "scenes_unpaired", ["scenes", "scenes_rain", "scenes_blur"]),
        ("uni_removal/table3/xydeblur", "scenes_unpaired", ["scenes_blur"]),
        ("uni_removal/table1/mawr", "scenes_unpaired", ["scenes_mixture"]),
        # what only tests says nothing about training, nor does the recipe that the row has anyway
        ("uni_removal/table5/kt", "real_photographs", ["uni_removal_synthetic"]),
        ("uni_removal/table3/xydeblur", "realblur_j", ["gopro"]),
        ("rfd/table5/ours", "reside_its", ["reside_its_clear"]),
        ("rfd/table5/ours", "scenes", ["scenes"]),
    ],
)
def test_a_prerequisite_is_trained_on_what_it_can_learn_from(row: str, data: str, expected: list[str]) -> None:
    spec = resolve(words(row, f"data={data}", "prerequisites=run", "budget=smoke"))
    assert [needed.choices["data"] for needed in spec.prerequisites.values()] == expected


def test_a_row_that_only_tests_takes_its_weights_from_a_row() -> None:
    """Or it has none: else it would need a path that nobody knows."""
    for row in rows():
        if row.mode == "test" and not row.not_built:
            plain = config(row.id)
            found = references({"ckpt": plain["ckpt"], "model": plain["model"]})
            assert bool(found) == (row.model not in WITHOUT_WEIGHTS), row.id


def test_a_test_without_its_weights_says_how_they_are_made(tmp_path: Path) -> None:
    row = words("uni_removal/table5/kt", "budget=smoke", "data=scenes_unpaired")
    with pytest.raises(
        UserError, match="tests the weights of row:uni_removal/table4/bkt_icl_fcl, .* prerequisites=run"
    ):
        limpid.run(row)
    with pytest.raises(
        UserError, match=r"This test starts from the weights of row fdr/table1/ours, which are not there"
    ):
        perform(resolve(["ckpt=row:fdr/table1/ours", "data=scenes"], "test"))


def test_a_checkpoint_without_a_row_is_named_by_its_own_network() -> None:
    spec = resolve(["ckpt=zoo:fdr_scenes", *SMALL], "test")
    assert spec.directory.relative_to(spec.directory.parents[4]).parts[:2] == ("free", "fdr-scenes")
    assert (spec.choices["model"], spec.choices["network"], spec.network) == ("fdr", "fdr", "fdr")


def test_teachers_that_are_tested_are_recorded_by_their_weights(tmp_path: Path) -> None:
    small = ("budget=smoke", "data=scenes_mixture", "data.test_images=1", "trainer=cpu", "data.workers=0", "pictures=0")
    found = limpid.run(words("uni_removal/table4/teacher", *small)).document["provenance"]["teachers"]
    assert {kind: (origin["network"], origin["random"]) for kind, origin in found.items()} == {
        "haze": ("mprnet", 101), "rain": ("mprnet", 102), "blur": ("mprnet", 103),
    }  # fmt: skip
    assert len({origin["weights"] for origin in found.values()}) == 3
    assert all(len(origin["weights"]) == 64 for origin in found.values())
