"""CycleGAN's generator, pyramid pooling, discriminators at several scales, and VGG-16, each against its formula."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from tests.networks.test_networks import parameters
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.networks.patchgan import MultiScalePatchGAN, PatchGAN
from limpid.networks.pyramid_pooling import PyramidPooling
from limpid.networks.resnet_generator import ResidualBlock, ResnetGenerator
from limpid.networks.vgg import CAFFE_MEAN, VGGFeatures


def normalised(x: Tensor) -> Tensor:
    """Instance norm without parameters."""
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def reflected(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """A convolution of `x` that goes on in its reflection."""
    side = layer.kernel_size[0] // 2
    return F.conv2d(F.pad(x, (side,) * 4, mode="reflect"), layer.weight, layer.bias)


def block(x: Tensor, weights: ResidualBlock) -> Tensor:
    """A residual block, written out."""
    first, second = (layer for layer in weights.body if isinstance(layer, nn.Conv2d))
    return x + normalised(reflected(normalised(reflected(x, first)).relu(), second))


def generated(x: Tensor, body: nn.Sequential, blocks: int) -> Tensor:
    """CycleGAN's generator with two halvings, written out; `body` has its weights."""
    x = normalised(reflected(x, body[1])).relu()
    for index in (4, 7):
        x = normalised(F.conv2d(x, body[index].weight, body[index].bias, stride=2, padding=1)).relu()
    for index in range(10, 10 + blocks):
        x = block(x, body[index])
    for index in (10 + blocks, 13 + blocks):
        layer = body[index]
        wide = F.conv_transpose2d(x, layer.weight, layer.bias, stride=2, padding=1, output_padding=1)
        x = normalised(wide).relu()
    return reflected(x, body[17 + blocks]).tanh()


@torch.no_grad()
def test_the_generator_is_its_formula() -> None:
    torch.manual_seed(0)
    network = ResnetGenerator(4, 2, channels=8, blocks=2, weight_std=0.2).double()
    for p in network.parameters():
        p.add_(0.05 * torch.randn_like(p))
    x = torch.rand(2, 4, 20, 24, dtype=torch.float64) * 2 - 1
    torch.testing.assert_close(network(x), generated(x, network.body, 2), rtol=1e-9, atol=1e-9)


def test_the_generators_size() -> None:
    assert parameters(ResnetGenerator(3, 3, blocks=6)) == 7_837_699
    assert parameters(ResnetGenerator(6, 3, blocks=9)) == 11_387_587
    with torch.device("meta"):
        names = [name for name in ResnetGenerator(blocks=9).state_dict() if name.endswith("weight")]
    # the places of CycleGAN's releases
    assert [int(name.split(".")[1]) for name in names[:3]] == [1, 4, 7]
    assert sorted({int(name.split(".")[1]) for name in names}) == [1, 4, 7, *range(10, 20), 22, 26]
    assert parameters(ResidualBlock(8, norm="none")) == 2 * (9 * 64 + 8)


@torch.no_grad()
def test_pyramid_pooling_is_its_formula() -> None:
    pooling = PyramidPooling(5, 3)
    f = torch.randn(2, 5, 64, 96)
    found = []
    for side, layer in zip((32, 16, 8, 4), pooling.scales, strict=True):
        means = f.view(2, 5, 64 // side, side, 96 // side, side).mean((3, 5))
        one = F.leaky_relu(torch.einsum("nchw,c->nhw", means, layer.weight.view(5)) + layer.bias, 0.2)
        found.append(one.repeat_interleave(side, 1).repeat_interleave(side, 2).unsqueeze(1))
    last = F.conv2d(torch.cat([*found, f], 1), pooling.refine.weight, pooling.refine.bias, padding=1).tanh()
    torch.testing.assert_close(pooling(f), last, rtol=1e-5, atol=1e-5)
    assert pooling(torch.randn(1, 5, 37, 45)).shape == (1, 3, 37, 45)


@torch.no_grad()
def test_discriminators_at_two_scales() -> None:
    assert parameters(MultiScalePatchGAN(2, image_channels=6)) == 5_535_618
    network = MultiScalePatchGAN(2, image_channels=3, channels=4)
    image = torch.rand(1, 3, 64, 64)
    first, second = network(image)
    torch.testing.assert_close(first, network.scales[0](image))
    padded = F.pad(image, (1, 1, 1, 1))
    window = F.pad(torch.ones_like(image), (1, 1, 1, 1))
    small = F.avg_pool2d(padded, 3, 2) / F.avg_pool2d(window, 3, 2)
    torch.testing.assert_close(second, network.scales[1](small), rtol=1e-4, atol=1e-5)
    assert isinstance(network.scales[0], PatchGAN)


#: torchvision's `vgg16().features`: index, channels in, channels out.
VGG16 = (
    *((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), (12, 256, 256), (14, 256, 256)),
    *((17, 256, 512), (19, 512, 512), (21, 512, 512), (24, 512, 512), (26, 512, 512), (28, 512, 512)),
)


def test_vgg16_has_torchvisions_state_dict() -> None:
    with torch.device("meta"):
        network = VGGFeatures(["pool5"], depth=16)
    expected: dict[str, tuple[int, ...]] = OrderedDict()
    for index, channels_in, channels_out in VGG16:
        expected[f"features.{index}.weight"] = (channels_out, channels_in, 3, 3)
        expected[f"features.{index}.bias"] = (channels_out,)
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == expected
    assert len(network.features) == 31
    with pytest.raises(UserError, match="no VGG of 11 layers here; it is one of 16, 19"):
        VGGFeatures(depth=11)
    with pytest.raises(UserError, match="must be one of torchvision, caffe"):
        VGGFeatures(origin="kaffe")


@torch.no_grad()
def test_vgg_gives_layers_before_the_relu_and_after_poolings() -> None:
    network = VGGFeatures(["conv1_1", "relu1_1", "pool1"], normalise=False, depth=16)
    x, f = torch.rand(1, 3, 16, 18), network.features
    found = network(x)
    torch.testing.assert_close(found["conv1_1"], f[0](x))
    assert found["conv1_1"].min() < 0, "the ReLU after it did not overwrite it"
    torch.testing.assert_close(found["relu1_1"], f[0](x).relu())
    torch.testing.assert_close(found["pool1"], F.max_pool2d(f[2](f[0](x).relu()).relu(), 2))


@torch.no_grad()
def test_vggs_scalings_of_images() -> None:
    x = torch.rand(1, 3, 16, 16)
    wide = VGGFeatures(["conv1_1"], normalise=False, image_range=(-1, 1))
    torch.testing.assert_close(wide(x)["conv1_1"], wide.features[0](2 * x - 1))
    caffe = VGGFeatures(["conv1_1"], origin="caffe", image_range=(-1, 1))
    blue, green, red = (255 * (2 * x[:, c] - 1) - CAFFE_MEAN[2 - c] for c in (2, 1, 0))
    expected = caffe.features[0](torch.stack([blue, green, red], 1))
    torch.testing.assert_close(caffe(x)["conv1_1"], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("settings", [{"blocks": -1}, {"halvings": -1}])
def test_fewer_layers_than_none_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="there are 0 or more of either"):
        ResnetGenerator(channels=4, **settings)  # type: ignore[arg-type]
