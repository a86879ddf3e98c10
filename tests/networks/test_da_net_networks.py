"""DA-Net's U-Net, translators and discriminator of features against their definitions, written out in plain torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import limpid
from limpid.errors import UserError
from limpid.networks.da_net import DANet, DANetTranslators, FeatureDiscriminator, Translator
from limpid.networks.patchgan import PatchGAN


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameters_are_the_releases() -> None:
    with torch.device("meta"):
        assert parameters(limpid.build("da_net")) == 54_591_388
        translators = limpid.build("da_net_translators")
        assert isinstance(translators, DANetTranslators)
        assert parameters(translators.to_synthetic) == 11_383_427
        assert parameters(translators.to_real) == 11_554_435
        assert parameters(FeatureDiscriminator()) == 67_372_546
        assert parameters(PatchGAN(norm="batch", padding=2)) == 2_765_633


def drawn(network: nn.Module) -> nn.Module:
    """In float64, with normalisations that do something."""
    torch.manual_seed(0)
    network = network.double()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for value in (layer.bias, layer.running_mean):
                nn.init.normal_(value, 0, 0.3)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 2)  # type: ignore[arg-type]
    return network.eval()


def norm(x: Tensor, layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.BatchNorm2d)
    return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias)


def rp(x: Tensor, by: int) -> Tensor:
    return F.pad(x, (by, by, by, by), mode="reflect")


def test_the_u_net_is_its_definition() -> None:
    network = drawn(DANet(channels=4))
    x = torch.rand(1, 3, 96, 112, generator=torch.Generator().manual_seed(0)).double()
    slope = network.activation.weight  # type: ignore[union-attr]
    slope.data.fill_(0.2)

    def act(y: Tensor) -> Tensor:
        return torch.where(y > 0, y, slope * y)

    def enc(part: nn.Sequential, y: Tensor) -> Tensor:
        for i in (0, 3):
            y = act(norm(F.conv2d(y, part[i].weight, padding=1), part[i + 1]))
        return y

    def dec(part: nn.Sequential, y: Tensor) -> Tensor:
        y = act(norm(F.conv2d(rp(y, 1), part[1].weight), part[2]))
        y = F.conv_transpose2d(y, part[4].weight, part[4].bias, stride=2, padding=1, output_padding=1)
        return act(norm(y, part[5]))

    def out(part: nn.Sequential, y: Tensor, kernel: int) -> Tensor:
        assert part[1].weight.shape[-1] == kernel
        return F.conv2d(rp(y, kernel // 2), part[1].weight).tanh()

    encoder, decoder, outputs = list(network.encoder), list(network.decoder), list(network.outputs)  # type: ignore[arg-type]
    first = encoder[0]
    c1 = F.avg_pool2d(act(norm(F.conv2d(rp(2 * x - 1, 3), first[1].weight), first[2])), 2)
    c2 = F.avg_pool2d(enc(encoder[1], c1), 2)
    c3 = F.avg_pool2d(enc(encoder[2], c2), 2)
    f = F.avg_pool2d(enc(encoder[3], c3), 2)
    y = f
    for block in network.centre:  # type: ignore[union-attr]
        sides = [F.conv2d(rp(y, d), b.weight, dilation=d) for d, b in zip((1, 3, 5), block.branches, strict=True)]
        wide = act(norm(torch.cat(sides, 1), block.norm))
        y = act(norm(F.conv2d(rp(wide, 1), block.join[1].weight), block.join[2]) + y)
    z = torch.cat([dec(decoder[0], y), 0.1 * c3], 1)
    o4 = out(outputs[0], z, 3)
    z = torch.cat([dec(decoder[1], z), 0.05 * c2, F.interpolate(o4, scale_factor=2, mode="nearest")], 1)
    o3 = out(outputs[1], z, 3)
    z = torch.cat([dec(decoder[2], z), 0.01 * c1, F.interpolate(o3, scale_factor=2, mode="nearest")], 1)
    o2 = out(outputs[2], z, 3)
    o1 = out(outputs[3], torch.cat([dec(decoder[3], z), F.interpolate(o2, scale_factor=2, mode="nearest")], 1), 7)
    found = network.returns(x)  # type: ignore[operator]
    torch.testing.assert_close(found.features, f)
    for image, expected in zip(found.stages, (o4, o3, o2, o1), strict=True):
        torch.testing.assert_close(image, (expected + 1) / 2)
    assert torch.equal(network(x), found.restored)
    assert network.train()(x).stages[0].shape == (1, 3, 12, 14)


def test_other_sides_are_continued_by_reflection() -> None:
    network, x = drawn(DANet(channels=2)), torch.rand(1, 3, 100, 125).double()
    whole = F.pad(x, (0, 3, 0, 12), mode="reflect")
    torch.testing.assert_close(network(x), network(whole)[..., :100, :125])
    assert [tuple(image.shape[-2:]) for image in network.returns(x).stages] == [
        (13, 16),
        (25, 32),
        (50, 63),
        (100, 125),
    ]  # type: ignore[operator]
    assert network(x[..., :16, :16]).shape == (1, 3, 16, 16)


def test_the_u_net_has_one_slope_and_begins_as_its_release_does() -> None:
    network = DANet(channels=8)
    assert sum(isinstance(layer, nn.PReLU) for layer in network.modules()) == 1
    scales = torch.cat([layer.weight for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)])
    assert 0.02 <= scales.min() < 0.1
    assert 0.9 < scales.max() <= 1
    wide = network.centre[0].join[1].weight  # type: ignore[union-attr, index]
    assert float(wide.detach().std()) == pytest.approx(
        (2 / (9 * wide.shape[1])) ** 0.5, rel=0.05
    )  # kaiming_normal, fan_in


@pytest.mark.parametrize("depth", [False, True])
def test_a_translator_adds_what_it_finds(depth: bool) -> None:
    network = drawn(Translator(8, 1, 0.2, depth))
    x, d = torch.rand(1, 3, 16, 20).double(), (2 * torch.rand(1, 1, 16, 20) - 1).double()
    image = 2 * x - 1
    features = network.features(image)  # type: ignore[operator]
    if depth:
        parts = network.modulation

        def leaky(y: Tensor, layers: nn.Module) -> Tensor:
            for layer in layers:  # type: ignore[attr-defined]
                if isinstance(layer, nn.Conv2d):
                    y = F.leaky_relu(F.conv2d(y, layer.weight, layer.bias, padding=1), 0.2)
            return y

        k = leaky(d, parts.seen)  # type: ignore[union-attr, arg-type]
        assert k.shape[1] == 8
        features = features * leaky(k, parts.scale) + leaky(k, parts.shift)  # type: ignore[union-attr, arg-type]
    last = network.image[1]  # type: ignore[index]
    expected = (image + F.conv2d(rp(features, 3), last.weight, last.bias).tanh()).clamp(-1, 1)
    torch.testing.assert_close(network(x, d), (expected + 1) / 2)
    if depth:
        assert not torch.allclose(network(x, -d), network(x, d))


def test_the_plain_translator_is_what_the_network_gives() -> None:
    network = drawn(DANetTranslators(channels=4, blocks=1))
    x = torch.rand(2, 3, 17, 22).double()
    padded = F.pad(x, (0, 2, 0, 3), mode="reflect")
    torch.testing.assert_close(network(x), network.to_synthetic(padded)[..., :17, :22])  # type: ignore[operator]


def test_features_are_judged_by_linear_layers_of_one_slope() -> None:
    torch.manual_seed(0)
    judge = FeatureDiscriminator(channels=2, side=112, hidden=8)
    assert judge.shape == (16, 7, 7)
    features = torch.randn(3, 16, 7, 7)
    first, slope, second, last = (judge.body[i] for i in (1, 2, 3, 5))
    y = F.prelu(features.flatten(1) @ first.weight.T + first.bias, slope.weight)
    y = F.prelu(y @ second.weight.T + second.bias, slope.weight)
    torch.testing.assert_close(judge(features), y @ last.weight.T + last.bias)
    assert FeatureDiscriminator(channels=2, side=32).shape == (16, 6, 6), "smaller windows are continued to 96"
    with pytest.raises(UserError, match=r"takes 16x7x7 numbers and is given 16x6x6; train on square windows"):
        judge(features[..., :6, :6])
    with pytest.raises(UserError, match="2 channels, but one that is given a depth needs 4 or more"):
        DANetTranslators(channels=2)
