"""Feature affinity: its distances against their definitions over all pairs of positions, its pooling, its gradients."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from tests.losses.steps import step
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from limpid.config import instantiate
from limpid.errors import UserError
from limpid.losses import Step, WeightedLoss
from limpid.losses.affinity import DISTANCES, FeatureAffinity, affinity_distance, pooled
from limpid.losses.multi_scale import MSEAtEveryScale
from limpid.models import Restorer
from limpid.models.teachers import TeacherOutput
from limpid.networks.drn import Enlarged
from limpid.paths import shipped


def definition(student: Tensor, teacher: Tensor, distance: str) -> Tensor:
    """The distances as they are printed, with both P x P matrices of every image."""
    h, c = student.mT @ student, teacher.mT @ teacher
    if distance == "l2":
        return (h - c).square().mean()
    if distance == "l1":
        return (h - c).abs().mean()
    if distance == "kl":
        h, c = h.softmax(-1), c.softmax(-1)
        return (h * (h / c).log()).sum(-1).mean()
    return torch.linalg.vector_norm(h - c) / h.shape[-1] ** 2


def features(channels: int, positions: int = 35, images: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(images, channels, positions, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("channels", [3, 16])
@pytest.mark.parametrize("distance", DISTANCES)
def test_a_distance_and_its_gradient_are_those_of_the_definition(distance: str, channels: int) -> None:
    student, teacher = features(channels).requires_grad_(), features(3, seed=1)
    direct = definition(student, teacher, distance)
    (wanted,) = torch.autograd.grad(direct, student)
    for memory in (256.0, 0.003, 1e-9):  # all rows at once, a few at a time, one by one
        value = affinity_distance(student, teacher, distance, memory)
        (gradient,) = torch.autograd.grad(value, student)
        torch.testing.assert_close(value, direct, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(gradient, wanted, rtol=1e-8, atol=1e-10)


def test_nearly_equal_features_lose_no_digits_that_matter() -> None:
    teacher = features(3, positions=400)
    student = teacher + 1e-3 * features(3, positions=400, seed=2)
    wanted = definition(student, teacher, "l2")
    torch.testing.assert_close(affinity_distance(student, teacher), wanted, rtol=1e-8, atol=0)
    single = affinity_distance(student.float(), teacher.float())
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(wanted.item(), rel=1e-3)  # float32 features, float64 sums


@pytest.mark.parametrize("distance", DISTANCES)
def test_equal_features_are_no_distance_apart_and_have_a_finite_gradient(distance: str) -> None:
    student = features(3).requires_grad_()
    value = affinity_distance(student, student.detach(), distance)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-9)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    if distance != "fro_over_n2":  # a root, whose slope at 0 does not exist
        assert student.grad.abs().max() < 1e-12 or distance == "l1"


def test_closed_forms() -> None:
    # One channel, constant features a and b: every entry of the affinities is a^2 and b^2.
    student, teacher = torch.full((1, 1, 10), 0.5), torch.full((1, 1, 10), 0.2)
    difference = 0.25 - 0.04
    assert affinity_distance(student, teacher, "l2").item() == pytest.approx(difference**2, rel=1e-6)
    assert affinity_distance(student, teacher, "l1").item() == pytest.approx(difference, rel=1e-6)
    assert affinity_distance(student, teacher, "kl").item() == pytest.approx(0, abs=1e-7)  # both rows are uniform
    assert affinity_distance(student, teacher, "fro_over_n2").item() == pytest.approx(difference / 10, rel=1e-6)
    # Two positions, orthogonal features of length s in the student, none in the teacher: rows softmax(s^2, 0) to (1/2, 1/2).
    student = 1.5 * torch.eye(2)[None]
    p = 1 / (1 + math.exp(-(1.5**2)))
    wanted = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert affinity_distance(student, torch.zeros(1, 1, 2), "kl").item() == pytest.approx(wanted, rel=1e-6)
    reverse = 0.5 * math.log(0.5 / p) + 0.5 * math.log(0.5 / (1 - p))
    assert reverse != pytest.approx(wanted, rel=1e-2)
    assert affinity_distance(torch.zeros(1, 1, 2), student, "kl").item() == pytest.approx(reverse, rel=1e-6)


@pytest.mark.parametrize("distance", ["l1", "kl"])
def test_blocks_of_rows_stay_within_the_memory_they_are_given(distance: str) -> None:
    positions, megabytes = 1500, 2.0  # one whole matrix has 8.6 MiB
    student = torch.rand(1, 3, positions).requires_grad_()
    teacher = torch.rand(1, 3, positions)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        affinity_distance(student, teacher, distance, megabytes).backward()
    alive = peak = 0
    for event in profiler.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            alive += event.nbytes()
            peak = max(peak, alive)
    assert 0.2 * megabytes * 2**20 < peak < 1.1 * megabytes * 2**20


def test_cells_are_averaged_and_features_of_other_sizes_meet_on_one_grid() -> None:
    image = torch.rand(2, 3, 30, 45)
    grid = (30 // 4, 45 // 4)
    wanted = torch.stack(
        [image[:, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].mean((2, 3)) for i in range(7) for j in range(11)], -1
    )
    torch.testing.assert_close(pooled(image, grid), wanted)
    # An enlargement by repetition has the same means in cells twice the size.
    twice = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(pooled(twice, grid), wanted)
    with pytest.raises(UserError, match=r"Features of 4x4 cannot be pooled to the 11x7 positions"):
        pooled(torch.rand(1, 1, 4, 4), grid)


def step_of(student: dict[str, Tensor], teacher: dict[str, Tensor], size: int = 24) -> Step:
    image = torch.rand(2, 3, 48, 48)
    taught = TeacherOutput(image, (image,), teacher)
    return step(None, {"input": torch.rand(2, 3, size, size), "features": student, "teacher": taught})


def test_the_term_is_the_mean_over_its_layers_and_teaches_the_student_alone() -> None:
    near, far = torch.rand(2, 16, 24, 24, requires_grad=True), torch.rand(2, 3, 24, 24, requires_grad=True)
    teacher = {"extract": torch.rand(2, 8, 24, 24, requires_grad=True), "output": torch.rand(2, 3, 48, 48)}
    student = {"groups.0": near, "output": far}
    taps = [{"student": "groups.0", "teacher": "extract"}, {"student": "output", "teacher": "output"}]
    for normalise in (False, True):
        term = FeatureAffinity(taps, normalise=normalise)
        assert (term.network_layers, term.teacher_layers) == (("groups.0", "output"), ("extract", "output"))
        value = term(step_of(student, teacher))
        pairs = [
            (F.avg_pool2d(near, 4).flatten(2), F.avg_pool2d(teacher["extract"], 4).flatten(2)),
            (F.avg_pool2d(far, 4).flatten(2), F.avg_pool2d(teacher["output"], 8).flatten(2)),
        ]
        if normalise:
            pairs = [(s / s.norm(dim=1, keepdim=True), t / t.norm(dim=1, keepdim=True)) for s, t in pairs]
        wanted = torch.stack([definition(s.double(), t.double(), "l2") for s, t in pairs]).mean()
        assert value.item() == pytest.approx(wanted.item(), rel=1e-5)
        value.backward()
    assert near.grad is not None
    assert far.grad is not None
    assert teacher["extract"].grad is None


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(UserError, match="distance is 'l3'; choose one of l2, l1, kl, fro_over_n2"):
        FeatureAffinity(distance="l3")
    with pytest.raises(UserError, match="taps must be a list of pairs"):
        FeatureAffinity(taps=[{"student": "output"}])
    loss = WeightedLoss({"affinity": {"weight": 1.0, "term": FeatureAffinity()}})
    with pytest.raises(UserError, match="The term affinity of the loss requires teacher, which Restorer .*model=rfd"):
        Restorer(nn.Identity(), loss=loss)


def test_bfloat16_features_are_compared_in_float32() -> None:
    student, teacher = torch.rand(1, 3, 24, 24).bfloat16(), torch.rand(1, 3, 48, 48)
    with torch.autocast("cpu", torch.bfloat16):
        value = FeatureAffinity()(step_of({"output": student}, {"output": teacher}))
    exact = definition(pooled(student.double(), (6, 6)), pooled(teacher.double(), (6, 6)), "l2")
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.parametrize(("name", "taps"), [("rfd", 1), ("rfd_multi_scale", 4)])
def test_the_configs_weigh_the_affinity_by_a_quarter(name: str, taps: int) -> None:
    config: Any = OmegaConf.load(shipped("conf") / "loss" / "rfd.yaml")
    if name != "rfd":
        config = OmegaConf.merge(config, OmegaConf.load(shipped("conf") / "loss" / f"{name}.yaml"))
        config.pop("defaults")
    plain: Any = OmegaConf.to_container(config)
    instantiate.check(plain, "loss")
    loss: WeightedLoss = instantiate.construct(plain, "loss")
    assert loss.weights == {"mse": 1.0, "affinity": 0.25}
    term: Any = loss.terms["affinity"]
    assert len(term.pairs) == taps


def test_every_scale_of_drn_is_compared_with_the_target_at_that_size() -> None:
    target = torch.full((1, 3, 16, 16), 0.5)
    smaller = (torch.full((1, 3, 8, 8), 0.3), torch.full((1, 3, 4, 4), 0.5))
    value = MSEAtEveryScale()(step(Enlarged(torch.full((1, 3, 16, 16), 0.6), smaller), {"target": target}))
    assert value.item() == pytest.approx(0.01 + 0.04, rel=1e-4)
    assert MSEAtEveryScale()(step(torch.full((1, 3, 16, 16), 0.6), {"target": target})).item() == pytest.approx(
        0.01, rel=1e-4
    )
