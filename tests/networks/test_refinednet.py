"""RefineDNet's prior, refiners and fusion against their formulas, written out in numpy and plain torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.networks.test_adversarial_networks import generated, normalised, parameters
from torch import Tensor
from torch.nn import functional as F

import limpid
from limpid.errors import UserError
from limpid.inference import Tiled, restore
from limpid.networks.perceptual_fusion import fused
from limpid.networks.refinednet import RefineDNet, TransmissionUNet

Image = NDArray[np.float64]
SMALL = {"channels": 4, "levels": 5, "blocks": 2}


def windows(image: Image, radius: int) -> list[list[Image]]:
    """The window around each pixel of `image` `(H, W)`, cut at the border."""
    height, width = image.shape
    rows = [slice(max(i - radius, 0), i + radius + 1) for i in range(height)]
    columns = [slice(max(j - radius, 0), j + radius + 1) for j in range(width)]
    return [[image[row, column] for column in columns] for row in rows]


def means(image: Image, radius: int) -> Image:
    """The mean of the window around each pixel."""
    return np.array([[window.mean() for window in row] for row in windows(image, radius)])


def guided(guide: Image, source: Image, radius: int, epsilon: float) -> Image:
    """The guided filter, by its definition."""
    g, p = means(guide, radius), means(source, radius)
    a = (means(guide * source, radius) - g * p) / (means(guide * guide, radius) - g * g + epsilon)
    return means(a, radius) * guide + means(p - a * g, radius)


def dark(image: Image) -> Image:
    """The dark channel of `image` `(3, H, W)` in windows of 5, with ones around the image."""
    wide = np.pad(image.min(0), 2, constant_values=1.0)
    height, width = image.shape[1:]
    return np.array([[wide[i : i + 5, j : j + 5].min() for j in range(width)] for i in range(height)])


def greyed(image: Image) -> Image:
    """Grey, by the prior's weights."""
    return np.tensordot([0.2989, 0.587, 0.114], image, 1)


def hazy(height: int, width: int) -> Tensor:
    """An image whose pixels all differ, `(1, 3, H, W)`, most of it hazy."""
    generator = torch.Generator().manual_seed(0)
    share = torch.linspace(0.2, 0.9, width)
    return torch.rand(1, 3, height, width, generator=generator) * (1 - share) + 0.8 * share


@torch.no_grad()
def test_the_prior_is_its_formula() -> None:
    x = hazy(31, 36)
    image = x[0].double().numpy()
    levels, count = dark(image).ravel(), int(0.01 * 31 * 36)
    least = np.sort(levels)[-count]
    above, level = (image.reshape(3, -1)[:, chosen] for chosen in (levels > least, levels == least))
    assert level.shape[1] > 1, "pixels that share a window's minimum"
    airlight = (above.sum(1) + (count - above.shape[1]) * level.mean(1)) / count
    raw = 1 - 0.95 * dark(image / airlight[:, None, None])
    transmission = guided(greyed(image), raw, 15, 1e-3)
    clear = ((image - airlight[:, None, None]) / transmission + airlight[:, None, None]).clip(0, 1)
    found, light, t = RefineDNet(**SMALL).dark_channel_prior(x)
    np.testing.assert_allclose(light[0, :, 0, 0].numpy(), airlight, atol=1e-6)
    np.testing.assert_allclose(t[0, 0].numpy(), transmission, atol=1e-5)
    np.testing.assert_allclose(found[0].numpy(), clear, atol=3e-5)


