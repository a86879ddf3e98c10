"""The guess of depth and the drawn one: their forms on simple pictures; no claim that they measure depth."""

import numpy as np
import pytest

from limpid.data.degradations import stand_in_depth
from limpid.data.degradations.pseudo_depth import drawn_depth


def test_a_flat_picture_gets_further_upwards():
    guess = stand_in_depth(np.full((50, 40, 3), 0.5, np.float32))
    np.testing.assert_allclose(guess, np.tile(np.linspace(1, 0, 50, dtype=np.float32)[:, None], (1, 40)), atol=1e-5)


def test_what_is_pale_is_further_than_what_is_colourful():
    image = np.full((64, 64, 3), 0.5, np.float32)
    image[16:48, :32] = [0.9, 0.9, 0.9]
    image[16:48, 32:] = [0.9, 0.1, 0.1]
    guess = stand_in_depth(image, height_share=0.5)
    pale, colourful = guess[24:40, 8:24], guess[24:40, 40:56]
    # Before it is stretched, 0.5 * (1.9 - (1.9 - 8/9)) / 2 lies between them.
    assert (pale - colourful).min() > 0.1
    spread = (pale - colourful) / (guess[0, 0] - guess[-1, 0])  # of flat grey: 0.5 from the first row to the last
    np.testing.assert_allclose(spread, (8 / 9) / 4 / 0.5, rtol=0.1)


@pytest.mark.parametrize("size", [(20, 30), (300, 260)])
def test_range_and_size(size):
    image = np.random.default_rng(0).random((*size, 3), dtype=np.float32)
    guess = stand_in_depth(image)
    assert guess.shape == size
    assert guess.dtype == np.float32
    assert guess.min() == 0
    assert guess.max() == 1
    np.testing.assert_array_equal(guess, stand_in_depth(image))


def test_nothing_to_go_by_is_no_depth():
    assert stand_in_depth(np.full((40, 40, 3), 0.3, np.float32), height_share=0).max() == 0


def test_drawn_depth_has_the_image_s_edges_and_not_its_brightness():
    rng = np.random.default_rng(0)
    image = np.full((96, 128, 3), 0.2, np.float32)
    image[:, 64:] = 0.8
    correlations, at_edge, elsewhere = [], [], []
    for _ in range(200):
        depth = drawn_depth(image, rng)
        assert depth.shape == (96, 128)
        assert 0 <= depth.min() <= depth.max() <= 1
        correlations.append(depth[:, 64:].mean() - depth[:, :64].mean())
        steps = np.abs(np.diff(depth, axis=1)).mean(0)
        at_edge.append(steps[63])
        elsewhere.append(np.delete(steps, 63).mean())
    assert abs(np.mean(correlations)) < 0.05  # the bright half is as often near as far
    assert np.mean(at_edge) > 10 * np.mean(elsewhere)


def test_drawn_depth_is_mostly_further_upwards_and_of_any_range():
    rng = np.random.default_rng(1)
    image = rng.random((40, 40, 3), dtype=np.float32)
    drawn = [drawn_depth(image, rng) for _ in range(300)]
    assert 0.7 < np.mean([depth[:10].mean() > depth[-10:].mean() for depth in drawn]) < 0.97
    # The nearest is uniform in [0, 0.4], the furthest in [0.7, 1].
    assert np.mean([depth.min() for depth in drawn]) == pytest.approx(0.2, abs=0.03)
    assert np.mean([depth.max() for depth in drawn]) == pytest.approx(0.85, abs=0.03)
