"""Each window operator against its definition, pixel by pixel."""

import numpy as np
import pytest
import torch

from limpid.errors import UserError
from limpid.priors.filters import (
    box_mean,
    colour_guided_coefficients,
    fast_guided_filter,
    guided_filter,
    min_filter,
)

SHAPES = [(13, 17), (1, 9), (8, 1), (1, 1), (5, 6)]


def plane(shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def over_windows(x, radius, statistic):
    """`statistic` of the window around each pixel, cut at the border."""
    height, width = x.shape
    out = np.empty((height, width))
    for i in range(height):
        for j in range(width):
            window = x[max(i - radius, 0) : i + radius + 1, max(j - radius, 0) : j + radius + 1]
            out[i, j] = statistic(window)
    return out


def direct_guided(guide, source, radius, epsilon):
    """Equations 5, 6 and 8 of the guided filter: a line fitted in each window, then their means."""
    height, width = guide.shape
    a, b = np.empty((height, width)), np.empty((height, width))
    for i in range(height):
        for j in range(width):
            box = np.s_[max(i - radius, 0) : i + radius + 1, max(j - radius, 0) : j + radius + 1]
            g, p = guide[box], source[box]
            a[i, j] = np.mean((g - g.mean()) * (p - p.mean())) / (np.mean((g - g.mean()) ** 2) + epsilon)
            b[i, j] = p.mean() - a[i, j] * g.mean()
    return over_windows(a, radius, np.mean), over_windows(b, radius, np.mean)


def direct_resize(x, size):
    """Bilinear, pixel areas aligned, one output pixel at a time."""
    out = np.empty(size)
    for i in range(size[0]):
        for j in range(size[1]):
            value = 0.0
            y = max((i + 0.5) * x.shape[0] / size[0] - 0.5, 0)
            z = max((j + 0.5) * x.shape[1] / size[1] - 0.5, 0)
            for row, row_weight in ((int(y), 1 - y % 1), (int(y) + 1, y % 1)):
                for column, column_weight in ((int(z), 1 - z % 1), (int(z) + 1, z % 1)):
                    nearest = x[min(row, x.shape[0] - 1), min(column, x.shape[1] - 1)]
                    value += row_weight * column_weight * nearest
            out[i, j] = value
    return out


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 3, 7, 15, 31])
def test_min_filter_is_the_smallest_of_each_window(shape, size):
    x = plane(shape) - 0.5
    expected = torch.from_numpy(over_windows(x.numpy(), size // 2, np.min)).float()
    assert torch.equal(min_filter(x, size), expected)


@pytest.mark.parametrize("size", [0, -3, 4])
def test_min_filter_refuses_a_window_without_a_centre(size):
    with pytest.raises(UserError, match="odd"):
        min_filter(torch.zeros(4, 4), size)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [0, 1, 4, 40])
def test_box_mean_counts_only_pixels_inside(shape, radius):
    x = plane(shape)
    expected = over_windows(x.double().numpy(), radius, np.mean)
    np.testing.assert_allclose(box_mean(x, radius).numpy(), expected, atol=1e-6)


def test_box_mean_keeps_small_differences_on_a_long_row():
    x = 1 + 1e-4 * plane((1, 200_000)).double()
    expected = x[0, 150_000 - 2 : 150_000 + 3].mean()
    assert box_mean(x, 2)[0, 150_000].item() == pytest.approx(expected.item(), abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("radius", "epsilon"), [(1, 1e-2), (3, 1e-3), (30, 1e-3)])
def test_guided_filter_is_the_mean_of_fitted_lines(shape, radius, epsilon):
    guide, source = plane(shape), plane(shape, 1)
    g, p = guide.double().numpy(), source.double().numpy()
    slope, offset = direct_guided(g, p, radius, epsilon)
    result = guided_filter(guide, source, radius, epsilon)
    np.testing.assert_allclose(result.numpy(), slope * g + offset, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("subsampling", [1, 2, 4])
def test_fast_guided_filter_fits_on_the_small_image(shape, subsampling):
    guide, source = plane(shape), plane(shape, 1)
    g, p = guide.double().numpy(), source.double().numpy()
    small = tuple(-(-length // subsampling) for length in shape)
    slope, offset = direct_guided(direct_resize(g, small), direct_resize(p, small), 8 // subsampling, 1e-3)
    expected = direct_resize(slope, shape) * g + direct_resize(offset, shape)
    result = fast_guided_filter(guide, source, 8, 1e-3, subsampling)
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-6)


def test_a_constant_source_comes_back_unchanged():
    source = torch.full((9, 14), 0.37)
    torch.testing.assert_close(guided_filter(plane((9, 14)), source, 4, 1e-3), source, atol=1e-6, rtol=0)


def test_the_guide_itself_is_kept_where_its_variance_is_large():
    guide = (plane((30, 30)) > 0.5).float()
    torch.testing.assert_close(guided_filter(guide, guide, 3, 1e-9), guide, atol=1e-6, rtol=0)


@pytest.mark.parametrize("operator", [lambda x: min_filter(x, 5), lambda x: box_mean(x, 2)])
def test_leading_axes_are_treated_alone(operator):
    x = plane((2, 3, 7, 8))
    alone = torch.stack([torch.stack([operator(channel) for channel in image]) for image in x])
    assert torch.equal(operator(x), alone)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_even_minimum_filter_reaches_one_pixel_further_down_and_right(shape):
    x = plane(shape)
    height, width = shape
    found = min_filter(x, 4, off_centre=True)
    for i in range(height):
        for j in range(width):
            assert found[i, j] == x[max(i - 1, 0) : i + 3, max(j - 1, 0) : j + 3].min()


def test_the_colour_guided_filter_is_its_definition():
    """Equations 14 to 16: a plane fitted in each window by its normal equations, then means."""
    guide, source = torch.rand(3, 8, 9, generator=torch.Generator().manual_seed(1)), plane((1, 8, 9))
    slope, offset = colour_guided_coefficients(guide, source, 2, 1e-2)
    a, b = np.empty((3, 8, 9)), np.empty((8, 9))
    for i in range(8):
        for j in range(9):
            box = np.s_[..., max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3]
            g = guide.double().numpy()[box].reshape(3, -1)
            p = source.double().numpy()[box].reshape(-1)
            covariance = np.cov(g, bias=True) + 1e-2 * np.eye(3)
            a[:, i, j] = np.linalg.solve(covariance, ((g - g.mean(1, keepdims=True)) * (p - p.mean())).mean(1))
            b[i, j] = p.mean() - a[:, i, j] @ g.mean(1)
    for channel in range(3):
        np.testing.assert_allclose(slope[channel].numpy(), over_windows(a[channel], 2, np.mean), atol=1e-6)
    np.testing.assert_allclose(offset[0].numpy(), over_windows(b, 2, np.mean), atol=1e-6)
