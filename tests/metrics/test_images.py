"""What holds for every metric: types, batches, sizes, flat and broken images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from skimage import data
from torch import Tensor

from limpid.errors import UserError
from limpid.metrics import (
    SSIM_PRESETS,
    brisque,
    ciede2000,
    niqe,
    piqe,
    psnr,
    sseq,
    ssim,
    visible_edge_difference,
    visible_edges,
)
from tests.metrics.conftest import tensor

NO_REFERENCE = (niqe, brisque, piqe, sseq)
# the least sides, in pixels
SMALLEST = {niqe: 96, brisque: 16, piqe: 16, sseq: 33}


def _pair(height: int = 104, width: int = 131) -> tuple[Tensor, Tensor]:
    """A photograph's corner, darkened under a ramp, and the corner itself; no multiple of any block."""
    clean = tensor(data.coffee()[100 : 100 + height, 200 : 200 + width])
    ramp = torch.arange(width) % 17
    return (clean.int() * 3 // 4 + ramp + 10).clamp(0, 255).to(torch.uint8), clean


FULL_REFERENCE: list[Callable[[Tensor, Tensor], Tensor]] = [
    psnr,
    ciede2000,
    visible_edge_difference,
    *(lambda x, y, p=preset: ssim(x, y, preset=p) for preset in SSIM_PRESETS),
]


@pytest.mark.parametrize("metric", FULL_REFERENCE)
def test_types_agree_with_reference(metric: Callable[[Tensor, Tensor], Tensor]) -> None:
    x, y = _pair()
    expected = metric(x, y)
    assert expected.dtype == torch.float64
    torch.testing.assert_close(metric(x.double() / 255, y.double() / 255), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(metric(x.float() / 255, y.float() / 255), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("metric", NO_REFERENCE)
def test_types_and_batches_agree_without_reference(metric: Callable[[Tensor], Tensor], live: Path) -> None:
    x, y = _pair()
    batch = torch.cat([x, y, x.flip(3)])
    expected = metric(batch)
    assert expected.shape == (3,)
    assert expected.dtype == torch.float64
    # whatever the type, the levels are the same 256
    torch.testing.assert_close(metric(batch.float() / 255), expected, rtol=0, atol=0)
    torch.testing.assert_close(metric(batch.double() / 255), expected, rtol=0, atol=0)
    torch.testing.assert_close(metric(batch[[2, 0]]), expected[[2, 0]], rtol=0, atol=0)
    torch.testing.assert_close(metric(batch[1:2]), expected[1:2], rtol=0, atol=0)


@pytest.mark.parametrize("metric", NO_REFERENCE)
def test_grey_images_and_their_copies_in_three_channels(metric: Callable[[Tensor], Tensor], live: Path) -> None:
    grey = tensor(data.camera()[100:228, 200:330])
    torch.testing.assert_close(metric(grey), metric(grey.expand(1, 3, -1, -1)), rtol=0, atol=0)


@pytest.mark.parametrize("metric", NO_REFERENCE)
def test_small_images_are_refused(metric: Callable[[Tensor], Tensor], live: Path) -> None:
    least = SMALLEST[metric]
    image = torch.rand(1, 3, least, least, generator=torch.Generator().manual_seed(1))
    assert metric(image).isfinite().all()
    with pytest.raises(UserError, match=f"needs images of at least {least}x{least} pixels, but this one is"):
        metric(image[..., 1:])


@pytest.mark.parametrize(("preset", "least"), [("skimage7", 7), ("wang", 11), ("zero_pad", 11), ("matlab_rgb3d", 11)])
def test_images_smaller_than_a_window_are_refused(preset: str, least: int) -> None:
    image = torch.rand(1, 3, least, least)
    assert ssim(image, image, preset=preset).item() == pytest.approx(1)
    with pytest.raises(UserError, match=f"window of {least} pixels needs images of at least"):
        ssim(image[:, :, 1:], image[:, :, 1:], preset=preset)


def test_flat_images(live: Path) -> None:
    flat = torch.full((2, 3, 96, 112), 0.5)
    assert piqe(flat).tolist() == [100, 100]
    assert sseq(flat).isnan().all()
    assert psnr(flat, flat + 0.1).isfinite().all()
    for preset in SSIM_PRESETS:
        assert ssim(flat, flat, preset=preset).tolist() == pytest.approx([1, 1])
    edges = visible_edges(flat, flat)
    assert edges.e.isnan().all()
    assert edges.r.isnan().all()
    assert edges.sigma.tolist() == [0, 0]
    for level in (0, 0.3, 0.5, 1):
        assert niqe(torch.full_like(flat, level)).isnan().all(), "there is nothing to fit"
        assert brisque(torch.full_like(flat, level)).isnan().all()


@pytest.mark.parametrize("metric", NO_REFERENCE)
def test_a_broken_image_does_not_touch_the_others(metric: Callable[[Tensor], Tensor], live: Path) -> None:
    x, y = (image.float() / 255 for image in _pair())
    broken = x.clone()
    broken[0, 1, 50, 50] = torch.nan
    values = metric(torch.cat([broken, y]))
    assert values[0].isnan()
    assert values[1] == metric(y)[0]


def test_what_is_no_batch_of_images_is_refused() -> None:
    image = torch.rand(1, 3, 16, 16)
    for bad, why in (
        (image[0], r"takes a restored image of shape \(N, C, H, W\)"),
        (image[:, :2], "with C = 1 or 3"),
        (image.long(), "floating-point images in .0, 1. or uint8"),
    ):
        with pytest.raises(UserError, match=why):
            psnr(bad, bad)
    with pytest.raises(UserError, match=r"is \(1, 3, 16, 16\) but its reference is \(1, 3, 16, 12\)"):
        psnr(image, image[..., 4:])
    with pytest.raises(UserError, match="did you mean 'skimage7'"):
        ssim(image, image, preset="skimage_7")
    with pytest.raises(UserError, match=r"MATLAB's BRISQUE model may not be redistributed"):
        brisque(image, variant="matlab")
    with pytest.raises(UserError, match="variants are 'live' and 'matlab'"):
        brisque(image, variant="libsvm")  # type: ignore[arg-type]
