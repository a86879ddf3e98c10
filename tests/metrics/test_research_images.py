"""Published values on images that may not be redistributed: TID2013, RL-Restore, and LIVE's own samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from limpid.metrics import brisque, ciede2000, niqe, piqe, psnr, sseq, ssim
from tests.metrics.conftest import photograph

TID = [  # metric, options, value on I03, value on I04, tolerance
    (psnr, {}, 21.113634, 20.987196, 1e-6),
    (ssim, {"preset": "skimage7"}, 0.641202, 0.927903, 1e-6),
    (ssim, {"preset": "skimage7_range2"}, 0.781207, 0.939863, 1e-6),
    (ssim, {"preset": "wang"}, 0.673173, 0.932519, 1e-6),
    (ssim, {"preset": "zero_pad"}, 0.681896, 0.931192, 1e-6),
    (ssim, {"preset": "matlab_rgb3d"}, 0.705953, 0.430488, 1e-6),
    (ciede2000, {}, 10.863052, 13.939451, 1e-6),
]


@pytest.mark.parametrize(("metric", "options", "i03", "i04", "tolerance"), TID)
def test_tid2013_pairs(
    real_data: Path, metric: Any, options: dict[str, Any], i03: float, i04: float, tolerance: float
) -> None:
    folder = real_data / "iqa" / "IQA-PyTorch" / "ResultsCalibra"
    for name, value in (("I03", i03), ("I04", i04)):
        pair = (photograph(folder / side / f"{name}.bmp") for side in ("dist_dir", "ref_dir"))
        assert metric(*pair, **options).item() == pytest.approx(value, abs=tolerance)


def test_tid2013_without_reference(real_data: Path, live: Path) -> None:
    folder = real_data / "iqa" / "IQA-PyTorch" / "ResultsCalibra" / "dist_dir"
    i03, i04 = (photograph(folder / f"{name}.bmp") for name in ("I03", "I04"))
    # the official MATLAB programs' own numbers: I04 has no flat pixel, I03 has thousands
    assert niqe(i04).item() == pytest.approx(3.65492152353770, abs=1e-6)
    assert niqe(i03).item() == pytest.approx(15.7536, rel=2e-3)
    # LIVE's program writes its features with six digits and prints with six
    assert brisque(i04).item() == pytest.approx(-0.107618, abs=1e-3)
    assert brisque(i03).item() == pytest.approx(94.6421, abs=1e-2)
    assert piqe(torch.cat([i03, i04])).tolist() == pytest.approx([100, 21.624384], abs=1e-3)
    assert sseq(torch.cat([i03, i04])).tolist() == pytest.approx([76.170367, 2.144241], abs=1e-4)


LIVE = [  # NIQE, BRISQUE, SSEQ, PIQE
    ("niqe_live/image1.bmp", 5.0289823203, 43.1452353613, 42.649935, 72.879022),
    ("brisque_live/MATLAB/testimage1.bmp", 55.558005, 97.43017261, 65.787733, 79.979475),
]


@pytest.mark.parametrize(("file", "naturalness", "spatial", "entropies", "perceptual"), LIVE)
def test_lives_own_images(
    live: Path, file: str, naturalness: float, spatial: float, entropies: float, perceptual: float
) -> None:
    image = photograph(live / file)
    assert niqe(image).item() == pytest.approx(naturalness, abs=1e-6)
    assert brisque(image).item() == pytest.approx(spatial, abs=1e-6)
    assert sseq(image).item() == pytest.approx(entropies, abs=1e-4)
    assert piqe(image).item() == pytest.approx(perceptual, abs=1e-3)


def test_sseq_with_flat_areas(live: Path) -> None:
    """Flat blocks have no spectrum, and only their exact treatment gives LIVE's number."""
    assert sseq(photograph(live / "sseq_live" / "img.bmp")).item() == pytest.approx(52.391435, abs=1e-4)


RL_RESTORE = [  # the authors' patches 1 to 3 of each degree: input PSNR
    ("mild", [19.5641, 20.2012, 22.4545]),
    ("moderate", [18.5119, 17.3996, 21.2444]),
    ("severe", [18.2617, 22.7480, 17.6437]),
]


@pytest.mark.parametrize(("degree", "values"), RL_RESTORE)
def test_rl_restore_patches(real_data: Path, degree: str, values: list[float]) -> None:
    folder = real_data / "hybrid_RL-Restore" / "test"
    compared = 0
    for number, value in enumerate(values, start=1):
        inputs = [folder / f"{degree}_in" / f"{number}{suffix}.png" for suffix in ("_in", "")]
        present = [file for file in inputs if file.is_file()]
        target = folder / f"{degree}_gt" / f"{number}_gt.png"
        if present and target.is_file():
            pair = photograph(present[0]), photograph(target)
            assert psnr(*pair, eps=1e-10).item() == pytest.approx(value, abs=1e-4)
            compared += 1
    if not compared:
        pytest.skip("needs the patches of RL-Restore")
