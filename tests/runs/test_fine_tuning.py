"""A training that starts from `ckpt`, and one that continues a shorter run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.specs import SMALL

import limpid
from limpid import checkpoint
from limpid.errors import UserError
from limpid.runs.resolve import resolve
from limpid.runs.runner import Runner
from limpid.runs.spec import RunSpec
from limpid.store.run_directory import Run

WORDS = ("model=aod_net", *SMALL)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(autouse=True)
def in_the_store(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMPID_RUNS", str(store))


@pytest.fixture(scope="module")
def trained(store: Path) -> Path:
    """The checkpoint of a run of two steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMPID_RUNS", str(store))
        return Run(limpid.run(*WORDS).directory).last_checkpoint


def _weights(file: Path) -> dict[str, torch.Tensor]:
    return checkpoint.weights(checkpoint.read(file))


def _equal(a: Path, b: Path) -> bool:
    return checkpoint.weights_fingerprint(_weights(a)) == checkpoint.weights_fingerprint(_weights(b))


def test_a_training_starts_from_the_weights(trained: Path) -> None:
    """With a learning rate of 0 the weights at its end are those it started from."""
    run = limpid.run(*WORDS, f"ckpt='{trained}'", "optimizer.lr=0")
    assert _equal(Run(run.directory).last_checkpoint, trained)
    origin = run.document["provenance"]["fine_tuned_from"]
    assert origin["weights"] == checkpoint.weights_fingerprint(_weights(trained))
    assert (origin["ckpt"], origin["network"], origin["trained"]["step"]) == (str(trained), "aod_net", 2)
    assert not run.document["comparable"]


def test_its_weights_name_the_run(trained: Path, tmp_path: Path) -> None:
    plain, tuned = resolve(WORDS), resolve([*WORDS, f"ckpt='{trained}'"])
    elsewhere = tmp_path / "copy.ckpt"
    elsewhere.write_bytes(trained.read_bytes())
    copied = resolve([*WORDS, f"ckpt='{elsewhere}'"])
    changed = dict(checkpoint.read(trained))
    changed["state_dict"] = {name: value + 1 for name, value in checkpoint.read(trained)["state_dict"].items()}
    checkpoint.save(changed, tmp_path / "changed.ckpt")
    others = resolve([*WORDS, f"ckpt='{tmp_path / 'changed.ckpt'}'"])
    assert plain.fingerprint != tuned.fingerprint == copied.fingerprint != others.fingerprint
    assert f"ckpt='{trained}'" in tuned.changes


def test_every_way_to_name_weights(trained: Path) -> None:
    from_row = resolve(["+rfd/table5=aod_net", "ckpt=row:rfd/table5/aod_net", *SMALL])
    assert [needed.row for needed in from_row.prerequisites.values()] == ["rfd/table5/aod_net"]
    assert from_row.initial is None  # until it is trained
    of_zoo = resolve(["model=rfd_student", "ckpt=zoo:rfd_student_scenes", *SMALL])
    assert of_zoo.initial is not None
    assert of_zoo.provenance["fine_tuned_from"]["trained"]["zoo"] == "rfd_student_scenes"  # type: ignore[index]


def test_a_row_is_trained_first_and_then_its_weights_name_the_run(store: Path) -> None:
    small = [word for word in SMALL if not word.startswith("prerequisites")]
    words = ["model=aod_net", "ckpt=row:rfd/table5/aod_net", "optimizer.lr=0", "prerequisites=run", *small]
    run = limpid.run(words)
    row = resolve(["+rfd/table5=aod_net", *small])
    assert _equal(Run(run.directory).last_checkpoint, Run(row.directory).chosen_checkpoint)
    digest = checkpoint.weights_fingerprint(_weights(Run(row.directory).chosen_checkpoint))
    assert run.document["provenance"]["fine_tuned_from"]["weights"] == digest
    assert limpid.run(words).directory == run.directory


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model=aod_net", "ckpt=there/is/none.ckpt"], "There is no checkpoint there/is/none.ckpt"),
        (["model=aod_net", "ckpt=zoo:rfd_student_scenes"], "choose model=rfd_student"),
        (["model=rfd_student", "ckpt=zoo:rfd_student_scenes", "network.dim=32"], "type network.dim=16"),
        (["model=dncnn", "ckpt=zoo:rfd_student_scenes", "strict_loading=false"], "None of the"),
    ],
)
def test_weights_that_are_not_there_or_do_not_fit_are_refused_before_anything_is_written(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "none"))
    with pytest.raises(UserError, match=sentence):
        limpid.run(*words, *SMALL)
    assert not (tmp_path / "none").exists()


def test_what_fits_is_taken_over_where_that_is_asked_for() -> None:
    card = checkpoint.weights(checkpoint.read(Path("zoo:rfd_student_scenes")))
    words = ["model=rfd_student", "ckpt=zoo:rfd_student_scenes", "network.groups=2", "strict_loading=false"]
    run = limpid.run(*words, "optimizer.lr=0", *SMALL)
    state = _weights(Run(run.directory).last_checkpoint)
    fitting = {name for name, value in state.items() if name in card and card[name].shape == value.shape}
    assert 0 < len(fitting) < len(card)
    assert all(torch.equal(state[name], card[name]) for name in fitting)


