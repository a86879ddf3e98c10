"""Fast code against the definition written out slowly, and closed forms."""

from __future__ import annotations

import functools
import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.fft
import torch
from torch import Tensor

from limpid.metrics import SSIMPreset, psnr, ssim
from limpid.metrics.filters import box_mean, gaussian, gaussian_mean, half_size, pad_symmetric, sum_over_strips
from limpid.metrics.natural_scenes import asymmetric_fit, symmetric_fit
from limpid.metrics.piqe import piqe
from limpid.metrics.sseq import spatial_entropy, spectral_entropy
from limpid.metrics.support_vectors import couple


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def test_psnr_of_a_constant_difference() -> None:
    reference = torch.full((2, 3, 5, 7), 0.5, dtype=torch.float64)
    restored = reference + torch.tensor([0.1, 0.01])[:, None, None, None]
    torch.testing.assert_close(psnr(restored, reference), torch.tensor([20.0, 40.0]).double(), rtol=1e-6, atol=0)
    assert psnr(restored + 5, reference)[0].item() == pytest.approx(-20 * math.log10(0.5)), "values are cut at one"
    assert psnr(reference, reference, eps=1e-4).tolist() == pytest.approx([40, 40])
    # an error that rounding removes
    assert psnr(reference + 0.001, reference, quantise=True).isinf().all()


def test_psnr_in_luma_weighs_the_colours() -> None:
    grey = torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64)
    for channel, weight in enumerate((65.481, 128.553, 24.966)):
        tinted = grey.clone()
        tinted[:, channel] += 0.1
        assert psnr(tinted, grey, space="y").item() == pytest.approx(-20 * math.log10(0.1 * weight / 255))


def _slow_ssim(x: np.ndarray, y: np.ndarray, preset: SSIMPreset) -> float:
    """SSIM of one plane, window by window."""
    size, margin = preset.size, preset.size // 2
    line = np.full(size, 1 / size) if preset.sigma is None else np.array(gaussian(size, preset.sigma))
    window = np.outer(line, line)
    if preset.border != "valid":
        mode = {"zero": "constant", "replicate": "edge"}[preset.border]
        x, y = np.pad(x, margin, mode=mode), np.pad(y, margin, mode=mode)
    scale = size**2 / (size**2 - 1) if preset.sample_covariance else 1
    c1, c2 = (preset.k1 * preset.data_range) ** 2, (preset.k2 * preset.data_range) ** 2
    values = []
    for i, j in product(range(x.shape[0] - size + 1), range(x.shape[1] - size + 1)):
        a, b = x[i : i + size, j : j + size], y[i : i + size, j : j + size]
        ma, mb = (window * a).sum(), (window * b).sum()
        va, vb, cov = (
            scale * (window * u * v).sum() for u, v in ((a - ma, a - ma), (b - mb, b - mb), (a - ma, b - mb))
        )
        values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return float(np.mean(values))


@pytest.mark.parametrize(
    "preset",
    [
        SSIMPreset(size=7, sigma=None, sample_covariance=True),
        SSIMPreset(size=5, sigma=None, data_range=2.0),
        SSIMPreset(border="zero"),
        SSIMPreset(size=5, sigma=0.8, border="replicate"),
    ],
)
def test_ssim_window_by_window(preset: SSIMPreset, random: torch.Generator) -> None:
    x, y = torch.rand(2, 1, 2, 13, 17, generator=random, dtype=torch.float64)[:, :, :1]
    slow = _slow_ssim(x[0, 0].numpy(), y[0, 0].numpy(), preset)
    assert ssim(x, y, preset=preset).item() == pytest.approx(slow, abs=1e-12)


