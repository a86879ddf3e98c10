"""Visible edges: the pair whose figures the authors' program gave, and windows counted by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from limpid.metrics import visible_edge_difference, visible_edges
from limpid.metrics.images import grey_levels
from limpid.metrics.visible_edges import edges, gradient
from tests.metrics.conftest import tensor


@pytest.fixture(scope="module")
def scene() -> dict[str, Tensor]:
    """A clean image, the same in haze, and restored with a transmission that is five per cent too high."""
    clean = data.astronaut()[100:228, 150:310] / 255
    transmission = np.linspace(0.35, 0.9, 160)[None, :, None]
    hazy = clean * transmission + 0.9 * (1 - transmission)
    restored = np.clip((hazy - 0.9) / np.maximum(transmission * 1.05, 0.1) + 0.9, 0, 1)
    return {"clean": tensor(clean), "hazy": tensor(hazy), "restored": tensor(restored)}


def test_the_authors_figures(scene: dict[str, Tensor]) -> None:
    clean, hazy, restored = scene["clean"], scene["hazy"], scene["restored"]
    assert [edges(grey_levels(image)).sum().item() for image in (hazy, restored, clean)] == [2435, 4691, 4901]
    found = visible_edges(restored, hazy)
    assert found.e.item() == pytest.approx(0.9264887064, abs=1e-10)
    assert found.r.item() == pytest.approx(1.5586912898, abs=1e-10)
    assert found.sigma.item() == 0
    found = visible_edges(clean, hazy)
    assert found.e.item() == pytest.approx(1.0127310062, abs=1e-10)
    assert found.r.item() == pytest.approx(1.5779719019, abs=1e-10)
    assert found.sigma.item() == pytest.approx(0.0729980469, abs=1e-10)
    assert visible_edge_difference(restored, clean).item() == pytest.approx(0.0447665743, abs=1e-10)
    assert visible_edge_difference(restored, clean, per="reference").item() == pytest.approx(0.0428484, abs=1e-7)


def _direct_edges(image: np.ndarray[Any, Any], window: int = 7, contrast: float = 0.05) -> np.ndarray[Any, Any]:
    """The mask of an image `(H, W)`: window after window, threshold after threshold, pair after pair."""
    step, (height, width) = (window + 1) // 2, image.shape

    def mirrored(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.pad(values, ((0, window), (0, window)), mode="symmetric")

    before = {  # the neighbour above and the one to the left, of the first pixels themselves
        (1, 0): np.concatenate([image[:1], image[:-1]], 0),
        (0, 1): np.concatenate([image[:, :1], image[:, :-1]], 1),
    }
    levels = mirrored(image)
    lesser = {way: mirrored(np.minimum(image, other)) for way, other in before.items()}
    greater = {way: mirrored(np.maximum(image, other)) for way, other in before.items()}
    mask = np.zeros(levels.shape, dtype=bool)
    for top, left in itertools.product(range(0, height, step), range(0, width, step)):
        inside = levels[top : top + window, left : left + window]
        best, border = 0.0, set()
        for s in range(max(1, int(inside.min())), int(inside.max()) + 1):
            sums, separated, count = {(1, 0): 0.0, (0, 1): 0.0}, set(), 0
            for i, j in itertools.product(range(top + 1, top + window), range(left + 1, left + window)):
                for way in sums:
                    if lesser[way][i, j] <= s < greater[way][i, j]:
                        other = i - way[0], j - way[1]
                        sums[way] += min(abs(s - level) / max(s, level) for level in (levels[i, j], levels[other]))
                        separated |= {(i, j), other}
                        count += 1
            mean = (sums[1, 0] + sums[0, 1]) * (1 / max(count, 1))
            if mean > best:
                best, border = mean, separated
        if best > contrast / 2:
            for pixel in border:
                mask[pixel] = True
    return mask[:height, :width]


@pytest.mark.parametrize(("rows", "columns"), [(11, 13), (16, 20), (7, 8), (18, 15)])
def test_edges_against_their_definition(rows: int, columns: int) -> None:
    image = np.asarray(data.camera()[140 : 140 + rows, 200 : 200 + columns]).astype(float)
    found = edges(torch.from_numpy(image)[None, None])[0, 0].numpy()
    assert 0 < found.sum() < found.size
    np.testing.assert_array_equal(found, _direct_edges(image))


def test_dark_and_nearly_flat_images_against_their_definition() -> None:
    generator = torch.Generator().manual_seed(5)
    for most in (1, 3, 60):
        image = torch.randint(0, most + 1, (19, 22), generator=generator).double()
        found = edges(image[None, None])[0, 0].numpy()
        np.testing.assert_array_equal(found, _direct_edges(image.numpy()))


def test_e_and_its_difference_are_the_same_rate(scene: dict[str, Tensor]) -> None:
    restored, clean = scene["restored"], scene["clean"]
    rate = visible_edges(clean, restored).e
    torch.testing.assert_close(visible_edge_difference(restored, clean), rate, rtol=0, atol=0)
    n_restored = 1 + rate
    expected = (n_restored - 1) / n_restored
    torch.testing.assert_close(visible_edge_difference(restored, clean, per="reference"), expected)
    assert visible_edge_difference(clean, clean).item() == 0
    # lost edges are positive, those of artefacts negative
    blurred = torch.nn.functional.avg_pool2d(clean, 5, 1, 2)
    noisy = (clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)).double()).clamp(0, 1)
    assert visible_edge_difference(noisy, clean).item() < 0 < visible_edge_difference(blurred, clean).item()


def test_an_image_against_itself(scene: dict[str, Tensor]) -> None:
    found = visible_edges(scene["hazy"], scene["hazy"])
    assert (found.e.item(), found.r.item(), found.sigma.item()) == (0, 1, 0)
    batch = torch.cat([scene["hazy"], scene["clean"]])
    together = visible_edges(batch, batch.flip(0))
    alone = visible_edges(scene["hazy"], scene["clean"])
    assert together.e[0] == alone.e[0]
    assert together.r[0].item() == pytest.approx(alone.r.item(), rel=1e-12)
    assert together.e.shape == together.r.shape == together.sigma.shape == (2,)


def test_a_step_is_an_edge_where_it_is_visible() -> None:
    for low, high, visible in ((100, 120, True), (100, 103, False), (10, 12, True), (250, 252, False)):
        step = torch.full((1, 1, 21, 24), float(low), dtype=torch.float64)
        step[..., 12:] = high
        mask = edges(step)
        assert mask.any().item() == visible
        if visible:
            assert mask[0, 0].any(0).nonzero().flatten().tolist() == [11, 12], "both sides of the step"
            assert mask[0, 0, 1:, 11:13].all()
            assert not mask[0, 0, 0].any(), "no pixel of a window's first row is compared"


def test_the_gradient_of_ramps() -> None:
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(8.0), indexing="ij")
    slope = gradient((3 * rows + 4 * columns)[None, None].double())[0, 0]
    torch.testing.assert_close(slope[1:-1, 1:-1], torch.full((7, 6), 40.0).double())
    assert slope[0, 3].item() == pytest.approx(8 * math.hypot(1.5, 4)), "the border pixels are repeated"


def test_sigma_counts_what_became_black_and_on_request_white() -> None:
    before = torch.full((1, 1, 10, 10), 128, dtype=torch.uint8)
    before[..., 0] = 0
    after = before.clone()
    after[..., :3, 1] = 0
    after[..., :2, 2] = 255
    assert visible_edges(after, before).sigma.item() == pytest.approx(0.03)
    assert visible_edges(after, before, white=255).sigma.item() == pytest.approx(0.05)