def test_adaptation_starts_from_ckpt_in_place_of_its_row() -> None:
    words = ["+uni_removal/table5=kt_bda", "budget=smoke", "data=scenes_unpaired", "ckpt=zoo:uni_removal_scenes"]
    spec = resolve(words)
    assert spec.prerequisites == {}
    assert spec.settled()["model"]["start"]["ckpt"] == "zoo:uni_removal_scenes"
    with pytest.raises(UserError, match="give one of them"):
        resolve([*words, "model.start.ckpt=other.ckpt"])


def test_a_longer_run_continues_a_finished_one_to_the_bits_of_one_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = (*WORDS, "trainer.max_steps=4")
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "direct"))
    direct = limpid.run(*longer)
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "continued"))
    short = limpid.run(*WORDS)
    capsys.readouterr()
    continued = limpid.run(*longer)
    assert f"continues the finished run {short.directory} after its 2 steps" in capsys.readouterr().err
    assert _equal(Run(continued.directory).last_checkpoint, Run(direct.directory).last_checkpoint)
    assert continued.metrics == direct.metrics
    curves = [(run.directory / "curves.csv").read_text() for run in (continued, direct)]
    assert curves[0] == curves[1]


@pytest.mark.parametrize("shape", ["lr_scheduler=cosine", "lr_scheduler=fdr"])
def test_a_learning_rate_over_the_whole_run_is_not_continued(
    shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path))
    short = limpid.run(*WORDS, shape, "trainer.max_steps=10", "callbacks.checkpoint.every=10")
    capsys.readouterr()
    limpid.run(*WORDS, shape, "trainer.max_steps=11", "callbacks.checkpoint.every=10")
    assert f"The finished run {short.directory} of 10 steps is not continued" in capsys.readouterr().err


def test_files_of_weights_that_a_model_names_enter_by_content(trained: Path, tmp_path: Path) -> None:
    words = ["model=distillation", *SMALL]
    for name in ("seed-0", "seed-1", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "teacher.ckpt").write_bytes(trained.read_bytes() + (b"1" if name == "seed-1" else b""))

    def of(name: str, *more: str) -> RunSpec:
        return resolve([*words, f"model.teacher.ckpt='{tmp_path}/{name}/teacher.ckpt'", *more])

    first, copied, second = of("seed-0"), of("other"), of("seed-1", "seed=1")
    assert first.fingerprint == copied.fingerprint != second.fingerprint
    assert first.training == second.training  # each seed from its own seed's teacher is one training
    (tmp_path / "other" / "teacher.ckpt").write_bytes(b"other weights")
    assert of("other").fingerprint != first.fingerprint
    card = resolve([*words, "model.teacher.ckpt=zoo:rfd_student_scenes"])
    assert card.fingerprint not in (first.fingerprint, resolve(words).fingerprint)
    with pytest.raises(UserError, match="There is no checkpoint nowhere.ckpt for model.teacher.ckpt"):
        resolve([*words, "model.teacher.ckpt=nowhere.ckpt"])


def test_a_run_continues_the_longest_of_those_that_are_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path))
    two, five = limpid.run(*WORDS), limpid.run(*WORDS, "seed=0", "trainer.max_steps=5")
    capsys.readouterr()
    limpid.run(*WORDS, "trainer.max_steps=3")
    assert f"continues the finished run {two.directory} after its 2 steps" in capsys.readouterr().err
    Run(five.directory).last_checkpoint.unlink()
    limpid.run(*WORDS, "trainer.max_steps=6")
    said = capsys.readouterr().err
    assert f"The finished run {five.directory} is not continued: it has no last checkpoint any more." in said
    assert "after its 3 steps" in said


def test_a_run_that_ended_within_a_step_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the end of a training Lightning steps with the batches that are left, where a longer one takes more of them."""
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path))
    words = (*WORDS, "trainer.accumulate_grad_batches=2")
    limpid.run(*words, "trainer.max_steps=3")
    capsys.readouterr()
    limpid.run(*words, "trainer.max_steps=4")
    assert "fewer batches than trainer.accumulate_grad_batches=2" in capsys.readouterr().err


def test_weights_that_changed_after_the_run_was_asked_for_are_refused(trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "weights.ckpt"
    file.write_bytes(trained.read_bytes())
    spec = resolve([*WORDS, f"ckpt='{file}'", "optimizer.lr=0.5"])
    changed = dict(checkpoint.read(file))
    changed["state_dict"] = {name: value + 1 for name, value in checkpoint.read(file)["state_dict"].items()}
    checkpoint.save(changed, file)
    with pytest.raises(UserError, match="no longer those that this run was asked for with"):
        Runner(spec).run()
    assert not spec.directory.exists()
