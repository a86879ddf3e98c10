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
from limpid.metrics.visible_edges import _best_threshold, edges, gradient
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
    """The paper leaves the windows' arrangement open: the counts are near the authors' program's, not the same.

    A difference of two near counts is the most uncertain.
    """
    clean, hazy, restored = scene["clean"], scene["hazy"], scene["restored"]
    for image, theirs in ((hazy, 2435), (restored, 4691), (clean, 4901)):
        assert edges(grey_levels(image)).sum().item() == pytest.approx(theirs, rel=6e-3)
    found = visible_edges(restored, hazy)
    assert found.e.item() == pytest.approx(0.9264887064, rel=1.4e-2)
    assert found.r.item() == pytest.approx(1.5586912898, rel=1e-2)
    assert found.sigma.item() == 0
    found = visible_edges(clean, hazy)
    assert found.e.item() == pytest.approx(1.0127310062, rel=1e-2)
    assert found.r.item() == pytest.approx(1.5779719019, rel=1e-2)
    assert found.sigma.item() == pytest.approx(0.0729980469, abs=1e-10)
    assert visible_edge_difference(restored, clean).item() == pytest.approx(0.0447665743, abs=5e-3)
    assert visible_edge_difference(restored, clean, per="reference").item() == pytest.approx(0.0428484, abs=5e-3)


def _direct_edges(image: np.ndarray[Any, Any], window: int = 7, contrast: float = 0.05) -> np.ndarray[Any, Any]:
    """The mask of an image `(H, W)`: window after window, threshold after threshold, pair after pair."""
    margin, step = window // 2, (window + 1) // 2
    mirrored = np.pad(image, margin, mode="symmetric")
    mask = np.zeros(mirrored.shape, dtype=bool)
    for top in range(0, mirrored.shape[0] - window + 1, step):
        for left in range(0, mirrored.shape[1] - window + 1, step):
            here = [(top + i, left + j) for i in range(window) for j in range(window)]
            best, border = 0.0, set()
            for s in range(256):
                contrasts: dict[tuple[int, int], list[float]] = {(1, 0): [], (0, 1): []}
                separated = set()
                for (i, j), way in itertools.product(here, contrasts):
                    other = i + way[0], j + way[1]
                    if other[0] < top + window and other[1] < left + window:
                        a, b = sorted((mirrored[i, j], mirrored[other]))
                        if a < s <= b:
                            contrasts[way].append(min((s - a) / s, (b - s) / b))
                            separated |= {(i, j), other}
                mean = sum(sum(some) / len(some) for some in contrasts.values() if some) / 2
                if mean > best:
                    best, border = mean, separated
            if 2 * best > contrast:
                for pixel in border:
                    mask[pixel] = True
    return mask[margin:-margin, margin:-margin]


def test_edges_against_their_definition() -> None:
    image = np.asarray(data.camera()[140:151, 200:213]).astype(float)
    found = edges(torch.from_numpy(image)[None, None])[0, 0].numpy()
    assert 0 < found.sum() < found.size
    np.testing.assert_array_equal(found, _direct_edges(image))


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
            assert mask[0, 0, :, 11:13].all()


def test_thresholds_against_their_definition() -> None:
    generator = torch.Generator().manual_seed(5)
    windows = torch.randint(0, 60, (40, 7, 7), generator=generator).double()
    windows[:5] = windows[:5].clamp(max=3)  # dark and nearly flat
    thresholds, contrasts = _best_threshold(windows, at_once=7)
    for window, threshold, contrast in zip(windows.tolist(), thresholds.tolist(), contrasts.tolist(), strict=True):

        def mean(s: int, window: list[list[float]] = window) -> float:
            total = 0.0
            for down, right in ((1, 0), (0, 1)):
                values = []
                for i in range(7 - down):
                    for j in range(7 - right):
                        a, b = sorted((window[i][j], window[i + down][j + right]))
                        if a < s <= b:
                            values.append(min((s - a) / s, (b - s) / b))
                total += sum(values) / max(len(values), 1) / 2
            return total

        means = [mean(s) for s in range(256)]
        assert contrast == pytest.approx(max(means), abs=1e-12)
        assert means[threshold] == pytest.approx(max(means), abs=1e-12)


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
