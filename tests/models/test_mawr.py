"""MAWR: teachers in the first part of the run alone, features that meet in a common space, and terms that take turns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.losses.steps import step
from tests.models.interruption import interrupted, parts
from tests.models.test_uni_removal import RANDOM, batch_of
from tests.specs import config, terms
from torch import nn
from torch.nn import functional as F

from limpid import checkpoint
from limpid.errors import CannotRun, UserError
from limpid.losses import L1, WeightedLoss
from limpid.losses.distillation import ProjectedFeatures, TeacherL1
from limpid.models.mawr import TwoStageLearning
from limpid.networks.msbdn import MSBDN

NARROW: dict[str, Any] = {"channels": 4, "blocks": 1, "level_blocks": 1, "residual_dense": True}
FEATURES = {"encode.2": 4, "encode.3": 8, "encoder_fusion.3": 16, "bottleneck": 16}
KINDS = ("haze", "rain", "blur")
SHORT = (
    "data.batch_size=2", "data.crop=32", "trainer.precision=32-true", "log_every=1", "callbacks.checkpoint.every=1",
    "trainer.max_steps=4", "trainer.val_check_interval=4", "data.val.clean.count=1", "data.test_images=1",
)  # fmt: skip
TEACHERS = {kind: {"network": "msbdn_rdff", "ckpt": None, "seed": i} for i, kind in enumerate(KINDS)}


def two_stages(weights: str | None = "random", **settings: Any) -> TwoStageLearning:
    """A narrow student with its three teachers, in training mode, in float32."""
    torch.manual_seed(9)
    terms: Mapping[str, nn.Module] = {
        "teacher_l1": TeacherL1(),
        "projected_features": ProjectedFeatures(FEATURES, 4, KINDS, back_weight=0.05),
        "l1": L1(),
    }
    loss = WeightedLoss({name: {"weight": 1.0, "term": term} for name, term in terms.items()})
    given: dict[str, Any] = {"collation": ["teacher_l1", "projected_features"], "share": 0.5, **settings}
    made = TwoStageLearning(MSBDN(**NARROW), "msbdn_rdff", NARROW, loss, teachers=TEACHERS, weights=weights, **given)
    made.setup("fit")
    return made.train()


def batch() -> dict[str, Any]:
    made = batch_of("haze", "rain", "blur", side=32)
    return {**made, "target": made["input"].flip(3)}


def test_the_teachers_are_asked_in_the_first_part_of_the_run_alone() -> None:
    made, asked = two_stages(), []
    for kind, teacher in made.teachers.items():
        teacher.module.register_forward_hook(lambda *_, kind=kind: asked.append(kind))
    for done in (0, 4):
        made.update_loss_weights(done, 10)
        assert set(made.training_step(batch(), done)["terms"]) == {"teacher_l1", "projected_features"}
    assert sorted(asked) == sorted(2 * KINDS)
    made.update_loss_weights(5, 10)
    output = made.training_step(batch(), 5)
    assert set(output["terms"]) == {"l1"}
    assert len(asked) == 6
    torch.testing.assert_close(output["loss"], F.l1_loss(made.network(batch()["input"]), batch()["target"]))
    made.update_loss_weights(0, 10)  # as after resuming in the first part
    assert made.loss is not None
    assert made.loss.weights == {"teacher_l1": 1.0, "projected_features": 1.0, "l1": 0.0}


@pytest.mark.parametrize(("share", "collating"), [(0, False), (1, True)])
def test_a_stage_can_take_the_whole_run(share: float, collating: bool) -> None:
    made = two_stages(share=share)
    for done in (0, 9):
        made.update_loss_weights(done, 10)
        assert made.collating is collating


def test_projections_are_learnt_with_the_student_and_rest_after_the_first_stage() -> None:
    made = two_stages()
    before = {kind: checkpoint.weights_fingerprint(t.module.state_dict()) for kind, t in made.teachers.items()}
    assert made.loss is not None
    term = made.loss.terms["projected_features"]
    made.update_loss_weights(0, 2)
    made.training_step(batch(), 0)["loss"].backward()
    for part in (made.network, term):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in part.parameters())
    assert all(p.grad.any() for p in term.parameters() if p.grad is not None)
    made.zero_grad()
    made.update_loss_weights(1, 2)
    made.training_step(batch(), 1)["loss"].backward()
    assert all(p.grad is not None and not p.grad.any() for p in term.parameters())
    assert {kind: checkpoint.weights_fingerprint(t.module.state_dict()) for kind, t in made.teachers.items()} == before


def test_a_run_interrupted_in_its_second_stage_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    place = "uni_removal/baselines/mawr"
    states = interrupted(place, tmp_path, TwoStageLearning, 3, *RANDOM, *SHORT)
    whole = states["whole"]
    assert parts(whole) == {"network", "loss"}, "projections, and no teacher"
    (optimizer,) = whole["optimizer_states"]
    assert len(optimizer["param_groups"][0]["params"]) == len(whole["state_dict"]), "what the loss learns is trained"


def test_projected_features_by_their_definition() -> None:
    torch.manual_seed(0)
    term = ProjectedFeatures({"deep.1": 2}, channels=2, teachers=["haze", "rain"], back_weight=0.05)
    student, teacher = torch.rand(3, 4, 5, 6, requires_grad=True), torch.rand(3, 4, 5, 6, requires_grad=True)
    domains = ["rain", "haze", "rain"]
    asked = {"teacher": SimpleNamespace(features={"deep.1": teacher}), "domain": domains}
    value = term(step(None, {**asked, "features": {"deep.1": student}}))
    expected = 0.0
    with torch.no_grad():
        for i, kind in enumerate(domains):
            theirs = term.teachers[f"{kind}_0"](teacher[i : i + 1])
            expected += float((term.student["0"](student[i : i + 1]) - theirs).abs().mean()) / 3
            expected += 0.05 * float((term.back[f"{kind}_0"](theirs) - teacher[i : i + 1]).abs().mean()) / 3
    assert value.item() == pytest.approx(expected, rel=1e-5)
    value.backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_a_teachers_projection_is_drawn_to_the_student() -> None:
    """As in the release: without the way back, its gradient is that of the distance alone, and it is not zero."""
    torch.manual_seed(0)
    term = ProjectedFeatures({"deep": 2}, channels=2, teachers=["haze"], back_weight=0.0)
    student, teacher = torch.rand(1, 4, 5, 6), torch.rand(1, 4, 5, 6)
    given = {"teacher": SimpleNamespace(features={"deep": teacher}), "domain": ["haze"], "features": {"deep": student}}
    term(step(None, given)).backward()
    gradients = [parameter.grad for parameter in term.teachers.parameters()]
    projected = term.teachers["haze_0"](teacher)
    distance = F.l1_loss(projected, term.student["0"](student).detach())
    expected = torch.autograd.grad(distance, list(term.teachers.parameters()))
    for found, direct in zip(gradients, expected, strict=True):
        torch.testing.assert_close(found, direct)
        assert direct.any()


def test_the_rows_terms_are_the_releases() -> None:
    term = terms("uni_removal/baselines/mawr")["projected_features"]["term"]
    assert term["back_weight"] == 0.05
    assert list(term["features"]) == ["encode.2", "encode.3", "encoder_fusion.3", "bottleneck"]
    assert config("uni_removal/baselines/mawr")["model"]["share"] == 125 / 250


def test_the_fourth_features_are_what_the_decoder_starts_from() -> None:
    torch.manual_seed(0)
    network = MSBDN(**NARROW)
    seen: dict[str, torch.Tensor] = {}
    for name in ("encoder_fusion.3", "blocks", "bottleneck"):
        keep = lambda _, __, output, name=name: seen.update({name: output})  # noqa: E731
        network.get_submodule(name).register_forward_hook(keep)
    network(torch.rand(1, 3, 32, 32))
    torch.testing.assert_close(seen["bottleneck"], seen["blocks"] - seen["encoder_fusion.3"])


def test_what_cannot_be_is_said_in_a_sentence() -> None:
    with pytest.raises(UserError, match=r"model\.share is 1\.5"):
        two_stages(share=1.5)
    for names in ([], ["teacher_l1", "projected_features", "l1"], ["nothing"]):
        with pytest.raises(UserError, match=r"some must count in either stage"):
            two_stages(collation=names)
    with pytest.raises(CannotRun, match=r"limpid train \+uni_removal/baselines=mawr_haze"):
        two_stages(weights=None)
