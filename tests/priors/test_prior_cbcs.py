"""CBCS: its balance against another implementation, and its later steps by definition."""

import math

import numpy as np
import pytest
import torch

from limpid.priors.cbcs import CBCS


def near(found, expected, tolerance):
    torch.testing.assert_close(found, torch.as_tensor(expected).to(found), atol=tolerance, rtol=0)


def test_the_balance_has_the_values_of_another_implementation(sandy):
    image = (sandy * 255).round().double()[None]
    near(CBCS().raised(image).mean((2, 3))[0], [145.22125, 145.22125, 130.06969], 1e-5)
    balanced = CBCS().balanced(image)
    near(balanced.mean((2, 3))[0], [140.17073] * 3, 1e-5)
    near(balanced[0, :, 59, 79], [159.2616, 159.6428, 158.3059], 1e-4)


def test_saturation_rises_by_its_formula_and_hue_stays(sandy):
    import cv2

    prior = CBCS()
    before = prior.balanced(sandy[None].double())[0].clamp(0, 1).float().permute(1, 2, 0).numpy()
    after = prior(sandy[None])[0].permute(1, 2, 0).numpy()
    hsv, new = (cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2HSV) for image in (before, after))
    bright = new[..., 2] > 0.1
    expected = (hsv[..., 1] + 1 / (1 + np.exp(1 - hsv[..., 1]))) / 2
    np.testing.assert_allclose(new[..., 1][bright], expected[bright], atol=1e-4)
    coloured = bright & (hsv[..., 1] > 0.01)
    turned = np.abs(hsv[..., 0] - new[..., 0])[coloured]
    assert np.minimum(turned, 360 - turned).max() < 0.1


def test_a_histogram_is_cut_where_matlab_cuts_it():
    """One tile: 240 of 300 pixels are dark; a level keeps 2 + round(0.01 * 298) = 5 of them."""
    levels = np.full(300, 50, np.uint8)
    levels[:60] = np.arange(60) * 3 + 70
    value = levels.reshape(15, 20).astype(np.float32) / 255
    found = CBCS(tiles=1)._equalized(value) * 255
    cut = 240 - 5
    histogram = np.bincount(levels, minlength=256).clip(max=5)
    spread = np.zeros(256, int)
    spread[: 255 // (256 // cut) + 1 : 256 // cut] = 1  # 235 single pixels, one to each level from 0
    spread[np.flatnonzero(spread)[cut:]] = 0
    curve = np.round(np.cumsum(histogram + spread) * 255 / 300)
    np.testing.assert_allclose(found.ravel(), curve[levels], atol=0.5)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (9, 17)])
def test_small_images_have_fewer_tiles(size):
    x = torch.rand((2, 3, *size), generator=torch.Generator().manual_seed(0))
    y = CBCS()(x)
    assert y.shape == x.shape
    assert torch.equal(y[1:], CBCS()(x[1:]))
    assert math.isfinite(float(y.sum()))