def unet(x: Tensor, weights: TransmissionUNet) -> Tensor:
    """The transmission's refiner, written out from the innermost level outwards."""

    def level(k: int, features: Tensor) -> Tensor:
        down, up = weights.down[k], weights.up[k]
        z = F.conv2d(features if k == 0 else F.leaky_relu(features, 0.2), down.weight, down.bias, 2, 1)
        last = k == len(weights.down) - 1
        if not last:
            z = z if k == 0 else normalised(z)
            z = torch.cat([z, F.interpolate(level(k + 1, z), z.shape[-2:], mode="nearest")], 1)
        y = F.conv_transpose2d(z.relu(), up.weight, up.bias, 2, 1)
        return y.tanh() if k == 0 else normalised(y)

    return level(0, x)


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 96), (44, 52)])
def test_both_refiners_are_their_formulas(size: tuple[int, int]) -> None:
    """At sides that halve without a rest, and at others."""
    torch.manual_seed(0)
    network = RefineDNet(**SMALL, weight_std=0.2).train()
    for p in network.parameters():
        p.add_(0.05 * torch.randn_like(p))
    x = hazy(*size)
    prior, airlight, t = network.dark_channel_prior(x)
    found = network(x)
    raw = (unet(torch.cat([2 * x - 1, t], 1), network.transmission_refiner) + 1) / 2
    torch.testing.assert_close(found.raw_transmission, raw, rtol=1e-5, atol=1e-5)
    refined = generated(torch.cat([2 * x - 1, 2 * prior - 1], 1), network.image_refiner.body, 2)
    torch.testing.assert_close(found.refined, (refined + 1) / 2, rtol=1e-5, atol=1e-5)
    smooth = guided(greyed(x[0].double().numpy()), raw[0, 0].double().numpy(), 10, 1e-3)
    np.testing.assert_allclose(found.transmission[0, 0].numpy(), smooth, atol=2e-5)
    smooth_t = torch.from_numpy(smooth).float()
    recovered = ((2 * x - 1 - airlight) / smooth_t.clamp(0.01, 1) + airlight).clamp(-1, 1)
    torch.testing.assert_close(found.recovered, (recovered + 1) / 2, rtol=1e-3, atol=1e-4)
    again = refined * smooth_t + airlight * (1 - smooth_t)
    torch.testing.assert_close(found.reapplied, (again + 1) / 2, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.airlight, airlight.flatten(1))
    assert found.restored is found.refined, "in training nothing is fused"
    evaluated = network.eval()(x)
    torch.testing.assert_close(evaluated.restored, fused(x, evaluated.recovered, evaluated.refined))
    other = network.refine(x, x.flip(3))
    expected = generated(torch.cat([2 * x - 1, 2 * x.flip(3) - 1], 1), network.image_refiner.body, 2)
    torch.testing.assert_close(other, (expected + 1) / 2, rtol=1e-5, atol=1e-5)


def test_the_refiners_sizes() -> None:
    with torch.device("meta"):
        network = limpid.build("refinednet")
    assert parameters(network.transmission_refiner) == 54_406_529
    assert parameters(network.image_refiner) == 11_387_587
    with pytest.raises(UserError, match="network.levels is 2, but the transmission's refiner has at least 3"):
        RefineDNet(levels=2)


def looks(image: Image) -> tuple[Image, Image, Image]:
    """The gradient of the luminance, and both chromatic channels, of `image` `(3, H, W)` in 0..255."""
    y, m, n = np.tensordot([[0.299, 0.587, 0.114], [0.30, 0.04, -0.35], [0.34, -0.6, 0.17]], image, 1)
    wide = np.pad(y, 1, mode="reflect")
    across = wide[:, 2:] - wide[:, :-2]
    down = wide[2:] - wide[:-2]
    across = across[:-2] + 2 * across[1:-1] + across[2:]
    down = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    return np.hypot(across, down), m, n


def test_the_fusion_is_its_formula() -> None:
    images = [torch.rand(1, 3, 14, 17, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    x, one, other = (255 * image[0].double().numpy() for image in images)
    g, m, n = looks(x)
    scores = []
    for image in (one, other):
        g2, m2, n2 = looks(image)
        v = (2 * g * g2 + 160) / (g**2 + g2**2 + 160)
        colours = [(2 * a * b + 130) / (a**2 + b**2 + 130) for a, b in ((m, m2), (n, n2))]
        scores.append(colours[0] * colours[1] * v**0.4)
    weights = np.exp(scores) / np.exp(scores).sum(0)
    expected = (weights[0] * one + weights[1] * other) / 255
    np.testing.assert_allclose(fused(*images)[0].numpy(), expected, atol=1e-5)
    torch.testing.assert_close(fused(images[0], images[1], images[1]), images[1])


@torch.no_grad()
def test_a_black_image_stays_one_of_numbers() -> None:
    network = RefineDNet(**SMALL).eval()
    assert network(torch.zeros(1, 3, 20, 24)).restored.isfinite().all()


@torch.no_grad()
def test_tiles_share_the_airlight_of_the_whole_image() -> None:
    torch.manual_seed(0)
    network = RefineDNet(**SMALL).eval()
    x = hazy(96, 160)
    lights = []
    handle = network.register_forward_hook(lambda module, inputs, output: lights.append(output.airlight))
    Tiled(64, 32, 4)(network, x)
    handle.remove()
    tiles = lights[1:]  # the first pass measures the whole image
    assert len(tiles) > 4
    assert all(torch.equal(light, lights[0]) for light in tiles)
    assert restore(network, x).shape == x.shape
