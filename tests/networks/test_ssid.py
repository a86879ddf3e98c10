"""SSID's network against a plain restatement of its layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.ssid import SSIDNet


def restated(x: Tensor, network: SSIDNet) -> Tensor:
    """The sheet's words one after another, with the weights in the order in which they are met."""

    def conv(x: Tensor, layer: nn.Module, stride: int = 1, padding: int = 1) -> Tensor:
        assert isinstance(layer, nn.Conv2d)
        return F.conv2d(x, layer.weight, layer.bias, stride, padding)

    def leaky(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    def up(x: Tensor, layer: nn.Module) -> Tensor:
        assert isinstance(layer, nn.ConvTranspose2d)
        return F.conv_transpose2d(x, layer.weight, layer.bias, 2, 1).clamp(min=0)

    def blocks(x: Tensor, stack: nn.Sequential) -> Tensor:
        for block in stack:
            first, second = (layer for layer in block.modules() if isinstance(layer, nn.Conv2d))
            y = conv(F.pad(x, (1, 1, 1, 1), mode="reflect"), first, padding=0).clamp(min=0)
            x = x + conv(F.pad(y, (1, 1, 1, 1), mode="reflect"), second, padding=0)
        return x

    hazy = 2 * x - 1
    a = blocks(leaky(conv(hazy, network.head[0], padding=3)), network.at_full)
    b = blocks(leaky(conv(a, network.down_half[0], 2)), network.at_half)
    c = up(blocks(leaky(conv(b, network.down_quarter[0], 2)), network.at_quarter), network.up_half[0]) + b
    e = up(blocks(c, network.at_half), network.up_full[0]) + a
    out = hazy + torch.tanh(conv(blocks(e, network.at_full), network.tail[0], padding=3))
    return (out.clamp(-1, 1) + 1) / 2


def test_it_is_its_definition() -> None:
    torch.manual_seed(0)
    network = SSIDNet(channels=4, blocks=(2, 1, 2), weight_std=0.2)
    x = torch.rand(2, 3, 24, 20)
    with torch.no_grad():
        found, expected = network(x), restated(x, network)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        assert (found - x).abs().mean() > 0.01
        cut = x[..., :23, :18]
        padded = F.pad(cut, (0, 2, 0, 1), mode="reflect")
        torch.testing.assert_close(network(cut), restated(padded, network)[..., :23, :18], atol=1e-5, rtol=0)


def test_without_weights_it_changes_nothing() -> None:
    network = SSIDNet(channels=4, blocks=(1, 1, 1))
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
        x = torch.rand(1, 3, 17, 22)
        torch.testing.assert_close(network(x), x)


def test_a_photograph_goes_through_it_half_a_megapixel_at_a_time() -> None:
    assert SSIDNet.largest_megapixels == 0.5
