"""The terms of DerainCycleGAN's masks against their formulas."""

from __future__ import annotations

import pytest
import torch
from tests.losses.steps import step

from limpid.errors import UserError
from limpid.losses import LossTerm
from limpid.losses.rain_masks import InputFeatures, MaskAndImage, MaskIsNoise, MaskOfClearIsEmpty
from limpid.networks.derain_cycle_gan import Derained


def test_masks_are_compared_as_images_in_minus_one_to_one() -> None:
    rainy, restored, mask = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4), torch.rand(2, 1, 4, 4)
    given = step(Derained(restored, mask), {"input": rainy, "worsened": Derained(rainy, mask + 1)})
    a, f = 2 * rainy - 1, 2 * restored - 1
    torch.testing.assert_close(MaskAndImage()(given), ((mask + f - a) ** 2).mean())
    torch.testing.assert_close(MaskOfClearIsEmpty()(given), ((mask + 1) ** 2).mean())
    torch.manual_seed(3)
    noise = torch.rand(2, 1, 4, 4)
    torch.manual_seed(3)
    torch.testing.assert_close(MaskIsNoise()(given), ((mask - noise) ** 2).mean())


def test_noise_draws_the_mask_to_one_half() -> None:
    torch.manual_seed(0)
    mask = torch.full((1, 1, 300, 300), 0.5)
    assert MaskIsNoise()(step(Derained(mask, mask), {})).item() == pytest.approx(1 / 12, rel=0.02)


def test_features_of_the_derained_image_are_drawn_to_the_rainy_ones() -> None:
    """With a gradient, which the release lacks."""
    rainy, restored = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16, requires_grad=True)
    term = InputFeatures({"relu3_3": 1.0}, "l2", "random", False, 16, "caffe", (-1.0, 1.0))
    value = term(step(restored, {"input": rainy}))
    features = torch.nn.Sequential(*list(term.vgg.module.features)[:16])
    expected = ((features(2 * restored - 1) - features(2 * rainy - 1)) ** 2).mean()
    torch.testing.assert_close(value, expected)
    (gradient,) = torch.autograd.grad(value, restored)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("term", [MaskAndImage(), MaskIsNoise(), MaskOfClearIsEmpty()])
def test_a_network_without_a_mask_is_told_of(term: LossTerm) -> None:
    images = torch.rand(1, 3, 4, 4)
    with pytest.raises(UserError, match="about the mask of the rain, and the network's output has none"):
        term(step(images, {"input": images, "worsened": images}))
