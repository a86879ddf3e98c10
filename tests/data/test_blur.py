"""Gaussian blur against the definition."""

import numpy as np
import pytest

from limpid.data.degradations import Blur, gaussian_blur, gaussian_kernel


def test_kernel_is_the_sampled_gaussian():
    kernel = gaussian_kernel(1.7, 21)
    offsets = np.arange(-10, 11)
    np.testing.assert_allclose(kernel / kernel[10], np.exp(-(offsets**2) / (2 * 1.7**2)), rtol=1e-12)
    assert kernel.sum() == pytest.approx(1, abs=1e-15)
    assert (kernel * offsets**2).sum() == pytest.approx(1.7**2, rel=1e-4)  # of the infinite sum; the rest is cut off


@pytest.mark.parametrize("sigma", [0.0, 1e-200, 0.05])
def test_no_width_is_no_blur(sigma):
    image = np.random.default_rng(0).random((30, 25, 3), dtype=np.float32)
    np.testing.assert_allclose(gaussian_blur(image, sigma), image, atol=1e-7)


def test_an_impulse_becomes_the_kernel():
    image = np.zeros((41, 41, 3), np.float32)
    image[20, 20, 1] = 1
    kernel = gaussian_kernel(3.3, 21)
    blurred = gaussian_blur(image, 3.3)
    np.testing.assert_allclose(blurred[10:31, 10:31, 1], np.outer(kernel, kernel), atol=1e-8)
    assert blurred[..., [0, 2]].max() == 0
    assert np.abs(blurred[:10]).max() == 0


def test_edges_are_repeated():
    rng = np.random.default_rng(1)
    image = rng.random((18, 23, 3), dtype=np.float32)
    padded = np.pad(image, ((10, 10), (10, 10), (0, 0)), mode="edge").astype(np.float64)
    kernel = np.outer(gaussian_kernel(2.4), gaussian_kernel(2.4))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (21, 21), axis=(0, 1))
    np.testing.assert_allclose(gaussian_blur(image, 2.4), np.einsum("ijcxy,xy->ijc", windows, kernel), atol=1e-6)


def test_widths_are_drawn_over_the_range():
    sample, rng = {"target": np.zeros((2, 2, 3), np.float32)}, np.random.default_rng(0)
    drawn = [Blur((1.0, 3.0), size=3)(sample, rng)["blur_sigma"] for _ in range(500)]
    assert 1 <= min(drawn) < 1.02
    assert 2.98 < max(drawn) <= 3
    assert np.mean(drawn) == pytest.approx(2, abs=0.1)
