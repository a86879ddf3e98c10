"""Edge modulation: the printed equations on images small enough to work out by hand."""

import pytest
import torch

from limpid.priors.edges import channel_luminosity, edge_modulation


@pytest.mark.parametrize("colour", [(0, 0, 0), (1, 1, 1), (0.3, 0.5, 0.9)])
@pytest.mark.parametrize("shape", [(6, 5), (1, 4), (1, 1)])
def test_a_constant_image_comes_back(colour, shape):
    image = torch.tensor(colour).float().view(3, 1, 1).expand(3, *shape)
    torch.testing.assert_close(edge_modulation(image), image, atol=1e-6, rtol=0)


def test_luminosity_weighs_each_channel_by_its_mean():
    image = torch.stack([torch.full((2, 2), 0.2), torch.full((2, 2), 0.6), torch.zeros(2, 2)])
    # Weights 1/4, 3/4, 0 (equation 18).
    torch.testing.assert_close(channel_luminosity(image), torch.full((1, 2, 2), 0.2 / 4 + 0.6 * 3 / 4))


def test_one_bright_pixel_by_hand():
    image = torch.full((3, 5, 5), 0.5)
    image[:, 2, 2] = 0.6
    result = edge_modulation(image, gain=0.25, index=0.5)
    # At the pixel E = 8 (0.6 - 0.5) = 0.8, modulated by 0.5 - 0.1; beside it E = -0.1, modulated by 0.5.
    assert result[0, 2, 2].item() == pytest.approx(0.6 + 0.25 * 0.8 * 0.4, abs=1e-6)
    assert result[0, 1, 1].item() == pytest.approx(0.5 + 0.25 * -0.1 * 0.5, abs=1e-6)
    assert result[0, 0, 4].item() == pytest.approx(0.5, abs=1e-6)


def test_edges_fade_in_black_and_white():
    image = torch.zeros(3, 6, 6)
    image[:, :, 3:] = 1  # every luminosity is 0 or 1, where the modulation is 0
    torch.testing.assert_close(edge_modulation(image), image, atol=1e-6, rtol=0)


def test_no_gain_changes_nothing(scene):
    assert torch.equal(edge_modulation(scene, gain=0), scene)
