"""What one step of Uni-Removal's transfer runs: counted passes, images and gradients, not seconds."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from tests.models.test_uni_removal import KINDS, TAP, batch_of, transfer
from torch import nn

from limpid.losses.contrastive import FeatureContrast, ImageContrast
from limpid.losses.distillation import TeacherL1
from limpid.models.uni_removal import KnowledgeTransfer


@pytest.fixture
def system() -> KnowledgeTransfer:
    image = ImageContrast("teacher", weights="random", layers=["relu1_1", "relu2_1"])
    return transfer(
        teacher_l1=(1.0, TeacherL1()), image_contrast=(0.1, image), feature_contrast=(0.05, FeatureContrast([TAP]))
    )


def vgg_of(system: KnowledgeTransfer) -> nn.Module:
    assert system.loss is not None
    term: Any = system.loss.terms["image_contrast"]
    found: nn.Module = term.vgg.module
    return found


def passes(module: nn.Module) -> list[tuple[int, bool]]:
    """A list that fills with (images, whether a graph is kept) at each forward pass of `module`."""
    seen: list[tuple[int, bool]] = []
    module.register_forward_hook(lambda module, args, output: seen.append((len(args[0]), torch.is_grad_enabled())))
    return seen


def test_every_image_goes_through_exactly_one_teacher(system: KnowledgeTransfer) -> None:
    seen = {kind: passes(teacher.module) for kind, teacher in system.teachers.items()}
    domains = ["rain", "haze", "rain", "blur", "haze", "rain"]
    system.training_step(batch_of(*domains), 0)
    # One call per type, of that type's images alone, without a graph.
    assert seen == {kind: [(number, False)] for kind, number in Counter(domains).items()}


def test_a_type_that_is_not_in_the_batch_costs_nothing(system: KnowledgeTransfer) -> None:
    seen = {kind: passes(teacher.module) for kind, teacher in system.teachers.items()}
    system.training_step(batch_of("rain", "haze"), 0)
    assert seen == {"haze": [(1, False)], "rain": [(1, False)], "blur": []}


def test_the_student_goes_forward_and_back_once(system: KnowledgeTransfer) -> None:
    seen = passes(system.network)
    back: list[int] = []
    system.network.tail.register_full_backward_hook(lambda module, given, taken: back.append(len(taken[0])))
    system.training_step(batch_of(*KINDS), 0)["loss"].backward()
    assert seen == [(3, True)]
    assert back == [3]


def test_vgg_features_are_computed_once_and_shared(system: KnowledgeTransfer) -> None:
    seen = passes(vgg_of(system))
    system.training_step(batch_of(*KINDS, "rain"), 0)
    # The student's images with a graph; the teachers' and the degraded ones, which all anchors share, without.
    assert Counter(seen) == {(4, True): 1, (4, False): 2}


def test_nothing_reaches_teachers_or_vgg(system: KnowledgeTransfer) -> None:
    system.training_step(batch_of(*KINDS), 0)["loss"].backward()
    frozen = [*(teacher.module for teacher in system.teachers.values()), vgg_of(system)]
    assert all(p.grad is None for module in frozen for p in module.parameters())
    assert all(p.grad is not None for p in system.network.parameters())
