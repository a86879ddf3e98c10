"""DerainCycleGAN's networks against plain restatements of their layers."""

from __future__ import annotations

import pytest
import torch
from tests.networks.test_networks import parameters
from torch import Tensor
from torch.nn import functional as F

import limpid
from limpid.errors import UserError
from limpid.networks.derain_cycle_gan import (
    DerainCycleGAN,
    Derained,
    DerainGenerator,
    MultiScaleDiscriminator,
    RainAttention,
)


def attention(x: Tensor, network: RainAttention, rounds: int) -> Tensor:
    """The masks of so many rounds, the last one of them; `x` in [-1, 1]."""

    def conv(x: Tensor, name: str) -> Tensor:
        layer = network.get_submodule(name)
        return F.conv2d(x, layer.weight, layer.bias, padding=1)

    mask = torch.full((len(x), 1, *x.shape[2:]), 0.5)
    h = c = torch.zeros(len(x), 4, *x.shape[2:])
    for _ in range(rounds):
        z = torch.cat([conv(torch.cat([x, mask], 1), "head").relu(), h], 1)
        i, f, o = (torch.sigmoid(conv(z, f"{gate}_gate")) for gate in ("input", "forget", "output"))
        c = f * c + i * torch.tanh(conv(z, "cell_gate"))
        h = y = o * torch.tanh(c)
        for k in range(len(network.blocks)):
            y = (y + conv(conv(y, f"blocks.{k}.0").relu(), f"blocks.{k}.2").relu()).relu()
        mask = conv(y, "tail")
    return mask


def generator(x: Tensor, mask: Tensor, network: DerainGenerator) -> Tensor:
    """The sheet's words one after another."""

    def conv(x: Tensor, name: str, padding: int = 1, **settings: int) -> Tensor:
        layer = network.get_submodule(name)
        return F.conv2d(x, layer.weight, layer.bias, padding=padding, **settings)

    def up(x: Tensor, name: str) -> Tensor:
        layer = network.get_submodule(name).conv
        wide = F.conv_transpose2d(x, layer.weight, layer.bias, 2, 1)
        wide = F.pad(wide, (1, 0, 1, 0), mode="reflect")
        return ((wide[..., 1:, 1:] + wide[..., :-1, 1:] + wide[..., 1:, :-1] + wide[..., :-1, :-1]) / 4).relu()

    a = conv(torch.cat([x, mask], 1), "at_full", 2).relu()
    b = conv(conv(a, "at_half.0", stride=2).relu(), "at_half.1").relu()
    y = conv(b, "at_quarter.0", stride=2).relu()
    for k, d in enumerate((1, 1, 2, 4, 8, 16, 1, 1), 1):
        y = conv(y, f"at_quarter.{k}", d, dilation=d).relu()
    y = conv(up(y, "up_half") + b, "merge_half").relu()
    return conv(conv(up(y, "up_full") + a, "merge_full").relu(), "tail")


@torch.no_grad()
def test_it_is_its_definition() -> None:
    torch.manual_seed(0)
    network = DerainCycleGAN(4, 4, 2, rounds=3, weight_std=0.2).eval()
    x = torch.rand(2, 3, 22, 28)
    padded = 2 * F.pad(x, (0, 0, 0, 2), mode="reflect") - 1
    mask = attention(padded, network.attention, 3)
    expected = (generator(padded, mask, network.generator) + 1) / 2
    torch.testing.assert_close(network(x), expected[..., :22, :], rtol=1e-5, atol=1e-5)
    found = network.train()(x)
    assert isinstance(found, Derained)
    torch.testing.assert_close(found.mask, mask[..., :22, :], rtol=1e-5, atol=1e-5)
    other = DerainGenerator(4, weight_std=0.2)
    back = (generator(padded, mask, other) + 1) / 2
    torch.testing.assert_close(network.changed(x, other).restored, back[..., :22, :], rtol=1e-5, atol=1e-5)


def test_counts_are_the_releases() -> None:
    side_outputs = (256 * 9 + 1) * 3 + (128 * 9 + 1) * 3
    assert parameters(RainAttention()) == 167_809
    assert parameters(DerainGenerator()) + side_outputs == 6_076_553
    assert parameters(MultiScaleDiscriminator()) == 8_271_171


@torch.no_grad()
def test_the_discriminator_judges_at_three_scales() -> None:
    torch.manual_seed(0)
    judge = MultiScaleDiscriminator(channels=4, layers=2, weight_std=0.2)
    image = torch.rand(2, 3, 32, 32)
    found, x = judge(image), 2 * image - 1
    torch.testing.assert_close(judge.finest(image), found[0])
    for number, scores in enumerate(found):
        y = x
        for layer in (judge.scales[number][1], judge.scales[number][4]):
            y = F.conv2d(F.pad(y, (1, 1, 1, 1), mode="reflect"), layer.weight, layer.bias, 2)
            y = torch.where(y > 0, y, 0.01 * y)
        last = judge.scales[number][-1]
        torch.testing.assert_close(scores, F.conv2d(y, last.weight, last.bias), rtol=1e-5, atol=1e-5)
        x = F.avg_pool2d(x, 3, 2, 1) / F.avg_pool2d(torch.ones_like(x), 3, 2, 1)
    assert MultiScaleDiscriminator(channels=1)(torch.rand(1, 3, 64, 64))[2].shape[2:] == (1, 1)
    with pytest.raises(UserError, match="at least 64 pixels a side"):
        MultiScaleDiscriminator(channels=1)(torch.rand(1, 3, 63, 64))
    with pytest.raises(ValueError, match="at least one of either"):
        MultiScaleDiscriminator(scales=0)


@pytest.mark.parametrize(
    ("rounds", "blocks", "sentence"),
    [(0, 5, "rounds is 0, but it must be at least 1."), (6, -1, "attention_blocks is -1, but it must be at least 0.")],
)
def test_an_attention_that_never_looks_is_refused(rounds: int, blocks: int, sentence: str) -> None:
    with pytest.raises(UserError, match=f"derain_cycle_gan.{sentence}"):
        limpid.build("derain_cycle_gan", channels=4, attention_channels=4, rounds=rounds, attention_blocks=blocks)
    with pytest.raises(ValueError, match="at least once, with 0 blocks or more"):
        RainAttention(4, blocks, rounds)


def test_an_attention_without_blocks_looks_all_the_same() -> None:
    attention = limpid.build("derain_cycle_gan", channels=4, attention_channels=4, attention_blocks=0).attention
    assert len(attention.blocks) == 0
    assert attention(torch.rand(1, 3, 8, 8)).shape == (1, 1, 8, 8)
