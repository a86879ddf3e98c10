"""Kim et al.'s saturation prior: values of another implementation, and its parts in closed form."""

import cv2
import numpy as np
import pytest
import torch

from limpid.priors.kim2020 import Kim2020

GREY = (0.9, 0.9, 0.9)
TINTED = (0.92, 0.90, 0.88)


def close(found, expected, tolerance=2e-6):
    torch.testing.assert_close(found, torch.tensor(expected).to(found), atol=tolerance, rtol=0)


def test_values_of_another_implementation_where_the_haze_is_grey(synthetic):
    image = synthetic(GREY)
    prior = Kim2020()
    estimate = prior.estimate(image[None])
    close(estimate.airlight[0], [0.772549, 0.772549, 0.752941])
    close(estimate.transmission.mean(), 0.723610)
    close(prior._radiance(image, estimate.airlight[0])[0].mean(), 0.650681)
    close(estimate.restored.mean(), 0.528705)
    close(estimate.transmission[0, 0, 5, 7], 0.75775, 5e-6)
    close(estimate.restored[0, :, 20, 30], [0.60394, 0.66329, 0.86434], 5e-6)
    close(Kim2020(clahe=True)(image[None]).mean(), 0.407849)


def test_values_of_another_implementation_where_the_haze_is_tinted(synthetic):
    estimate = Kim2020().estimate(synthetic(TINTED)[None])
    close(estimate.airlight[0], [0.774211, 0.772549, 0.748077])
    close(estimate.transmission.mean(), 0.723673)
    close(estimate.restored.mean(), 0.524034)
    close(estimate.restored[0, :, 5, 7], [0.71781, 0.31313, 0.72306], 5e-6)


def restated(image, gamma=0.2):
    """The method in plain numpy, pixel loops and all, of an image `(H, W, 3)`."""

    def grey_world(x):
        red, green, blue = x.mean((0, 1))
        return np.minimum(x * np.array([green / red, 1, green / blue]), 1)

    def airlight(x):
        dark = x.min(2)
        height, width = dark.shape
        eroded = np.empty_like(dark)
        for i in range(height):
            for j in range(width):
                eroded[i, j] = dark[max(i - 7, 0) : i + 8, max(j - 7, 0) : j + 8].min()
        counts, edges = np.histogram(eroded, 200)
        first = np.flatnonzero(counts.cumsum() > 0.99 * dark.size)[0]
        return np.median(x[eroded >= edges[first]], axis=0)

    plain, balanced = airlight(image), airlight(grey_world(image))
    tinted = np.ptp(plain) >= np.ptp(balanced) + 0.02
    a = balanced if tinted else plain
    n = image / a
    n = (n - n.min((0, 1))) / np.ptp(n, axis=(0, 1))
    value = n.mean(2)
    saturation = 1 - n.min(2) / (value + 1.1921e-7)
    clear = np.maximum((saturation ** (1 / gamma) + 1 - (1 - saturation) ** (1 / gamma)) / 2, saturation)
    t = np.clip(1 - value * (clear - saturation) / clear, 1.1921e-7, 1)[..., None]
    J = np.clip((image - a) / t + a, 0, 1)
    low, high = np.percentile(J, [0.5, 99.9])
    J = np.clip((J - low) / (high - low), 0, 1)
    return grey_world(J) if tinted else J


@pytest.mark.parametrize("tint", [(1.0, 1.0, 1.0), (1.0, 0.8, 0.6)])
def test_it_is_its_definition(scene, tint):
    image = scene.clamp(0, 1) * torch.tensor(tint).view(3, 1, 1)
    expected = restated(image.double().permute(1, 2, 0).numpy())
    np.testing.assert_allclose(Kim2020()(image[None])[0].permute(1, 2, 0).numpy(), expected, atol=1e-5)


def test_grey_pixels_keep_the_limit_of_the_saturation_curve():
    ramp = torch.linspace(0, 1, 21).expand(3, 5, 21)
    transmission = Kim2020().transmission(ramp, torch.ones(3))
    torch.testing.assert_close(transmission, 1 - 0.6 * ramp[:1], atol=1e-5, rtol=0)


def test_equalising_touches_the_value_alone(synthetic):
    """OpenCV's own round trip through hue, saturation and value."""
    image = synthetic(GREY)
    plain = (Kim2020()(image[None])[0] * 255).to(torch.uint8).permute(1, 2, 0).numpy()
    colours = cv2.cvtColor(plain, cv2.COLOR_RGB2HSV)
    colours[..., 2] = cv2.createCLAHE(1.0, (8, 8)).apply(colours[..., 2].copy())
    expected = cv2.cvtColor(colours, cv2.COLOR_HSV2RGB)
    found = (Kim2020(clahe=True)(image[None])[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(found, expected)


def test_statistics_are_what_the_estimate_uses(synthetic):
    image = synthetic(TINTED)
    prior = Kim2020()
    given = prior.estimate_image(image, prior.statistics(image))
    for name, value in prior.estimate(image[None])._asdict().items():
        assert torch.equal(value[0], getattr(given, name)), name
    darker = prior.statistics(image) | {"range": torch.tensor([0.3, 1.0])}
    assert prior.estimate_image(image, darker).restored.mean() < given.restored.mean()


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_an_even_image_comes_back(value):
    image = torch.full((1, 3, 9, 12), value)
    torch.testing.assert_close(Kim2020()(image), image)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (2, 2), (17, 9)])
def test_any_size_works_and_stays_in_range(shape):
    restored = Kim2020()(torch.rand((2, 3, *shape), generator=torch.Generator().manual_seed(0)))
    assert restored.shape == (2, 3, *shape)
    assert 0 <= restored.min() <= restored.max() <= 1
