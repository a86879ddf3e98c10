"""Gaussian noise: its moments, its whiteness, its order of drawing."""

import numpy as np
import pytest

from limpid.data.degradations import Noise, add_gaussian_noise


def test_moments_and_whiteness():
    image = np.full((256, 256, 3), 0.5, np.float32)
    noise = (add_gaussian_noise(image, 25, np.random.default_rng(0)) - image).astype(np.float64)
    assert noise.mean() == pytest.approx(0, abs=4 * 25 / 255 / np.sqrt(noise.size))
    assert noise.std() == pytest.approx(25 / 255, rel=0.01)
    assert (noise**4).mean() / noise.var() ** 2 == pytest.approx(3, abs=0.1)
    channels = np.corrcoef(noise.reshape(-1, 3).T)
    neighbours = np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]
    assert np.abs(channels - np.eye(3)).max() < 0.02
    assert abs(neighbours) < 0.02


def test_values_are_clipped_and_none_is_none():
    image = np.random.default_rng(1).random((40, 40, 3), dtype=np.float32)
    strong = add_gaussian_noise(image, 200, np.random.default_rng(2))
    assert strong.min() == 0
    assert strong.max() == 1
    np.testing.assert_array_equal(add_gaussian_noise(image, 0, np.random.default_rng(2)), image)


def test_sigma_is_drawn_before_the_noise():
    image = np.full((5, 6, 3), 0.5, np.float32)
    noisy = Noise((10, 20))({"target": image}, np.random.default_rng(7))
    rng = np.random.default_rng(7)
    assert noisy["noise_sigma"] == rng.uniform(10, 20)
    expected = image + rng.standard_normal((5, 6, 3), dtype=np.float32) * np.float32(noisy["noise_sigma"] / 255)
    np.testing.assert_array_equal(noisy["input"], expected)
