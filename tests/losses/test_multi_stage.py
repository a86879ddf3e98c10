"""Supervision of every stage: closed forms, and that targets shrink as the networks' own inputs do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.losses.steps import step
from torch.nn import functional as F

import limpid
from limpid.config import instantiate
from limpid.errors import UserError
from limpid.losses.multi_stage import StageDistance, targets_of_stages
from limpid.losses.spanet import RainMask, SSIMLoss
from limpid.networks.spanet import SPANetOutput
from limpid.networks.stages import StagedOutput
from limpid.paths import shipped


def made(name: str) -> Any:
    import yaml

    config = yaml.safe_load((shipped("conf") / "loss" / f"{name}.yaml").read_text())
    instantiate.check(config, "loss")
    return instantiate.construct(config, "loss")


def test_stages_of_one_size_are_summed() -> None:
    target = torch.full((2, 3, 8, 10), 0.5)
    stages = tuple(target + difference for difference in (0.3, -0.2, 0.1))
    output = StagedOutput(stages[-1], stages)
    assert StageDistance("l2")(step(output, {"target": target})).item() == pytest.approx(0.09 + 0.04 + 0.01)
    assert StageDistance("l1", "stride")(step(output, {"target": target})).item() == pytest.approx(0.6)
    assert StageDistance("l1")(step(stages[0], {"target": target})).item() == pytest.approx(0.3), "no stages: the image"


def test_a_strided_target_keeps_every_second_and_fourth_pixel() -> None:
    target = torch.arange(7 * 9.0).reshape(1, 1, 7, 9)
    coarsest, coarser, whole = targets_of_stages(target, [(2, 3), (4, 5), (7, 9)], "stride")
    assert whole is target or torch.equal(whole, target)
    assert coarser[0, 0].tolist() == [[9.0 * i + j for j in (0, 2, 4, 6, 8)] for i in (0, 2, 4, 6)]
    assert coarsest[0, 0].tolist() == [[9.0 * i + j for j in (0, 4, 8)] for i in (0, 4)]


def test_a_target_between_its_corners_keeps_them() -> None:
    target = torch.rand(1, 3, 9, 13)
    whole, half = targets_of_stages(target, [(9, 13), (5, 7)], "corners")
    torch.testing.assert_close(whole, target)
    torch.testing.assert_close(half, target[..., ::2, ::2])  # of odd sides every second pixel lies at one


def test_a_gaussian_target_keeps_what_is_constant_and_the_mean() -> None:
    constant = torch.full((1, 3, 21, 30), 0.25)
    for size, target in zip(
        [(6, 8), (11, 15), (21, 30)], targets_of_stages(constant, [(6, 8), (11, 15), (21, 30)], "gaussian"), strict=True
    ):
        assert target.shape[-2:] == size
        torch.testing.assert_close(target, torch.full_like(target, 0.25))
    image = torch.rand(1, 3, 16, 24)
    (half,) = targets_of_stages(image, [(8, 12)], "gaussian")
    torch.testing.assert_close(half.mean(), image.mean())


@pytest.mark.parametrize(
    ("name", "settings", "loss"),
    [
        ("deep_deblur", {"channels": 4, "blocks": 1}, "deep_deblur"),
        ("srn", {"channels": 4, "blocks": 1}, "srn"),
        ("rescan", {"channels": 6}, "rescan"),
    ],
)
@pytest.mark.parametrize("size", [(21, 30), (63, 63), (40, 48)])
def test_a_perfect_network_costs_nothing_at_any_size(
    name: str, settings: dict[str, Any], loss: str, size: tuple[int, int]
) -> None:
    """The pyramid that the term makes of the target is the one that the network makes of its input."""
    target = torch.rand(2, 3, *size)
    output = limpid.build(name, **settings)(target)
    sizes = [tuple(stage.shape[-2:]) for stage in output.stages]
    term = made(loss).terms["stages"]
    perfect = tuple(targets_of_stages(target, sizes, term.shrink))
    assert [tuple(image.shape) for image in perfect] == [tuple(stage.shape) for stage in output.stages]
    assert term(step(StagedOutput(perfect[-1], perfect), {"target": target})) == 0
    total, terms = made(loss)(step(output, {"target": target}))
    measure = F.l1_loss if term.distance == "l1" else F.mse_loss
    torch.testing.assert_close(total, sum(measure(a, b) for a, b in zip(output.stages, perfect, strict=True)))
    assert list(terms) == ["stages"]


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UserError, match="distance is 'l3'"):
        StageDistance("l3")
    with pytest.raises(UserError, match="a target of 8x8, which halving does not give"):
        StageDistance()(step(torch.zeros(1, 3, 5, 8), {"target": torch.zeros(1, 3, 8, 8)}))


def test_the_rains_mask_is_where_any_channel_differs() -> None:
    clean = torch.full((1, 3, 4, 5), 100 / 255)
    rainy = clean.clone()
    rainy[0, 2, 1, 3] += 1 / 255
    rainy[0, 0, 2, 0] -= 1 / 255
    mask = RainMask().mask(rainy, clean)
    assert mask.shape == (1, 1, 4, 5)
    assert mask.nonzero()[:, 2:].tolist() == [[1, 3], [2, 0]]
    attention = torch.full((1, 1, 4, 5), 0.5)
    batch = {"input": rainy, "target": clean}
    assert RainMask()(step(SPANetOutput(clean, attention), batch)).item() == pytest.approx(0.25)
    assert RainMask()(step(SPANetOutput(clean, mask), batch)) == 0
    with pytest.raises(UserError, match="network=spanet"):
        RainMask()(step(clean, batch))


def test_spanet_adds_its_three_terms() -> None:
    x, target = torch.rand(2, 3, 24, 20), torch.rand(2, 3, 24, 20)
    output = limpid.build("spanet", channels=4, head_blocks=1, rounds=1, round_blocks=1, tail_blocks=1)(x)
    total, terms = made("spanet")(step(output, {"input": x, "target": target}))
    torch.testing.assert_close(total, terms["l1"] + terms["ssim"] + terms["rain_mask"])
    assert SSIMLoss()(step(target, {"target": target})).item() == pytest.approx(0, abs=1e-6)
    assert terms["ssim"] > 0.5, "noise is not similar to noise"
    with torch.autocast("cpu", torch.bfloat16):
        assert made("spanet")(step(output, {"input": x, "target": target}))[0].dtype == torch.float32
