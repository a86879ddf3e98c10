"""EPDN's network against its formula, with the same weights."""

from __future__ import annotations

import torch
from tests.networks.test_adversarial_networks import block, normalised, reflected
from torch import Tensor, nn
from torch.nn import functional as F

import limpid
from limpid.networks.epdn import EPDN, Enhancer


def halve(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """A convolution of stride 2, instance norm, ReLU."""
    return normalised(F.conv2d(x, layer.weight, layer.bias, stride=2, padding=1)).relu()


def double(x: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """A transposed convolution of stride 2, instance norm, ReLU."""
    wide = F.conv_transpose2d(x, layer.weight, layer.bias, stride=2, padding=1, output_padding=1)
    return normalised(wide).relu()


def enhanced(one: Tensor, other: Tensor, weights: Enhancer) -> Tensor:
    """An enhancer, written out with means by reshaping."""
    features = torch.cat([one, other], 1)
    for layer in (weights.first, weights.second):
        features = F.leaky_relu(F.conv2d(features, layer.weight, layer.bias, padding=1), 0.2)
    n, c, h, w = features.shape
    found = []
    for side, layer in zip((32, 16, 8, 4), weights.pooling.scales, strict=True):
        means = features.view(n, c, h // side, side, w // side, side).mean((3, 5))
        one = F.leaky_relu(F.conv2d(means, layer.weight, layer.bias), 0.2)
        found.append(one.repeat_interleave(side, 2).repeat_interleave(side, 3))
    last = weights.pooling.refine
    return F.conv2d(torch.cat([*found, features], 1), last.weight, last.bias, padding=1).tanh()


@torch.no_grad()
def test_epdn_is_its_formula() -> None:
    torch.manual_seed(0)
    network = EPDN(channels=4, enhancer_channels=5, weight_std=0.2).eval()
    for p in network.parameters():
        p.add_(0.05 * torch.randn_like(p))
    network.double()  # rounding in float32 is near the tolerance on some processors
    image = torch.rand(2, 3, 64, 96).double()
    x = 2 * image - 1
    ones = F.pad(torch.ones(1, 1, 64, 96).double(), (1, 1, 1, 1))
    half = F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2) / F.avg_pool2d(ones, 3, 2)
    assert half.shape[-2:] == (32, 48)
    c = network.coarse
    g = normalised(reflected(half, c[1])).relu()
    for index in (4, 7, 10, 13):
        g = halve(g, c[index])
    assert g.shape[1] == 4 * 16
    for index in (16, 17, 18):
        g = block(g, c[index])
    for index in (19, 22, 25, 28):
        g = double(g, c[index])
    y = halve(normalised(reflected(x, network.fine_down[1])).relu(), network.fine_down[4]) + g
    for index in (0, 1, 2):
        y = block(y, network.fine_up[index])
    y = reflected(double(y, network.fine_up[3]), network.fine_up[7]).tanh()
    out = enhanced(y, enhanced(y, x, network.enhancers[0]), network.enhancers[1])
    found = network(image)
    torch.testing.assert_close(found.translated, (y + 1) / 2, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.restored, (out + 1) / 2, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_images_are_padded_at_the_right_and_below() -> None:
    network = limpid.build("epdn", channels=4, enhancer_channels=4).eval()
    x = torch.rand(1, 3, 70, 100)
    padded = F.pad(x, (0, 28, 0, 26), mode="reflect")
    torch.testing.assert_close(network(x).restored, network(padded).restored[..., :70, :100])