def test_ssim_across_colours_is_a_cube(random: torch.Generator) -> None:
    preset = SSIMPreset(border="replicate", across_colours=True)
    x, y = torch.rand(2, 1, 3, 12, 11, generator=random, dtype=torch.float64)

    def mean(volume: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(volume[None, None], (5,) * 6, mode="replicate")[0, 0]
        line = torch.tensor(gaussian(11, 1.5), dtype=torch.float64)
        for dim in range(3):
            padded = padded.unfold(dim, 11, 1) @ line
        return padded

    a, b = x[0], y[0]
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    slow = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
    assert ssim(x, y, preset=preset).item() == pytest.approx(slow.mean().item(), abs=1e-12)


def test_ssim_does_not_depend_on_the_strips(random: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.rand(2, 3, 3, 90, 40, generator=random, dtype=torch.float64)
    whole = ssim(x, y, preset="wang")
    pieces: list[tuple[int, ...]] = []

    def in_pieces(function: Any, x: Tensor, y: Tensor, *, overlap: int, values: int) -> Tensor:
        def seen(a: Tensor, b: Tensor) -> Tensor:
            pieces.append(tuple(a.shape))
            return function(a, b)

        return sum_over_strips(seen, x, y, overlap=overlap, values=values)

    for values, expected in ((1, [(1, 3, 31, 40)] * 12), (1 << 15, [(3, 3, 90, 40)])):
        pieces.clear()
        monkeypatch.setitem(ssim.__globals__, "sum_over_strips", functools.partial(in_pieces, values=values))
        torch.testing.assert_close(ssim(x, y, preset="wang"), whole, rtol=1e-12, atol=0)
        assert [(n, c, h + (h == 27) * 4, w) for n, c, h, w in pieces] == expected


def test_gradients(random: torch.Generator) -> None:
    x, y = torch.rand(2, 2, 3, 12, 13, generator=random, dtype=torch.float64)
    x.requires_grad_()
    for function in (psnr, ssim, lambda a, b: ssim(a, b, preset="zero_pad")):
        assert torch.autograd.gradcheck(lambda a, f=function: f(a, y), x, fast_mode=True)
    psnr(x, x.detach()).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all(), "an exact image gives infinity, and not a broken gradient"


def test_windows(random: torch.Generator) -> None:
    image = torch.rand(2, 15, 19, generator=random, dtype=torch.float64)
    for size in (1, 2, 3, 6, 7, 8, 11):
        slow = image.unfold(1, size, 1).unfold(2, size, 1).mean((-1, -2))
        torch.testing.assert_close(box_mean(image, size), slow, rtol=1e-13, atol=1e-14)
    line = torch.tensor(gaussian(7, 7 / 6), dtype=torch.float64)
    assert line.sum().item() == pytest.approx(1, abs=1e-15)
    slow = (image.unfold(1, 7, 1) @ line).unfold(2, 7, 1) @ line
    torch.testing.assert_close(gaussian_mean(image, 7, 7 / 6), slow, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("size", "before", "after"), [(5, 2, 3), (3, 3, 8), (1, 2, 2)])
def test_symmetric_padding(size: int, before: int, after: int) -> None:
    line = torch.arange(size, dtype=torch.float64)
    expected = np.pad(line.numpy(), (before, after), mode="symmetric")
    assert pad_symmetric(line[None], 1, before, after)[0].tolist() == expected.tolist()


def _slow_half(line: np.ndarray) -> np.ndarray:
    """MATLAB's imresize of a line by one half, weight by weight."""

    def cubic(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0

    n, result = len(line), []
    for u in range(1, math.ceil(n / 2) + 1):
        centre = 2 * u - 0.5  # of the new pixel, in old pixels counted from one
        taps = [(math.floor(centre - 4) + k) for k in range(10)]
        weights = np.array([cubic((centre - tap) / 2) for tap in taps])
        mirrored = [(tap - 1) % (2 * n) for tap in taps]
        values = [line[m if m < n else 2 * n - 1 - m] for m in mirrored]
        result.append((weights * values).sum() / weights.sum())
    return np.array(result)


@pytest.mark.parametrize("shape", [(8, 10), (9, 11), (5, 4)])
def test_half_size_weight_by_weight(shape: tuple[int, int], random: torch.Generator) -> None:
    image = torch.rand(1, *shape, generator=random, dtype=torch.float64) * 255
    slow = np.apply_along_axis(_slow_half, 0, image[0].numpy())
    slow = np.apply_along_axis(_slow_half, 1, slow)
    torch.testing.assert_close(half_size(image)[0], torch.from_numpy(slow), rtol=1e-12, atol=1e-12)
    flat = torch.full((1, 7, 9), 200.0, dtype=torch.float64)
    assert half_size(flat, whole_levels=True).unique().tolist() == [200]


def test_moment_fits_against_a_search_of_the_whole_table(random: torch.Generator) -> None:
    samples = torch.randn(6, 400, generator=random, dtype=torch.float64)
    samples = samples.sign() * samples.abs() ** torch.linspace(0.6, 2.5, 6, dtype=torch.float64)[:, None]
    samples = torch.where(samples < 0, samples * 0.7, samples)
    shapes = np.arange(0.2, 10.0005, 0.001)
    g = np.vectorize(math.gamma)
    table = g(2 / shapes) ** 2 / (g(1 / shapes) * g(3 / shapes))
    fit, (shape, variance) = asymmetric_fit(samples), symmetric_fit(samples)
    for i, x in enumerate(samples.numpy()):
        left, right = (math.sqrt((x[side] ** 2).mean()) for side in (x < 0, x > 0))
        balance = left / right
        ratio = np.abs(x).mean() ** 2 / (x**2).mean()
        ratio *= (balance**3 + 1) * (balance + 1) / (balance**2 + 1) ** 2
        found = shapes[np.argmin((table - ratio) ** 2)]
        assert fit.shape[i].item() == pytest.approx(found, abs=1e-9)
        assert (fit.left[i].item(), fit.right[i].item()) == pytest.approx((left, right))
        mean = (right - left) * math.gamma(2 / found) / math.sqrt(math.gamma(1 / found) * math.gamma(3 / found))
        assert fit.mean[i].item() == pytest.approx(mean)
        inverse = (x**2).mean() / np.abs(x).mean() ** 2
        assert shape[i].item() == pytest.approx(shapes[np.argmin((1 / table - inverse) ** 2)], abs=1e-9)
        assert variance[i].item() == pytest.approx((x**2).mean())


def test_a_gaussian_has_shape_two(random: torch.Generator) -> None:
    samples = torch.randn(400_000, generator=random, dtype=torch.float64)
    fit = asymmetric_fit(samples)
    assert fit.shape.item() == pytest.approx(2, abs=0.03)
    assert (fit.left.item(), fit.right.item()) == pytest.approx((1, 1), abs=0.01)
    assert symmetric_fit(samples)[0].item() == pytest.approx(2, abs=0.03)


def test_entropies(random: torch.Generator) -> None:
    checker = torch.zeros(1, 8, 8, dtype=torch.float64)
    checker[:, ::2] = 200
    assert spatial_entropy(checker).item() == pytest.approx(1)
    assert spatial_entropy(torch.arange(64.0).view(1, 8, 8)).item() == pytest.approx(6)
    flat = torch.full((1, 8, 8), 77.0, dtype=torch.float64)
    assert spatial_entropy(flat).item() == 0
    assert spectral_entropy(flat).item() == pytest.approx(0, abs=1e-4)
    blocks = (torch.rand(5, 8, 8, generator=random, dtype=torch.float64) * 255).floor()
    power = scipy.fft.dctn(blocks.numpy(), axes=(1, 2), norm="ortho").reshape(5, 64) ** 2
    power[:, 0] = 1e-16
    power /= power.sum(1, keepdims=True)
    assert spectral_entropy(blocks).tolist() == pytest.approx((-(power * np.log2(power)).sum(1)).tolist(), abs=1e-9)


def test_coupled_probabilities() -> None:
    truth = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05], dtype=torch.float64)
    pairwise = truth[:, None] / (truth[:, None] + truth)
    assert couple(pairwise, tolerance=1e-12).tolist() == pytest.approx(truth.tolist(), abs=1e-9)
    assert couple(pairwise).tolist() == pytest.approx(truth.tolist(), abs=5e-3), "stopped where LIBSVM stops"
    assert couple(pairwise).sum().item() == pytest.approx(1)


def test_piqe_of_a_flat_and_of_a_noisy_image(random: torch.Generator) -> None:
    flat = torch.full((1, 1, 64, 64), 0.5)
    assert piqe(flat).item() == 100
    noise = torch.randint(0, 256, (1, 1, 64, 64), generator=random, dtype=torch.uint8)
    ramp = torch.arange(64, dtype=torch.uint8).expand(1, 1, 64, 64) * 4
    assert 0 <= piqe(ramp // 2 + noise // 16).item() < piqe(noise).item() <= 100
