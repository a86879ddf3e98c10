"""Terms for real images without references, against their definitions."""

from __future__ import annotations

import pytest
import torch

from limpid.losses.step import LossTerm, Step
from limpid.losses.unlabelled import DarkChannel, TotalVariation


def step(images: torch.Tensor) -> Step:
    return Step(images, None, images, real_output=images)


def test_the_dark_channel_is_summed_over_the_windows_of_an_image() -> None:
    images = torch.rand(2, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    expected = 0.0
    for image in images:
        for i in range(9):
            for j in range(12):
                window = image[:, max(i - 3, 0) : i + 4, max(j - 3, 0) : j + 4]
                expected -= 1 - window.min().item()
    assert DarkChannel(7)(step(images)).item() == pytest.approx(expected / 2, rel=1e-5)
    assert DarkChannel(7)(step(torch.ones(1, 3, 8, 8))).item() == 0


@pytest.mark.parametrize("term", [DarkChannel(7), TotalVariation()])
def test_two_batches_of_one_image_count_as_much_as_one_of_two(term: LossTerm) -> None:
    images = torch.rand(2, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    alone = [term(step(image[None])).item() for image in images]
    assert term(step(images)).item() == pytest.approx(sum(alone) / 2, rel=1e-5)


def test_the_total_variation_counts_each_neighbour_and_a_zero_before_the_first() -> None:
    images = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    expected = 0.0
    for plane in (2 * images - 1).reshape(-1, 5, 6).tolist():
        for i in range(5):
            for j in range(6):
                above = plane[i - 1][j] if i else 0.0
                left = plane[i][j - 1] if j else 0.0
                expected += abs(plane[i][j] - above) + abs(plane[i][j] - left)
    assert TotalVariation()(step(images)).item() == pytest.approx(expected / 2, rel=1e-5)
    assert TotalVariation()(step(torch.full((1, 3, 4, 4), 0.5))).item() == 0
