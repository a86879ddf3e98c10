"""The guess of depth: its closed form on simple pictures; no claim that it measures depth."""

import numpy as np
import pytest

from limpid.data.degradations import stand_in_depth


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
