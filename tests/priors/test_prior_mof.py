"""MOF: values of another implementation, and its parts against their definitions."""

import math

import numpy as np
import pytest
import torch

from limpid.errors import UserError
from limpid.priors.decolorization import grey_weights
from limpid.priors.filters import gaussian_filter
from limpid.priors.gradient_guided_filter import half_size_gradient_guided_filter
from limpid.priors.mof import MOF
from limpid.priors.order_statistics import places_of_largest
from limpid.priors.resizing import lanczos, nearest

TINTED = (0.92, 0.90, 0.88)


def close(found, expected, tolerance=2e-6):
    torch.testing.assert_close(found, torch.as_tensor(expected).to(found), atol=tolerance, rtol=0)


def plane(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_values_of_another_implementation(synthetic):
    image = synthetic(TINTED)
    prior = MOF()
    sides, weights = prior.scales(image[0].numel())
    assert sides == (6, 12)
    assert weights == pytest.approx((0.695932, 0.304068), abs=1e-6)
    estimate = prior.estimate(image[None])
    airlight = estimate.airlight[0]
    close(airlight, [0.815686, 0.690196, 0.737255])
    rough = prior.rough_transmission(image, airlight)
    close(rough.mean(), 0.454326)
    close(rough[0, 5, 7], 0.250271)
    close(estimate.transmission.mean(), 0.454899)
    close(estimate.transmission[0, 0, 20, 30], 0.388928)
    radiance, _ = prior._radiance(image, prior.statistics(image))
    close((radiance / radiance.amax()).mean(), 0.426284)  # before it is held to [0, 1]
    close(estimate.restored[0, :, 5, 7], [0.541924, 0.259920, 0.587841])


@pytest.mark.parametrize("seed", range(5))
def test_the_grey_of_another_implementation(synthetic, seed):
    close(grey_weights(synthetic(TINTED), seed), [1.0, 0.0, 0.0])


def test_grey_keeps_the_only_channel_with_contrast():
    image = torch.full((3, 30, 40), 0.5)
    image[1] = plane(30, 40)
    assert grey_weights(image, 0)[1] > 0.5


def test_the_same_seed_gives_the_same_bits(scene):
    batch = scene[None].clamp(0, 1)
    torch.manual_seed(1)
    first = MOF(seed=3)(batch)
    state = torch.get_rng_state()
    assert torch.equal(MOF(seed=3)(batch), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_statistics_are_what_the_estimate_uses(scene):
    image = scene.clamp(0, 1)
    prior = MOF()
    given = prior.estimate_image(image, prior.statistics(image))
    for name, value in prior.estimate(image[None])._asdict().items():
        assert torch.equal(value[0], getattr(given, name)), name


def test_the_tanh_pushes_like_the_threshold(synthetic):
    """(tanh(10 (D -+ 0.05 - 0.5)) + 1) / 2, with the minus from a half on."""
    difference = torch.tensor([[[0.2, 0.5, 0.9]]])
    pushed = MOF(fusion="tanh")._pushed(difference)
    expected = [0.5 * (math.tanh(10 * (d - 0.5)) + 1) for d in (0.25, 0.45, 0.85)]
    close(pushed.flatten(), expected, 1e-6)
    close(MOF()._pushed(difference).flatten(), [0.01, 0.975, 0.995], 1e-6)
    with pytest.raises(UserError, match="did you mean 'threshold'"):
        MOF(fusion="treshold")


def test_equal_values_count_in_their_order():
    values = torch.tensor([3, 1, 3, 2, 3, 2])
    assert sorted(places_of_largest(values, 2).tolist()) == [2, 4]
    assert sorted(places_of_largest(values, 4).tolist()) == [0, 2, 4, 5]


@pytest.mark.parametrize("size", [5, 11])
def test_gaussian_filter_is_its_definition(size):
    x = plane(1, 7, 9)
    y, z = np.mgrid[:size, :size] - size // 2
    weights = np.exp(-(y**2 + z**2) / (2 * 0.5**2))
    weights /= weights.sum()
    padded = np.pad(x[0].numpy(), size // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    np.testing.assert_allclose(gaussian_filter(x, size, 0.5)[0].numpy(), (windows * weights).sum((2, 3)), atol=1e-12)


def kernel(distance):
    if abs(distance) >= 3:
        return 0.0
    return float(np.sinc(distance) * np.sinc(distance / 3))


@pytest.mark.parametrize(("before", "after", "scale"), [(9, 5, 0.5), (8, 4, 0.5), (5, 10, 2.0), (2, 1, 0.5)])
def test_lanczos_is_its_definition(before, after, scale):
    x = plane(before, 1).repeat(1, before)
    expected = np.empty(after)
    narrow = min(scale, 1.0)
    mirrored = [*range(before), *range(before - 1, -1, -1)]
    for i in range(after):
        centre = (i + 0.5) / scale - 0.5
        places = range(math.floor(centre) - 8, math.floor(centre) + 9)
        weights = [kernel(narrow * (centre - place)) for place in places]
        values = [x[mirrored[place % (2 * before)], 0].item() for place in places]
        expected[i] = np.dot(weights, values) / sum(weights)
    found = lanczos(x, (after, after), scale)
    np.testing.assert_allclose(found[:, 0].numpy(), expected, atol=1e-9)


def test_nearest_takes_the_pixel_at_the_centre():
    x = torch.arange(6.0).expand(1, 4, 6)
    assert nearest(x, (4, 2))[0, 0].tolist() == [1, 4]
    assert nearest(x, (4, 3))[0, 0].tolist() == [1, 3, 5]  # two are equally near: the later
    assert nearest(x, (4, 12))[0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_the_gradient_guided_filter_is_its_definition():
    """At half size, by windows one by one; the enlargement is `lanczos`, which has its own test."""
    guide, source = plane(1, 14, 18), plane(1, 14, 18).flip(1) ** 2
    g, p = lanczos(guide, (7, 9), 0.5)[0].numpy(), lanczos(source, (7, 9), 0.5)[0].numpy()

    def over(values, radius):
        out = np.empty(values.shape)
        for i in range(7):
            for j in range(9):
                out[i, j] = values[max(i - radius, 0) : i + radius + 1, max(j - radius, 0) : j + radius + 1].mean()
        return out

    radius = 7 // 2 - 1  # the image is smaller than the window of 60
    edge = np.sqrt((over(g * g, 1) - over(g, 1) ** 2) * (over(g * g, radius) - over(g, radius) ** 2))
    steady = (0.01 * np.ptp(p)) ** 2
    weight = (edge + steady) / (edge.mean() + steady)
    gamma = 1 - 1 / (1 + np.exp(4 * (edge - edge.mean()) / (edge.mean() - edge.min())))
    covariance = over(g * p, radius) - over(g, radius) * over(p, radius)
    variance = over(g * g, radius) - over(g, radius) ** 2
    a = (covariance + 1e-3 * gamma / weight) / (variance + 1e-3 / weight)
    b = over(p, radius) - a * over(g, radius)
    slope, offset = (lanczos(torch.from_numpy(over(x, radius))[None], (14, 18), 2.0) for x in (a, b))
    found = half_size_gradient_guided_filter(guide, source, 60, 1e-3)
    torch.testing.assert_close(found, slope * guide + offset, atol=1e-9, rtol=0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (2, 2), (17, 9)])
@pytest.mark.parametrize("value", [None, 0.0, 0.4, 1.0])
def test_any_size_works_and_stays_in_range(shape, value):
    image = torch.rand((2, 3, *shape), generator=torch.Generator().manual_seed(0))
    if value is not None:
        image.fill_(value)
    restored = MOF()(image)
    assert restored.shape == image.shape
    assert torch.isfinite(restored).all()
    assert 0 <= restored.min() <= restored.max() <= 1
