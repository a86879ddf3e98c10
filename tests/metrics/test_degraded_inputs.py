"""The published samples as they are: PSNR and SSIM of their degraded images, and CIEDE2000 beside scikit-image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from limpid.commands.data import cards
from limpid.config import instantiate
from limpid.metrics import ciede2000, psnr, ssim

#: Set, split, how many pairs, mean PSNR, mean SSIM (preset wang) as found elsewhere, with as many digits.
FOUND_ELSEWHERE = [
    ("sots_outdoor", "test", 1, 16.13, 0.850),
    ("reside_its", "train", 2, 11.63, 0.775),
    ("rain100l", "test", 2, 26.83, 0.851),
    ("rain1400", "test", 2, 22.39, 0.716),
    ("gopro", "train", 2, 22.77, None),
    ("gopro", "test", 1, 26.97, None),
    ("rl_restore", "mild", 3, 20.74, None),
    ("rl_restore", "moderate", 3, 19.05, None),
    ("rl_restore", "severe", 3, 19.55, None),
    ("sand_pairs", "test", 17, 10.80, 0.442),
    pytest.param("rain100h", "test", 19, 12.03, 0.334, marks=pytest.mark.slow),
    pytest.param("sots_indoor", "test", 22, 12.08, 0.707, marks=pytest.mark.slow),
]


def pairs(real_data: Path, name: str, split: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    card: dict[str, Any] = {**cards(str(real_data), [name])[name], "split": split}
    images = instantiate.construct(card, name)
    samples = [images.load(i, np.random.default_rng(0)) for i in range(len(images))]
    return [
        tuple(torch.from_numpy(np.ascontiguousarray(s[k].transpose(2, 0, 1)))[None] for k in ("input", "target"))  # type: ignore[misc]
        for s in samples
    ]


@pytest.mark.parametrize(("name", "split", "count", "expected_psnr", "expected_ssim"), FOUND_ELSEWHERE)
def test_degraded_inputs_score_as_found_elsewhere(
    real_data: Path, name: str, split: str, count: int, expected_psnr: float, expected_ssim: float | None
) -> None:
    images = pairs(real_data, name, split)
    assert len(images) == count
    assert np.mean([psnr(a, b).item() for a, b in images]) == pytest.approx(expected_psnr, abs=0.0051)
    if expected_ssim is not None:
        found = np.mean([ssim(a, b, preset="wang").item() for a, b in images])
        assert found == pytest.approx(expected_ssim, abs=0.00051)
    degraded, reference = images[0]
    labs = [rgb2lab(one[0].permute(1, 2, 0).double().numpy()) for one in (degraded, reference)]
    assert ciede2000(degraded, reference).item() == pytest.approx(deltaE_ciede2000(*labs).mean(), abs=1e-7)
