"""The weighted median channel against its definition, and the dark channel."""

import numpy as np
import pytest
import torch

from limpid.priors import channels
from limpid.priors.channels import dark_channel, dark_channel_transmission, weighted_median_channel


def direct_channel(image, patch, statistic, neighbours):
    """Equations 13 and 14, one pixel and one neighbour at a time, in float64."""
    image = image.double().numpy()
    _, height, width = image.shape
    sigma, radius = image.std(), patch // 2
    out = np.empty((height, width))
    for i in range(height):
        for j in range(width):
            weights, values = [], []
            for y in range(-radius, radius + 1):
                for x in range(-radius, radius + 1):
                    if neighbours == "compass" and y and x and abs(y) != abs(x):
                        continue
                    colour = image[:, min(max(i + y, 0), height - 1), min(max(j + x, 0), width - 1)]
                    weights.append(np.exp(-np.sum((image[:, i, j] - colour) ** 2) / (2 * sigma**2)))
                    values.append(colour.min())
            products = np.array(weights) * np.array(values)
            if statistic == "median_of_products":
                out[i, j] = np.median(products)
            elif statistic == "max":
                out[i, j] = products.max()
            else:
                order = np.argsort(values)
                reached = np.cumsum(np.array(weights)[order])
                out[i, j] = np.array(values)[order][np.argmax(reached >= reached[-1] / 2)]
    return out


@pytest.mark.parametrize("neighbours", channels.NEIGHBOURS)
@pytest.mark.parametrize("statistic", channels.STATISTICS)
@pytest.mark.parametrize("shape", [(11, 14), (1, 9), (8, 1)])
def test_weighted_median_channel_is_its_definition(statistic, neighbours, shape):
    image = torch.rand((3, *shape), generator=torch.Generator().manual_seed(1))
    expected = direct_channel(image, 5, statistic, neighbours)
    result = weighted_median_channel(image, 5, statistic, neighbours)
    np.testing.assert_allclose(result[0].numpy(), expected, atol=1e-6)


def test_a_large_patch_on_a_hazy_scene_is_its_definition(scene):
    expected = direct_channel(scene[:, :20, :20], 15, "median_of_products", "patch")
    result = weighted_median_channel(scene[:, :20, :20], 15)
    np.testing.assert_allclose(result[0].numpy(), expected, atol=1e-6)


def test_black_pixels_and_strong_differences_stay_finite():
    image = torch.zeros(3, 9, 9)
    image[:, 4:, :] = 1  # black and white: log of zero, and the smallest weights there are
    expected = direct_channel(image, 3, "median_of_products", "patch")
    np.testing.assert_allclose(weighted_median_channel(image, 3)[0].numpy(), expected, atol=1e-6)


def test_strips_of_rows_do_not_change_the_result(scene, monkeypatch):
    whole = weighted_median_channel(scene, 9)
    monkeypatch.setattr(channels, "STRIP", 7 * 46 * 81)  # seven rows at a time, the last strip shorter
    assert torch.equal(weighted_median_channel(scene, 9), whole)
    monkeypatch.setattr(channels, "STRIP", 1)  # less than a row: one row at a time
    assert torch.equal(weighted_median_channel(scene, 9), whole)


def test_the_number_of_threads_does_not_change_the_result(scene):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = weighted_median_channel(scene, 9)
        torch.set_num_threads(3)
        assert torch.equal(weighted_median_channel(scene, 9), alone)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("statistic", channels.STATISTICS)
def test_a_constant_image_has_its_darkest_colour_as_depth(statistic):
    image = torch.tensor([0.7, 0.4, 0.6]).view(3, 1, 1).expand(3, 6, 7)
    depth = weighted_median_channel(image, 5, statistic)
    torch.testing.assert_close(depth, torch.full((1, 6, 7), 0.4))


def test_a_lone_bright_pixel_does_not_reach_the_median():
    image = torch.full((3, 9, 9), 0.3)
    image[:, 4, 4] = 1
    depth = weighted_median_channel(image, 3)
    assert depth[0, 3, 3].item() == pytest.approx(0.3, abs=1e-6)


def test_dark_channel_spreads_one_dark_colour_over_its_patch():
    image = torch.full((3, 9, 9), 0.8)
    image[1, 4, 4] = 0.1
    expected = torch.full((1, 9, 9), 0.8)
    expected[:, 3:6, 3:6] = 0.1
    assert torch.equal(dark_channel(image, 3), expected)


def test_dark_channel_transmission_of_a_scene_with_black_everywhere():
    transmission, airlight = 0.4, torch.tensor([0.9, 0.8, 0.7])
    image = (airlight * (1 - transmission)).view(3, 1, 1).expand(3, 5, 5)  # black seen through haze
    estimate = dark_channel_transmission(image, airlight, 3, omega=1)
    torch.testing.assert_close(estimate, torch.full((1, 5, 5), transmission))
