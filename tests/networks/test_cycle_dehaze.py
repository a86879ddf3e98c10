"""Cycle-Dehaze's network: the generator at its own size, and the enlargement written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.networks.test_adversarial_networks import generated

import limpid
from limpid.errors import UserError
from limpid.inference import Adaptive, Tiled, restore
from limpid.networks.cycle_dehaze import CycleDehaze, halved

Matrix = NDArray[np.float64]


def cubic(x: Matrix) -> Matrix:
    """Keys' kernel with a = -1/2."""
    x = np.abs(x)
    inner, outer = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0))


def resampling(length: int, new: int) -> Matrix:
    """The matrix that resamples a line of `length` pixels to `new`: wider where it shrinks, cut at the border."""
    scale = max(1.0, length / new)
    centres = (np.arange(new) + 0.5) * length / new - 0.5
    weights = cubic((np.arange(length) - centres[:, None]) / scale)
    return weights / weights.sum(1, keepdims=True)


def resampled(image: Matrix, size: tuple[int, int]) -> Matrix:
    """`image` `(C, H, W)` at another size."""
    return np.einsum("ij,cjk,lk->cil", resampling(image.shape[1], size[0]), image, resampling(image.shape[2], size[1]))


def reduced(image: Matrix) -> Matrix:
    """Five taps along either axis, at even pixels; the image goes on as its mirror image, border pixels repeated."""
    taps = np.array([1, 4, 6, 4, 1]) / 16
    wide = np.pad(image, ((0, 0), (2, 2), (2, 2)), mode="symmetric")
    for axis in (1, 2):
        wide = np.apply_along_axis(np.convolve, axis, wide, taps, "valid")
    return wide[:, ::2, ::2]


def test_half_of_an_image_is_smoothed_and_mirrored() -> None:
    image = torch.rand(1, 2, 11, 14)
    np.testing.assert_allclose(halved(image)[0].numpy(), reduced(image[0].double().numpy()), atol=1e-6)
    for side in (1, 2, 3):
        flat = torch.full((1, 1, side, 7), 0.3)
        torch.testing.assert_close(halved(flat), torch.full((1, 1, (side + 1) // 2, 4), 0.3))


@torch.no_grad()
def test_an_image_is_dehazed_small_and_enlarged_by_its_own_details() -> None:
    torch.manual_seed(0)
    network = CycleDehaze(channels=4, blocks=2, side=32, weight_std=0.3).eval()
    x = torch.rand(1, 3, 75, 90)
    image = x[0].double().numpy()
    small = torch.from_numpy(resampled(image, (32, 32))).float()[None]
    clear = (generated(2 * small - 1, network.generator.body, 2)[0].double().numpy() + 1) / 2
    levels = [image]
    for _ in range(4):
        levels.append(reduced(levels[-1]))
    assert [level.shape[1:] for level in levels] == [(75, 90), (38, 45), (19, 23), (10, 12), (5, 6)]
    for i in (3, 2, 1, 0):
        size = levels[i].shape[1:]
        clear = resampled(clear, size) + levels[i] - resampled(levels[i + 1], size)
    np.testing.assert_allclose(network(x)[0].numpy(), clear, atol=2e-5)
    network.train()
    torch.testing.assert_close(network(x[..., :40, :32]), network.generate(x[..., :40, :32]))
    with pytest.raises(UserError, match="network.side is 30, but it must be a multiple of 4, from 16 on"):
        CycleDehaze(side=30)


@torch.no_grad()
def test_a_change_of_the_small_image_is_carried_to_the_large_one() -> None:
    network = CycleDehaze(channels=4, blocks=1, side=64).eval()
    network.generate = lambda square: square  # type: ignore[method-assign]
    flat = torch.full((1, 3, 150, 200), 0.4)
    torch.testing.assert_close(network(flat), flat)
    columns = torch.linspace(0, 1, 192).expand(1, 3, 160, 192)
    shift = (network(columns) - columns)[..., 60:130] * 191
    # Halving keeps even pixels, enlarging goes by pixels' centres: four levels leave the coarse image 7.5 pixels apart.
    torch.testing.assert_close(shift, torch.full_like(shift, 7.5), atol=0.1, rtol=0)
    network.generate = lambda square: square - 0.1  # type: ignore[method-assign]
    torch.testing.assert_close(network(flat), flat - 0.1)


def test_large_images_are_not_cut() -> None:
    """A part of an image would be brought to the same square as the whole."""
    torch.manual_seed(0)
    network = limpid.build("cycle_dehaze", channels=4, blocks=1, side=32).eval()
    x = torch.rand(1, 3, 120, 160)
    whole = restore(network, x)
    adaptive = Adaptive(largest=0.01, tile=64, overlap=16, blend=4, margin=8)
    assert not adaptive.in_tiles(network, 120, 160)
    assert torch.equal(adaptive(network, x), whole)
    assert torch.equal(Tiled(64, 16, 4)(network, x), whole)
    assert Adaptive()(network, torch.rand(1, 3, 5, 9)).shape == (1, 3, 5, 9)
