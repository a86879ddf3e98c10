"""DeblurGAN and DeblurGAN-v2 with both backbones, against plain restatements of their layers."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from tests.networks.test_adversarial_networks import generated, normalised
from tests.networks.test_networks import parameters
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.networks.deblurgan import DeblurGAN
from limpid.networks.deblurgan_v2 import DeblurGANv2
from limpid.networks.inception_resnet_v2 import InceptionResNetV2
from limpid.networks.mobilenet_v2 import MobileNetV2
from limpid.networks.patchgan import PatchGAN

State = dict[str, Tensor]


def shaken(network: nn.Module) -> State:
    """The weights of `network`, all of them drawn, so that none is 0 or 1 by accident."""
    torch.manual_seed(0)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.05 * torch.randn_like(value))
    return dict(network.state_dict())


def unit(x: Tensor, s: State, name: str, stride: int = 1, padding: Any = 0) -> Tensor:
    """Convolution, statistics of the image, learnt scale and offset, ReLU."""
    y = F.conv2d(x, s[f"{name}.conv.weight"], stride=stride, padding=padding)
    mean, variance = y.mean((2, 3), keepdim=True), y.var((2, 3), correction=0, keepdim=True)
    weight, bias = (s[f"{name}.bn.{part}"].view(1, -1, 1, 1) for part in ("weight", "bias"))
    return ((y - mean) / (variance + 1e-3).sqrt() * weight + bias).relu()


def inception(x: Tensor, s: State) -> list[Tensor]:
    """The table of layers, row by row."""

    def pool(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 2)

    e0 = unit(x, s, "conv2d_1a", 2)
    e1 = pool(unit(unit(e0, s, "conv2d_2a"), s, "conv2d_2b", padding=1))
    e2 = pool(unit(unit(e1, s, "conv2d_3b"), s, "conv2d_4a"))
    n = "mixed_5b.branch"
    second = unit(unit(e2, s, f"{n}1.0"), s, f"{n}1.1", padding=2)
    third = unit(unit(unit(e2, s, f"{n}2.0"), s, f"{n}2.1", padding=1), s, f"{n}2.2", padding=1)
    ones = F.avg_pool2d(torch.ones_like(e2), 3, 1, 1)
    fourth = unit(F.avg_pool2d(e2, 3, 1, 1) / ones, s, f"{n}3.1")
    y = torch.cat([unit(e2, s, f"{n}0"), second, third, fourth], 1)
    n = "repeat.0.branch"
    third = unit(unit(unit(y, s, f"{n}2.0"), s, f"{n}2.1", padding=1), s, f"{n}2.2", padding=1)
    between = torch.cat([unit(y, s, f"{n}0"), unit(unit(y, s, f"{n}1.0"), s, f"{n}1.1", padding=1), third], 1)
    y = (y + 0.17 * F.conv2d(between, s["repeat.0.conv2d.weight"], s["repeat.0.conv2d.bias"])).relu()
    n = "mixed_6a.branch"
    second = unit(unit(unit(y, s, f"{n}1.0"), s, f"{n}1.1", padding=1), s, f"{n}1.2", 2)
    e3 = torch.cat([unit(y, s, f"{n}0", 2), second, pool(y)], 1)
    n = "repeat_1.0.branch"
    second = unit(unit(unit(e3, s, f"{n}1.0"), s, f"{n}1.1", padding=(0, 3)), s, f"{n}1.2", padding=(3, 0))
    between = torch.cat([unit(e3, s, f"{n}0"), second], 1)
    y = (e3 + 0.10 * F.conv2d(between, s["repeat_1.0.conv2d.weight"], s["repeat_1.0.conv2d.bias"])).relu()
    n = "mixed_7a.branch"
    first = unit(unit(y, s, f"{n}0.0"), s, f"{n}0.1", 2)
    second = unit(unit(y, s, f"{n}1.0"), s, f"{n}1.1", 2)
    third = unit(unit(unit(y, s, f"{n}2.0"), s, f"{n}2.1", padding=1), s, f"{n}2.2", 2)
    return [e0, e1, e2, e3, torch.cat([first, second, third, pool(y)], 1)]


def top(x: Tensor, features: list[Tensor], s: State, frames: Any) -> Tensor:
    """The pyramid and what is behind it; `x` in [-1, 1]."""

    def up(x: Tensor, times: int) -> Tensor:
        return x.repeat_interleave(times, 2).repeat_interleave(times, 3)

    def cnr(x: Tensor, name: str) -> Tensor:
        return normalised(F.conv2d(x, s[f"{name}.weight"], s[f"{name}.bias"], padding=1)).relu()

    lateral = [F.conv2d(one, s[f"pyramid.lateral.{k}.weight"]) for k, one in enumerate(features)]
    if frames:
        lateral = [F.pad(one, frame, mode="reflect") for one, frame in zip(lateral, frames, strict=True)]
    m4 = lateral[4]
    m3 = cnr(lateral[3] + up(m4, 2), "pyramid.smooth.0.0")
    m2 = cnr(lateral[2] + up(m3, 2), "pyramid.smooth.1.0")
    m1 = cnr(lateral[1] + up(m2, 2), "pyramid.smooth.2.0")

    def head(one: Tensor, k: int) -> Tensor:
        one = F.conv2d(one, s[f"heads.{k - 1}.0.weight"], padding=1).relu()
        return F.conv2d(one, s[f"heads.{k - 1}.2.weight"], padding=1).relu()

    y = cnr(torch.cat([up(head(m4, 4), 8), up(head(m3, 3), 4), up(head(m2, 2), 2), head(m1, 1)], 1), "smooth.0")
    y = cnr(up(y, 2) + lateral[0], "smooth2.0")
    return (torch.tanh(F.conv2d(up(y, 2), s["tail.weight"], s["tail.bias"], padding=1)) + x).clamp(-1, 1)


@torch.no_grad()
def test_deblurgan_is_its_formula() -> None:
    torch.manual_seed(0)
    network = DeblurGAN(channels=8, blocks=2, weight_std=0.2).eval()
    x = torch.rand(2, 3, 22, 24)
    padded = 2 * F.pad(x, (0, 0, 0, 2), mode="reflect") - 1
    expected = (padded + generated(padded, network.generator.body, 2)).clamp(-1, 1)[..., :22, :]
    torch.testing.assert_close(network(x), (expected + 1) / 2, rtol=1e-4, atol=1e-4)


def test_dropout_draws_in_training_alone_and_changes_no_name() -> None:
    network, without = DeblurGAN(4, 1), DeblurGAN(4, 1, dropout=0.0)
    without.load_state_dict(network.state_dict())
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(network.eval()(x), without.eval()(x))
        assert torch.equal(network(x), network(x))
        network.train()
        assert not torch.equal(network(x), network(x))
    [layer] = [layer for layer in network.modules() if isinstance(layer, nn.Dropout)]
    assert layer.p == 0.5
    with pytest.raises(ValueError, match="dropout"):
        DeblurGAN(4, 1, dropout=2.0)


@torch.no_grad()
def test_inception_resnet_v2_is_its_table() -> None:
    network = InceptionResNetV2(0.125, (1, 1)).eval()
    state = shaken(network)
    x = torch.rand(2, 3, 128, 160) * 2 - 1
    found = network(x)
    assert [tuple(one.shape[2:]) for one in found] == [(63, 79), (30, 38), (13, 17), (6, 8), (2, 3)]
    assert tuple(one.shape[1] for one in found) == network.channels
    for one, expected in zip(found, inception(x, state), strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("backbone", ["inception_resnet_v2", "mobilenet_v2"])
def test_the_pyramid_and_what_is_behind_it_are_their_formula(backbone: str) -> None:
    network = DeblurGANv2(backbone, 0.125, (1, 1), pyramid_channels=8, head_channels=4).eval()
    state = shaken(network)
    x = torch.rand(1, 3, 130, 140)
    padded = 2 * F.pad(x, (0, 20, 0, 30), mode="reflect") - 1
    frames = [(0, 1, 0, 1), (1, 1, 1, 1), (1, 2, 1, 2), (1, 1, 1, 1), (1, 1, 1, 1)]
    features = network.backbone(padded)
    expected = top(padded, features, state, frames if backbone == "inception_resnet_v2" else None)
    torch.testing.assert_close(network(x), (expected[..., :130, :140] + 1) / 2, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_mobilenet_v2_widens_filters_and_narrows() -> None:
    network = MobileNetV2(norm="batch").eval()
    shaken(network)
    x = torch.rand(1, 3, 64, 96) * 2 - 1
    found = network(x)
    assert [tuple(one.shape[1:]) for one in found] == [(16, 32, 48), (24, 16, 24), (32, 8, 12), (64, 4, 6), (160, 2, 3)]
    assert len(network.features) == 16
    block = network.features[15]
    y = network.features[14](network.features[13](network.features[12](network.features[11](found[3]))))
    wide = F.relu6(block.conv[1](F.conv2d(y, block.conv[0].weight)))
    filtered = F.relu6(block.conv[4](F.conv2d(wide, block.conv[3].weight, padding=1, groups=960)))
    narrow = block.conv[7](F.conv2d(filtered, block.conv[6].weight))
    torch.testing.assert_close(found[4], y + narrow)
    assert [layer.sums for layer in network.features[1:]] == [
        False, False, True, False, True, True, False, True, True, True, False, True, True, False, True,
    ]  # fmt: skip


def test_the_backbone_has_as_many_parameters_as_published() -> None:
    """The whole network's count is in test_networks.py."""
    with torch.device("meta"):
        whole = DeblurGANv2(norm="batch")
    assert parameters(whole.backbone) == 30_754_272
    assert parameters(whole) - parameters(whole.backbone) == 5_085_827


