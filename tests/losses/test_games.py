"""Adversarial games against their formulas, several discriminators, and the gradient penalty of a linear one."""

from __future__ import annotations

import math

import pytest
import torch
from tests.losses.steps import step
from torch import Tensor

from limpid.errors import UserError
from limpid.losses import L1
from limpid.losses.adversarial import (
    Adversarial,
    CrossEntropy,
    Game,
    LeastSquares,
    Wasserstein,
    game_of,
    gradient_penalty,
)


@pytest.mark.parametrize(
    ("game", "discriminator", "generator"),
    [
        (LeastSquares(), 0.5 * (0.25 + 0.04), 0.64),
        (LeastSquares(clear=0.9), 0.5 * (0.36 + 0.04), 0.49),
        (CrossEntropy(), 0.5 * (math.log1p(math.exp(-1.5)) + math.log1p(math.exp(0.2))), math.log1p(math.exp(-0.2))),
        (Wasserstein(), 0.2 - 1.5, -0.2),
    ],
)
def test_values_at_constant_scores(game: Game, discriminator: float, generator: float) -> None:
    clear, restored = torch.full((2, 1, 5, 4), 1.5), torch.full((2, 1, 5, 4), 0.2)
    assert float(game.discriminator_loss(clear, restored)) == pytest.approx(discriminator, abs=1e-6)
    assert float(game.generator_loss(restored)) == pytest.approx(generator, abs=1e-6)
    assert float(Adversarial(game)(step(None, {"scores": restored}))) == pytest.approx(generator, abs=1e-6)


@pytest.mark.parametrize("game", [LeastSquares(), CrossEntropy(), Wasserstein()])
def test_of_several_discriminators_the_mean_counts_however_many_scores_each_gives(game: Game) -> None:
    scores = [torch.randn(1, 1, 6, 6), torch.randn(1, 1, 2, 2)]
    alone = torch.stack([game.generator_loss(one) for one in scores]).mean()
    torch.testing.assert_close(game.generator_loss(scores), alone)
    judged = torch.stack([game.discriminator_loss(one, one + 1) for one in scores]).mean()
    torch.testing.assert_close(game.discriminator_loss(scores, [one + 1 for one in scores]), judged)


def test_the_penalty_of_a_linear_discriminator_is_known() -> None:
    """Its gradient is its weights, wherever the mixture lies."""
    weight = torch.tensor([0.3, -0.4, 1.2]).view(1, 3, 1, 1).requires_grad_()
    norm = 1.3

    def discriminator(x: Tensor) -> Tensor:
        return (weight * x).sum(1, keepdim=True)

    clear, restored = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5, requires_grad=True)
    per_pixel = gradient_penalty(discriminator, clear, restored, per_pixel=True)
    assert float(per_pixel.detach()) == pytest.approx((norm - 1) ** 2, rel=1e-4)
    per_image = gradient_penalty(discriminator, clear, restored)
    assert float(per_image.detach()) == pytest.approx((norm * math.sqrt(20) - 1) ** 2, rel=1e-4)
    halved = gradient_penalty(discriminator, clear, restored, per_pixel=True, unit=2)
    assert float(halved.detach()) == pytest.approx((norm / 2 - 1) ** 2, rel=1e-4)
    per_pixel.backward()
    torch.testing.assert_close(weight.grad, 2 * (norm - 1) * weight.detach() / norm, rtol=1e-3, atol=1e-5)
    assert restored.grad is None


def test_the_penalty_looks_between_the_images_and_where_nothing_changes_it_has_a_gradient() -> None:
    seen: list[Tensor] = []

    def squared(x: Tensor) -> Tensor:
        seen.append(x)
        return x.square().sum()

    clear, restored = torch.ones(3, 1, 2, 2), torch.zeros(3, 1, 2, 2)
    torch.manual_seed(0)
    shares = torch.rand(3, 1, 1, 1)
    torch.manual_seed(0)
    gradient_penalty(squared, clear, restored)
    torch.testing.assert_close(seen[0], shares.expand(3, 1, 2, 2))
    weight = torch.zeros(1, requires_grad=True)
    gradient_penalty(lambda x: weight * x, clear, restored).backward()
    assert torch.isfinite(weight.grad).all()  # type: ignore[union-attr]


@pytest.mark.parametrize("game", ["wasserstein", {"clear": 0.9}, L1()])
def test_what_is_no_game_is_refused(game: object) -> None:
    with pytest.raises(UserError, match=r"is (.wasserstein.|.*0.9.*|L1), which is none; write it as .*LeastSquares"):
        game_of(game, LeastSquares())  # type: ignore[arg-type]
    usual = CrossEntropy()
    assert game_of(None, usual) is usual
