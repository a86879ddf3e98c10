"""What is quick on a CPU gives the same as what a gradient or another device takes, and as the plain definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from limpid.metrics import SSIM_PRESETS, niqe, psnr, ssim
from limpid.metrics.filters import box_mean, gaussian_mean, half_size, map_strips, pad
from limpid.metrics.images import clamped, grey_levels, in_groups
from limpid.metrics.natural_scenes import asymmetric_fit, asymmetric_fit_of, moments, symmetric_fit, symmetric_fit_of
from limpid.metrics.piqe import _impaired, _noisy, _variance


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(11)


def _pair(random: torch.Generator, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Two images and their noisy copies, partly outside [0, 1]."""
    clean = torch.rand(2, 3, 40, 33, generator=random, dtype=torch.float64)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=random, dtype=torch.float64)
    if dtype == torch.uint8:
        return tuple((255 * some.clamp(0, 1)).byte() for some in (noisy, clean))  # type: ignore[return-value]
    return noisy.to(dtype), clean.to(dtype)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("clamp", [True, False])
def test_psnr_of_every_type(random: torch.Generator, dtype: torch.dtype, clamp: bool) -> None:
    x, y = _pair(random, dtype)
    a, b = (some.double().numpy() / (255 if dtype == torch.uint8 else 1) for some in (x, y))
    if clamp:
        a, b = a.clip(0, 1), b.clip(0, 1)
    expected = -10 * np.log10(((a - b) ** 2).mean((1, 2, 3)))
    np.testing.assert_allclose(psnr(x, y, clamp=clamp).numpy(), expected, rtol=1e-13)
    # as an image file's array lies in memory, and every other pixel
    np.testing.assert_allclose(psnr(x.to(memory_format=torch.channels_last), y, clamp=clamp).numpy(), expected, 1e-13)
    sparse = -10 * np.log10(((a - b)[..., ::2] ** 2).mean((1, 2, 3)))
    np.testing.assert_allclose(psnr(x[..., ::2], y[..., ::2], clamp=clamp).numpy(), sparse, rtol=1e-13)


