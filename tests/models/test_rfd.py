"""Rich Feature Distillation: the student alone where the affinity has no weight, a teacher nothing changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.specs import same_run, spec_of
from torch import Tensor, nn
from torch.nn import functional as F

import limpid
from limpid import checkpoint
from limpid.errors import CannotRun, UserError
from limpid.losses import MSE, WeightedLoss
from limpid.losses.affinity import FeatureAffinity, affinity_distance
from limpid.models.rfd import RichFeatureDistillation
from limpid.models.teachers import load_teacher
from limpid.runs.runner import perform

TAPS = [{"student": "groups.0", "teacher": "mapping"}, {"student": "output", "teacher": "output"}]
RANDOM = {"network": "dsc_mc_fsrcnn", "weights": "random", "seed": 3}


def weights_of(folder: Path) -> dict[str, Tensor]:
    return checkpoint.weights(checkpoint.read(folder / "checkpoints" / "last.ckpt"))


def system(weight: float = 0.25, distance: str = "l2", **teacher: Any) -> RichFeatureDistillation:
    """A narrow student with a teacher, in training mode."""
    torch.manual_seed(0)
    network = limpid.build("rfd_student", dim=16, groups=1, blocks=1)
    term = FeatureAffinity(TAPS, distance)
    loss = WeightedLoss({"mse": {"weight": 1, "term": MSE()}, "affinity": {"weight": weight, "term": term}})
    made = RichFeatureDistillation(
        network, "rfd_student", {"groups": 1, "blocks": 1}, loss, teacher={**RANDOM, **teacher}
    )
    made.setup("fit")
    return made.train()


def pairs() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    clear = torch.rand(2, 3, 24, 24, generator=generator)
    return {"input": 0.5 * clear + 0.4, "target": clear, "name": ["a", "b"], "index": torch.tensor([0, 1])}


def test_without_weight_every_step_is_the_plain_students(tmp_path: Path) -> None:
    steps = ("trainer.max_steps=3", "callbacks.checkpoint.every=3")
    plain = spec_of("rfd/table5/student", tmp_path / "student", *steps)
    distilled = spec_of("rfd/table5/ours", tmp_path / "ours", "loss.terms.affinity.weight=0", *steps)
    results = [perform(config) for config in (plain, distilled)]
    first, second = weights_of(tmp_path / "student"), weights_of(tmp_path / "ours")
    assert all(torch.equal(first[name], second[name]) for name in first | second)
    assert results[0].metrics == results[1].metrics
    assert "teacher" not in results[1].document["provenance"]["trained"], "nothing asks for one"


@pytest.mark.parametrize("distance", ["l2", "l1", "kl", "fro_over_n2"])
def test_the_loss_is_that_of_equation_15(distance: str) -> None:
    made, batch = system(distance=distance), pairs()
    step = made.training_step(batch, 0)
    restored = made.network(batch["input"])
    assert made.teacher is not None
    with torch.no_grad():
        taught = made.teacher(batch["target"])
    assert taught.shape == (2, 3, 48, 48)
    near = made.network.get_submodule("groups.0")(made.network.get_submodule("head")(batch["input"]))
    features = made.teacher.module.get_submodule("extract")(batch["target"])
    features = made.teacher.module.get_submodule("mapping")(made.teacher.module.get_submodule("shrink")(features))
    parts = [(near, 4, features, 4), (restored, 4, taught, 8)]
    affinities = [
        affinity_distance(F.avg_pool2d(s, a).flatten(2), F.avg_pool2d(t, b).flatten(2), distance)
        for s, a, t, b in parts
    ]
    expected = F.mse_loss(restored, batch["target"]) + 0.25 * torch.stack(affinities).mean()
    torch.testing.assert_close(step["loss"], expected, rtol=1e-5, atol=0)


def test_gradients_reach_the_student_and_never_the_teacher() -> None:
    made, batch = system(), pairs()
    assert made.teacher is not None
    before = {name: value.clone() for name, value in made.teacher.module.state_dict().items()}
    optimizer = torch.optim.Adam(made.network.parameters(), lr=1e-2)
    batch["target"].requires_grad_()
    for step in range(2):
        made.training_step(batch, step)["loss"].backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in made.network.parameters())
        assert all(p.grad is None and not p.requires_grad for p in made.teacher.module.parameters())
        optimizer.step()
    after = made.teacher.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not made.teacher.module.training
    alone = system(weight=1e-9)
    apart = [p.grad for p in made.network.parameters()]
    alone.training_step(pairs(), 0)["loss"].backward()
    assert any(
        not torch.allclose(a, p.grad) for a, p in zip(apart, alone.network.parameters(), strict=True) if a is not None
    )


def test_the_teacher_is_nobodys_state_but_follows_its_system() -> None:
    made = system()
    assert made.teacher is not None
    assert {name.split(".")[0] for name in made.state_dict()} == {"network"}
    assert len(list(made.parameters())) == len(list(made.network.parameters()))
    made.to(torch.float64)
    assert {p.dtype for p in made.teacher.module.parameters()} == {torch.float64}
    assert made.eval()(torch.rand(1, 3, 24, 24).double()).shape == (1, 3, 24, 24), "no features outside training"


def test_a_teacher_of_low_resolution_sees_half_the_image() -> None:
    batch = pairs()
    made = system(input_scale=0.5)
    taught = made.teacher_forward(batch["target"])
    small = F.interpolate(batch["target"], (12, 12), mode="bicubic", antialias=True)
    assert made.teacher is not None
    torch.testing.assert_close(taught.restored, made.teacher(small.clamp(0, 1)))
    assert taught.features["output"].shape == (2, 3, 24, 24)
    assert taught.features["mapping"].shape == (2, 36, 12, 12)
    assert torch.isfinite(system(input_scale=0.5).training_step({**batch}, 0)["loss"])


def test_the_clear_image_can_stand_in_for_a_teacher() -> None:
    teacher = load_teacher(None)
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(teacher.network(image), image)
    assert teacher.origin == {"network": None, "weights": None}


def test_a_random_teacher_is_drawn_by_its_own_seed() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    teachers = [load_teacher("dsc_mc_fsrcnn", weights="random", seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(3), expected), "the run's own numbers do not depend on a teacher being drawn"
    digests = [teacher.origin["weights"] for teacher in teachers]
    assert digests[0] == digests[1] != digests[2]
    assert teachers[2].origin["random"] == 1


def test_a_missing_or_wrong_teacher_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        CannotRun, match=r"The teacher dsc_mc_fsrcnn has no weights; train it \(`limpid train \+rfd/table4="
    ):
        load_teacher("dsc_mc_fsrcnn")
    with pytest.raises(UserError, match="weights is 'zero', but it must be null or random"):
        load_teacher("dsc_mc_fsrcnn", weights="zero")
    with pytest.raises(UserError, match="There is no checkpoint"):
        load_teacher("dsc_mc_fsrcnn", tmp_path / "none.ckpt", weights="random")
    config = spec_of("rfd/table5/ours", tmp_path / "run", "model.teacher.weights=null")
    with pytest.raises(CannotRun, match="has no weights"):
        perform(config)


def test_from_a_trained_teacher_to_a_distilled_student(tmp_path: Path) -> None:
    trained = perform(spec_of("rfd/table4/dsc_mc_fsrcnn", tmp_path / "teacher"))
    facts = trained.metrics["scenes"]
    assert facts["params_k"]["mean"] == pytest.approx(26.451)
    assert facts["epoch"]["mean"] == pytest.approx(2 * 2 / 20000), "two steps of two of 20,000 images"
    file = tmp_path / "teacher" / "checkpoints" / "best.ckpt"
    digest = checkpoint.weights_fingerprint(checkpoint.weights(checkpoint.read(file)))

    config = spec_of("rfd/table5/ours", tmp_path / "ours", f"model.teacher.ckpt={file}", "log_every=1")
    origin = perform(config).document["provenance"]["trained"]["teacher"]
    assert (origin["network"], origin["weights"], origin["input_scale"]) == ("dsc_mc_fsrcnn", digest, 1.0)
    assert origin["trained"]["row"] == "rfd/table4/dsc_mc_fsrcnn", "a checkpoint wins over random weights"
    assert origin["trained"]["target_scale"] == 2
    saved = checkpoint.read(tmp_path / "ours" / "checkpoints" / "last.ckpt")
    assert saved["network"] == "rfd_student"
    student = checkpoint.network(saved, file)
    assert sum(p.numel() for p in student.parameters()) == 96_007
    assert all(name.startswith("network.") for name in saved["state_dict"])
    curves = (tmp_path / "ours" / "curves.csv").read_text()
    assert all(f",{name}," in curves for name in ("train/mse", "train/affinity"))

    with pytest.raises(UserError, match="holds the network dsc_mc_fsrcnn, but the teacher is mc_fsrcnn"):
        load_teacher("mc_fsrcnn", file)


def test_a_run_does_not_go_on_with_another_teacher(tmp_path: Path) -> None:
    def run(seed: int, steps: int) -> None:
        (tmp_path / "metrics.json").unlink(missing_ok=True)
        settings = (f"model.teacher.seed={seed}", f"trainer.max_steps={steps}", "loss=rfd_multi_scale")
        perform(same_run(spec_of("rfd/table5/ours", tmp_path, *settings)))

    run(0, 1)
    with pytest.raises(UserError, match="This run began with another teacher"):
        run(1, 2)


def test_a_network_without_taps_needs_no_features() -> None:
    made = RichFeatureDistillation(nn.Conv2d(3, 3, 1), "none", {}, teacher={"network": "dsc_mc_fsrcnn"})
    made.setup("fit")
    assert made.teacher is None
    assert made.train()(torch.rand(1, 3, 16, 16)).shape == (1, 3, 16, 16)
