"""A change carried from a reduced image to the full one, and the reflections that images go on in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from limpid.inference.carried import carried, enlarged_rows
from limpid.inference.tiles import Tiled, reduced, window


def test_a_change_that_is_linear_everywhere_is_carried_exactly() -> None:
    x = torch.rand(2, 3, 300, 50, dtype=torch.float64)
    slope, offset = torch.tensor([0.5, 1.5, -1.0]).view(3, 1, 1), torch.tensor([0.1, -0.2, 1.0]).view(3, 1, 1)
    small = F.interpolate(x, (60, 20), mode="bilinear", antialias=True)
    full = carried(x, small, slope * small + offset, radius=4, epsilon=1e-12)
    torch.testing.assert_close(full, slope * x + offset, rtol=0, atol=1e-6)


def test_where_nothing_varies_the_shift_is_carried() -> None:
    x = torch.full((1, 1, 40, 40), 0.5) + 0.01 * torch.rand(1, 1, 40, 40)
    small = torch.full((1, 1, 10, 10), 0.5)
    torch.testing.assert_close(carried(x, small, small + 0.25, 2, 1e-3), torch.full_like(x, 0.75))


def test_rows_made_in_bands_are_those_of_the_whole_enlargement() -> None:
    x = torch.rand(1, 2, 13, 17)
    whole = F.interpolate(x, (100, 41), mode="bilinear", align_corners=False)
    for rows in (slice(0, 100), slice(0, 33), slice(33, 90), slice(90, 100)):
        torch.testing.assert_close(enlarged_rows(x, rows, torch.Size((1, 2, 100, 41))), whole[..., rows, :])


@pytest.mark.parametrize(("height", "width", "margin"), [(5, 9, 3), (4, 3, 11), (1, 2, 6)])
def test_images_go_on_reflected_as_often_as_it_takes(height: int, width: int, margin: int) -> None:
    x = torch.rand(1, 3, height, width)
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), (margin, margin), (margin, margin)), mode="reflect")
    found = window(x, -margin, height + margin, -margin, width + margin)
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize(("length", "margin"), [(33, 5), (100, 32), (31, 32), (96, 40), (500, 0)])
def test_tiles_with_a_margin_share_every_pixel_of_the_image_and_none_beside_it(length: int, margin: int) -> None:
    total = torch.zeros(length)
    for span in Tiled(64, 16, 4, margin).spans(length):
        assert 0 <= span.first < span.last <= length
        assert span.start >= -margin
        assert span.stop <= length + margin
        total[span.first : span.last] += span.shares
    torch.testing.assert_close(total, torch.ones(length))


def test_a_reduced_image_has_the_megapixels_that_were_asked_for() -> None:
    x = torch.rand(1, 3, 200, 300)
    assert reduced(x, 0.015).shape == (1, 3, 100, 150)
    assert reduced(x, 0.06) is x
