"""The relativistic game against its formula, with what it remembers; and DeblurGAN-v2's squared error."""

from __future__ import annotations

import pytest
import torch
from tests.losses.steps import step

from limpid.errors import UserError
from limpid.losses import MSE
from limpid.losses.relativistic import RecentMean, RelativisticAdversarial, ScoreMemory, relativistic_loss
from limpid.networks.vgg import IMAGENET_MEAN, IMAGENET_STD


def test_both_losses_are_their_formula_with_the_means_of_the_last_maps() -> None:
    """Two discriminators, a memory of three maps, and five steps of two images: written out."""
    torch.manual_seed(0)
    memory, term = ScoreMemory(2, 3), RelativisticAdversarial()
    seen: dict[str, list[list[torch.Tensor]]] = {"clear": [[], []], "restored": [[], []]}
    for _ in range(5):
        clear = [torch.randn(2, 1, 3, 4), torch.randn(2, 1, 2, 2)]
        restored = [torch.randn(2, 1, 3, 4), torch.randn(2, 1, 2, 2)]
        memory.add(clear, restored)
        judged, fooled = [], []
        for k in (0, 1):
            seen["clear"][k] += list(clear[k])
            seen["restored"][k] += list(restored[k])
            c, f = (torch.stack(seen[kind][k][-3:]).mean() for kind in ("clear", "restored"))
            judged.append((((clear[k] - f - 1) ** 2).mean() + ((restored[k] - c + 1) ** 2).mean()) / 2)
            fooled.append((((clear[k] - f + 1) ** 2).mean() + ((restored[k] - c - 1) ** 2).mean()) / 2)
        compared = memory(clear, restored)
        torch.testing.assert_close(relativistic_loss(*compared), sum(judged) / 2)
        given = {"scores": compared.restored, "reference_scores": compared.clear}
        torch.testing.assert_close(term(step(None, given)), sum(fooled) / 2)


def test_what_is_remembered_is_a_state_without_a_gradient() -> None:
    first, second = ScoreMemory(1, 50), ScoreMemory(1, 50)
    scores = torch.randn(3, 1, 4, 4, requires_grad=True)
    first.add(scores, scores + 1)
    second.load_state_dict(first.state_dict())
    assert set(first.state_dict()) == {"clear.0._extra_state", "restored.0._extra_state"}
    for mean in (second.clear[0], second.restored[0]):
        assert isinstance(mean, RecentMean)
        assert isinstance(mean(), float)
    assert second.restored[0]() - second.clear[0]() == pytest.approx(1, abs=1e-6)
    (compared,), _ = second(scores, scores)
    (gradient,) = torch.autograd.grad(compared.sum(), scores)
    assert torch.equal(gradient, torch.ones_like(scores)), "the mean is a constant"
    assert RecentMean(4)() == 0, "before there is a map"
    for bad in ((0, 50), (2, 0)):
        with pytest.raises(UserError, match="but there is at least 1 of either"):
            ScoreMemory(*bad)


def test_the_squared_error_may_be_of_normalised_images() -> None:
    restored, target = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    expected = (((restored - mean) / std - (target - mean) / std) ** 2).mean()
    torch.testing.assert_close(MSE(IMAGENET_STD)(step(restored, {"target": target})), expected)
    with pytest.raises(ValueError, match="three numbers above 0"):
        MSE([0.2, 0.2])
    with pytest.raises(ValueError, match="three numbers above 0"):
        MSE([0.2, 0.2, 0.0])
