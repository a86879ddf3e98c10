"""Least-squares losses at constant scores, and Uni-Removal's pixel terms."""

from __future__ import annotations

import pytest
import torch
from tests.losses.steps import step

from limpid.losses.adversarial import Adversarial, discriminator_loss, generator_loss
from limpid.losses.distillation import IdentityL1, TeacherL1
from limpid.networks.mprnet import MPRNetOutput


@pytest.mark.parametrize(
    ("clear", "restored", "discriminator", "generator"),
    [(1.0, 0.0, 0.0, 1.0), (0.0, 1.0, 1.0, 0.0), (0.5, 0.5, 0.25, 0.25), (0.3, 0.3, 0.29, 0.49), (2.0, -1.0, 1.0, 4.0)],
)
def test_values_at_constant_scores(clear: float, restored: float, discriminator: float, generator: float) -> None:
    clear_scores, restored_scores = torch.full((2, 1, 14, 14), clear), torch.full((3, 1, 6, 6), restored)
    assert float(discriminator_loss(clear_scores, restored_scores)) == pytest.approx(discriminator, abs=1e-6)
    assert float(generator_loss(restored_scores)) == pytest.approx(generator, abs=1e-6)
    assert float(Adversarial()(step(None, {"scores": restored_scores}))) == pytest.approx(generator, abs=1e-6)


def test_the_two_pull_the_scores_apart() -> None:
    scores = torch.full((1, 1, 2, 2), 0.5, requires_grad=True)
    generator_loss(scores).backward()
    assert scores.grad is not None
    assert (scores.grad < 0).all(), "the network wants its images to score higher"
    scores.grad = None
    discriminator_loss(torch.ones(1), scores).backward()
    assert (scores.grad > 0).all(), "the discriminator wants them to score lower"


def test_the_pixel_terms_of_uni_removal() -> None:
    x = torch.rand(1, 3, 4, 5)
    own = MPRNetOutput(x, (x + 1, x + 2, x), {})
    teacher_image = (x + 0.25).requires_grad_()
    teacher = MPRNetOutput(teacher_image, (x, x, teacher_image), {})
    batch = {"teacher": teacher, "clear": x, "clear_output": x + 0.5}
    assert float(TeacherL1()(step(own, batch))) == pytest.approx(0.25, rel=1e-5)
    assert float(TeacherL1(all_stages=True)(step(own, batch))) == pytest.approx(3.25, rel=1e-5)
    assert not TeacherL1()(step(own, batch)).requires_grad
    assert float(IdentityL1()(step(own, batch))) == pytest.approx(0.5, rel=1e-5)
