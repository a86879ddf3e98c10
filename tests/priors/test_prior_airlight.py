"""The colour of the haze: made images with a lamp, and photographs whose airlight was read by hand."""

import numpy as np
import pytest
import torch
from scipy.io import loadmat

from limpid.priors.airlight import brightest_hazy_pixel, color_constancy_airlight
from limpid.priors.channels import dark_channel

HAZE = torch.tensor([0.7, 0.75, 0.8])


def foggy_night(lamp_side):
    """Fog above, dark ground below, and a white lamp in the fog."""
    image = torch.full((3, 100, 100), 0.2)
    image[:, :40] = HAZE.view(3, 1, 1)
    image[:, 15 : 15 + lamp_side, 40 : 40 + lamp_side] = 1
    return image


@pytest.mark.parametrize("lamp_side", [1, 9, 18])
def test_colour_constancy_ignores_a_lamp_brighter_than_the_haze(lamp_side):
    torch.testing.assert_close(color_constancy_airlight(foggy_night(lamp_side)), HAZE)


def test_keeping_the_brightest_set_takes_the_lamp():
    airlight = color_constancy_airlight(foggy_night(18), discard=0)
    assert torch.equal(airlight, torch.ones(3))


def test_the_dark_channel_airlight_takes_the_lamp_and_the_haze_without_one():
    with_lamp, without = foggy_night(18), foggy_night(0)
    assert torch.equal(brightest_hazy_pixel(with_lamp, dark_channel(with_lamp, 15)), torch.ones(3))
    torch.testing.assert_close(brightest_hazy_pixel(without, dark_channel(without, 15)), HAZE)


def test_the_brightest_discarded_share_is_counted_among_the_candidates():
    image = torch.arange(100).div(100).view(1, 10, 10).expand(3, 10, 10)
    # With a window of one pixel the candidates are the ten brightest, 0.90 to 0.99; four are dropped.
    airlight = color_constancy_airlight(image, window=1, share=0.1, discard=0.4)
    torch.testing.assert_close(airlight, torch.full((3,), 0.95))


def test_among_equals_the_first_in_column_order_counts():
    image = torch.zeros(3, 4, 4)
    image[0, 0, 3], image[0, 3, 1] = 1, 1
    image[1, 0, 3], image[1, 3, 1] = 0.25, 0.75
    airlight = color_constancy_airlight(image, window=1, share=0.2, discard=0)
    assert airlight.tolist() == [1, 0.75, 0]


def test_ranking_by_the_darkest_channel_prefers_grey_haze_to_a_vivid_colour():
    image = torch.full((3, 10, 10), 0.6)
    image[:, :5] = torch.tensor([0.9, 0.1, 0.1]).view(3, 1, 1)
    options = {"window": 1, "share": 1.0, "discard": 0.0}
    torch.testing.assert_close(color_constancy_airlight(image, **options), torch.tensor([0.9, 0.1, 0.1]))
    by_darkest = color_constancy_airlight(image, rank="darkest_channel", **options)
    torch.testing.assert_close(by_darkest, torch.full((3,), 0.6))


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (2, 2)])
@pytest.mark.parametrize("discard", [0.0, 0.4, 1.0])
def test_tiny_images_have_an_airlight_among_their_colours(shape, discard):
    image = torch.rand((3, *shape), generator=torch.Generator().manual_seed(0))
    airlight = color_constancy_airlight(image, discard=discard)
    assert (airlight == image.flatten(1).T).all(1).any()


# L2 distance to the hand-read airlight in 8-bit steps, as another evaluation of the rule found it. The rule
# takes one pixel of thousands that tie, so the border and the order of equals move it by a few steps.
FOUND_ELSEWHERE = {"Forest": 50, "house": 18, "road": 16, "train": 7}


@pytest.mark.parametrize("name", FOUND_ELSEWHERE)
def test_distance_to_the_airlight_read_by_hand(name, data_root, photograph):
    image = photograph(f"haze_real/airlight_gt/images/{name}.png")
    truths = data_root / "haze_real/airlight_gt/GTairlights"
    truth = loadmat(truths / f"GTairlight_{name}.mat")["GTairlight"].astype(float).ravel()
    error = np.linalg.norm(255 * color_constancy_airlight(image).double().numpy() - truth)
    assert error == pytest.approx(FOUND_ELSEWHERE[name], abs=5)
    brightest = 255 * brightest_hazy_pixel(image, dark_channel(image, 15)).double().numpy()
    assert error < np.linalg.norm(brightest - truth)