def test_psnr_of_what_is_not_finite() -> None:
    x, y = torch.rand(3, 3, 8, 8), torch.rand(3, 3, 8, 8)
    x[0, 0, 0, 0], x[1, 0, 0, 0] = torch.nan, torch.inf
    values = psnr(x, y)
    assert values[0].isnan()
    assert values[1:].isfinite().all(), "infinity is cut to one"
    assert psnr(x, y, clamp=False)[1] == -torch.inf
    assert psnr(x[2:], x[2:], identical=100.0).tolist() == [100.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_only_what_needs_it_is_cut(dtype: torch.dtype) -> None:
    inside = torch.tensor([[0.0, 0.5, 1.0]], dtype=dtype)
    assert clamped(inside) is inside
    for outside in (-0.0, -1e-7, 1 + 1e-6, 2.0, -3.0, math.inf, -math.inf):
        image = torch.tensor([[0.0, outside, 1.0]], dtype=dtype)
        assert clamped(image).tolist() == image.clamp(0, 1).tolist()
    assert clamped(torch.tensor([math.nan], dtype=dtype)).isnan().all()
    levels = torch.tensor([0, 255], dtype=torch.uint8)
    assert clamped(levels) is levels


@pytest.mark.parametrize("preset", ["skimage7", "skimage7_range2", "wang", "zero_pad"])
def test_a_gradient_does_not_change_the_values(random: torch.Generator, preset: str) -> None:
    x, y = _pair(random, torch.float64)
    for metric in (psnr, lambda a, b: ssim(a, b, preset=SSIM_PRESETS[preset])):
        torch.testing.assert_close(metric(x.clone().requires_grad_(), y), metric(x, y), rtol=1e-12, atol=0)


def test_windows_with_and_without_a_gradient(random: torch.Generator) -> None:
    planes = torch.rand(2, 3, 21, 18, generator=random, dtype=torch.float64)
    other = planes.clone().requires_grad_()
    for size in (1, 2, 5, 8, 11):
        torch.testing.assert_close(box_mean(other, size), box_mean(planes, size), rtol=1e-13, atol=1e-14)
        torch.testing.assert_close(
            gaussian_mean(other, size, 1.3), gaussian_mean(planes, size, 1.3), rtol=1e-13, atol=0
        )
    # a plane that is not finite does not reach into its neighbours
    broken = planes.clone()
    broken[0, 1] = torch.nan
    found = box_mean(broken, 5)
    assert found[0, 1].isnan().all()
    assert torch.equal(found[0, [0, 2]], box_mean(planes, 5)[0, [0, 2]])


@pytest.mark.parametrize("values", [1, 500, 1 << 20])
def test_strips_are_seamless(random: torch.Generator, values: int) -> None:
    image = torch.rand(2, 1, 67, 20, generator=random, dtype=torch.float64)
    whole = box_mean(image, 5)
    torch.testing.assert_close(map_strips(lambda s: box_mean(s, 5), image, overlap=4, values=values), whole)
    assert torch.equal(map_strips(lambda s: s * 2, image, values=values), image * 2)
    padded = pad(image, 2, "replicate")
    assert map_strips(lambda s: box_mean(s, 5), padded, overlap=4, values=values).shape == image.shape


def test_moments_add_up(random: torch.Generator) -> None:
    samples = torch.randn(3, 700, generator=random, dtype=torch.float64)
    samples[:, :20] = 0
    pieces = sum(moments(piece) for piece in samples.split(150, dim=1))
    assert isinstance(pieces, Tensor)
    torch.testing.assert_close(pieces, moments(samples), rtol=1e-13, atol=0)
    assert pieces[0, :3].tolist() == [700, (samples[0] < 0).sum(), (samples[0] > 0).sum()]
    for one, other in zip(asymmetric_fit_of(pieces), asymmetric_fit(samples), strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(symmetric_fit_of(pieces)[1], symmetric_fit(samples)[1])
    assert asymmetric_fit(samples.abs()).left.isnan().all(), "nothing on the left"


def test_half_size_of_a_batch_is_that_of_each(random: torch.Generator) -> None:
    images = torch.rand(3, 1, 13, 16, generator=random, dtype=torch.float64)
    for image, half in zip(images, half_size(images), strict=True):
        assert torch.equal(half_size(image), half)


def test_groups_leave_out_what_cannot_be_scored() -> None:
    levels = torch.arange(7.0, dtype=torch.float64)[:, None, None, None] * torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    levels[3, 0, 0, 0] = torch.nan
    sizes: list[int] = []

    def total(some: Tensor) -> Tensor:
        sizes.append(len(some))
        return some.sum((1, 2, 3))

    values = in_groups(total, levels, values=8)
    assert values.isnan().tolist() == [True, False, False, True, False, False, False]
    assert values[[1, 2, 4, 5, 6]].tolist() == [6, 12, 24, 30, 36]
    assert sizes == [2, 2, 1]
    assert in_groups(total, levels[:1]).isnan().all()


def test_niqe_of_a_batch_is_that_of_each(live: object, random: torch.Generator) -> None:
    images = torch.rand(5, 1, 100, 200, generator=random)
    images[2] = 0.5
    values = niqe(images)
    assert values.isnan().tolist() == [False, False, True, False, False]
    each = torch.cat([niqe(image[None]) for image in images])
    torch.testing.assert_close(values, each, rtol=1e-9, atol=0, equal_nan=True)


def test_grey_levels_of_float_and_integer_images(random: torch.Generator) -> None:
    levels = torch.randint(0, 256, (2, 3, 300, 200), generator=random, dtype=torch.uint8)
    weights = torch.tensor([0.29893602129377539, 0.58704307445112125, 0.11402090425510336], dtype=torch.float64)
    expected = torch.floor((levels.double() * weights[:, None, None]).sum(1, keepdim=True) + 0.5)
    assert torch.equal(grey_levels(levels), expected)
    assert torch.equal(grey_levels(levels.float() / 255), expected)


def test_piqe_block_by_block(random: torch.Generator) -> None:
    """The sums over columns against standard deviations of the blocks themselves."""
    normalised = torch.randn(48, 64, generator=random, dtype=torch.float64)
    normalised[:16] *= 0.09
    normalised[16:32, ::3] *= 0.01
    blocks = normalised.unflatten(0, (-1, 16)).unflatten(2, (-1, 16))
    sums, squares = blocks.sum(1), blocks.square().sum(1)
    deviation = _variance(sums.sum(-1), squares.sum(-1), 256).sqrt()
    impaired, noisy = _impaired(blocks, 6, 0.1), _noisy(sums, squares, deviation)
    for i in range(3):
        for j in range(4):
            block = normalised[16 * i : 16 * i + 16, 16 * j : 16 * j + 16]
            assert deviation[i, j].item() == pytest.approx(block.std().item(), rel=1e-12)
            edges = (block[0], block[-1], block[:, 0], block[:, -1])
            assert impaired[i, j] == any(edge[k : k + 6].std() < 0.1 for edge in edges for k in range(11))
            surround = [column for column in range(16) if column not in (7, 9)]
            ratio = block[:, 7:9].std() / block[:, surround].std()
            assert noisy[i, j] == (block.std() > 2 * (block.std() - ratio).abs() / max(block.std(), ratio))
    assert impaired.any()
    assert not impaired.all()
