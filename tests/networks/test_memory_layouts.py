"""The steps of attention that know the layout: the same values as the usual forms, and gradients that keep the layout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from limpid.networks.channels_last import GlobalAvgPool, scale_pixels
from limpid.networks.ffa_net import GroupFusion
from limpid.networks.op_attention import Float32Conv2d

FORMATS = (torch.contiguous_format, torch.channels_last)
TYPES = (torch.float32, torch.bfloat16)


def features(kind: torch.dtype, memory_format: torch.memory_format) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(2, 6, 9, 7, generator=generator).to(kind)
    return drawn.contiguous(memory_format=memory_format).requires_grad_()


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("kind", TYPES)
def test_the_mean_is_that_of_adaptive_pooling(kind: torch.dtype, memory_format: torch.memory_format) -> None:
    x = features(kind, memory_format)
    own, usual = GlobalAvgPool()(x), nn.AdaptiveAvgPool2d(1)(x)
    assert own.shape == usual.shape
    torch.testing.assert_close(own, usual)
    slopes = torch.rand(usual.shape).to(kind)
    (gradient,), (expected,) = (torch.autograd.grad(y, x, slopes) for y in (own, usual))
    torch.testing.assert_close(gradient, expected)
    assert gradient.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("kind", TYPES)
def test_weighing_pixels_is_a_product(kind: torch.dtype, memory_format: torch.memory_format) -> None:
    x = features(kind, memory_format)
    weight = torch.rand(2, 1, 9, 7).to(kind).requires_grad_()
    own, usual = scale_pixels(x, weight), x * weight
    assert torch.equal(own, usual)
    assert own.is_contiguous(memory_format=memory_format)
    slopes = torch.rand(usual.shape).to(kind)
    for gradient, expected in zip(*(torch.autograd.grad(y, (x, weight), slopes) for y in (own, usual)), strict=True):
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("memory_format", FORMATS)
def test_the_fusion_is_that_of_the_joined_groups(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    fusion = GroupFusion(6, 3, 4)
    outputs = [features(torch.float32, memory_format).detach() * (i + 1) for i in range(3)]
    joined = nn.functional.adaptive_avg_pool2d(torch.cat(outputs, 1), 1)
    weights = fusion.weight(joined).chunk(3, 1)
    expected = sum(weight * output for weight, output in zip(weights, outputs, strict=True))
    torch.testing.assert_close(fusion(outputs), expected)


def test_one_pixel_and_a_view_have_a_mean() -> None:
    one = torch.randn(2, 6, 1, 1).contiguous(memory_format=torch.channels_last)
    assert torch.equal(GlobalAvgPool()(one), one)
    view = torch.randn(2, 6, 8, 8).contiguous(memory_format=torch.channels_last)[..., 1:, 2:]
    torch.testing.assert_close(GlobalAvgPool()(view), view.mean((2, 3), keepdim=True))


def test_gradients_of_dilated_depthwise_convolutions_take_in_nothing_from_freed_memory() -> None:
    """OneDNN's in bf16 and channels_last were not a number in one of six tries like these."""
    torch.manual_seed(0)
    layer = Float32Conv2d(16, 16, 7, 1, 6, 2, groups=16, bias=False).to(memory_format=torch.channels_last)
    x = torch.rand(4, 16, 40, 40).to(memory_format=torch.channels_last)
    expected = layer(x)
    for _ in range(40):
        freed = [torch.full((1024 * size,), float("nan")) for size in range(1, 30)]
        del freed
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            output = layer(x)
        torch.testing.assert_close(output, expected)
        output.backward(torch.ones_like(output))
        assert torch.isfinite(layer.weight.grad).all()