@pytest.mark.parametrize(("layers", "count"), [(3, 2_764_737), (5, 11_154_369)])
def test_the_discriminators_of_patches_and_of_large_parts(layers: int, count: int) -> None:
    assert parameters(PatchGAN(layers=layers, padding=2)) == count
    assert layers > 3 or parameters(PatchGAN(layers=3, norm="batch", padding=2)) == 2_765_633
    small = PatchGAN(channels=4, layers=layers, padding=2, weight_std=None)
    assert min(small(torch.rand(1, 3, 2, 2)).shape[2:]) >= 1, "a padding of 2 leaves a score of any image"
    bound = 1 / (3 * 16) ** 0.5
    assert small.body[0].weight.abs().max() <= bound, "torch's own initial weights are uniform"


def test_timms_network_gives_the_same_of_the_same_weights() -> None:
    """Needs timm, and torchvision, which timm imports."""
    timm = pytest.importorskip("timm", exc_type=ImportError)
    torch.manual_seed(0)
    theirs = timm.create_model("inception_resnet_v2").eval()
    x = torch.rand(1, 3, 128, 160) * 2 - 1
    for norm in ("batch", "instance"):
        ours = InceptionResNetV2(norm=norm).eval()
        missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
        assert not missing
        assert norm == "instance" or {name.split(".")[0] for name in unexpected} == {
            "repeat_2", "block8", "conv2d_7b", "classif",
        }  # fmt: skip
        theirs.train(norm == "instance")  # of a batch of one image, the batch's statistics are the image's
        with torch.no_grad():
            e0 = theirs.conv2d_1a(x)
            e1 = theirs.maxpool_3a(theirs.conv2d_2b(theirs.conv2d_2a(e0)))
            e2 = theirs.maxpool_5a(theirs.conv2d_4a(theirs.conv2d_3b(e1)))
            e3 = theirs.mixed_6a(theirs.repeat(theirs.mixed_5b(e2)))
            e4 = theirs.mixed_7a(theirs.repeat_1(e3))
            for own, other in zip(ours(x), (e0, e1, e2, e3, e4), strict=True):
                torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5)
    assert "timm" in sys.modules


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"backbone": "resnet50"}, "must be one of inception_resnet_v2, mobilenet_v2"),
        ({"pyramid_channels": 100}, "the first must be twice the second, which must be even"),
        ({"pyramid_channels": 2, "head_channels": 1}, "the first must be twice the second, which must be even"),
        ({"width": 0}, "a share of the backbone's channels is above 0"),
        ({"blocks": [1]}, "must be two numbers, each 0 or more"),
    ],
)
def test_what_cannot_be_made_is_told_in_a_sentence(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        DeblurGANv2(**settings)
