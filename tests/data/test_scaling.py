"""Bicubic scaling against the definition, sample by sample, and against another library."""

import math

import numpy as np
import pytest
from PIL import Image

from limpid.data.degradations import LowResolution, imresize


def keys(x):
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def resize_slowly(signal, scale):
    """imresize of one dimension: every input sample is weighed, and mirrored copies stand outside."""
    n = len(signal)
    narrow = min(scale, 1.0)
    mirrored = np.concatenate([signal[::-1], signal, signal[::-1]])
    result = []
    for i in range(math.ceil(n * scale)):
        centre = (i + 0.5) / scale - 0.5
        weights = np.array([keys(narrow * (centre - (j - n))) for j in range(3 * n)])
        result.append(mirrored @ weights / weights.sum())
    return np.array(result)


@pytest.mark.parametrize("scale", [0.5, 1 / 3, 2 / 3, 0.37, 1.7, 3.0])
def test_it_is_the_definition_along_each_axis(scale):
    image = np.random.default_rng(0).random((23, 31), dtype=np.float32)
    rows = np.apply_along_axis(resize_slowly, 0, image.astype(np.float64), scale)
    expected = np.apply_along_axis(resize_slowly, 1, rows, scale)
    np.testing.assert_allclose(imresize(image, scale), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(20, 30), (17, 45), (90, 99)])
def test_pillow_agrees_away_from_the_edges(size):
    image = np.random.default_rng(1).random((40, 60), dtype=np.float32)
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
    margin = 2 * math.ceil(max(size) / min(image.shape)) + 6
    inner = (slice(margin, -margin), slice(margin, -margin))
    ours = imresize(image, size=size)
    assert ours.shape == size
    np.testing.assert_allclose(ours[inner], expected[inner], atol=1e-5)


def test_closed_forms():
    flat = np.full((13, 9, 3), 0.3, np.float32)
    np.testing.assert_allclose(imresize(flat, 0.4), 0.3, atol=1e-7)
    ramp = np.tile(np.arange(40, dtype=np.float32), (5, 1))
    halved = imresize(ramp, size=(5, 20))  # cubic convolution keeps straight lines
    np.testing.assert_allclose(halved[:, 4:-4], np.tile(np.arange(20) * 2 + 0.5, (5, 1))[:, 4:-4], atol=1e-4)
    np.testing.assert_array_equal(imresize(ramp, 1.0), ramp)


@pytest.mark.parametrize(("side", "scale", "expected"), [(9, 0.5, 5), (100, 1 / 3, 34), (7, 2, 14)])
def test_sides_are_rounded_up(side, scale, expected):
    assert imresize(np.zeros((side, side, 3), np.float32), scale).shape == (expected, expected, 3)


def test_nothing_aliases():
    y, x = np.mgrid[:64, :64]
    checkerboard = ((x + y) % 2).astype(np.float32)
    assert np.abs(imresize(checkerboard, 0.5)[4:-4, 4:-4] - 0.5).max() < 1e-6


def test_low_resolution_loses_what_is_fine():
    y, x = np.mgrid[:64, :64]
    fine = np.repeat(((x + y) % 2).astype(np.float32)[..., None], 3, axis=2)
    coarse = np.repeat((np.sin(x / 64 * 6.28) * 0.4 + 0.5).astype(np.float32)[..., None], 3, axis=2)
    operator = LowResolution((2.0, 4.0))
    inner = (slice(10, -10), slice(10, -10))
    assert np.abs(operator({"target": fine}, np.random.default_rng(0))["input"][inner] - 0.5).max() < 0.02
    assert np.abs(operator({"target": coarse}, np.random.default_rng(0))["input"][inner] - coarse[inner]).max() < 0.01
    drawn = {operator({"target": coarse}, np.random.default_rng(i))["factor"] for i in range(20)}
    assert drawn == {2.0, 4.0}
