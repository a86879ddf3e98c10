"""Values that public codes print for images anyone has: scikit-image's own photographs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from limpid.metrics import brisque, ciede2000, niqe, piqe, psnr, sseq, ssim
from limpid.metrics.per_image_mean import PerImageMean
from tests.conftest import ROOT


def tensor(image: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Coffee, and the same darkened under a diagonal ramp."""
    clean = data.coffee()
    assert int(clean.sum()) == 71003487
    degraded = np.clip(clean.astype(int) * 3 // 4 + np.indices(clean.shape).sum(0) % 17 + 10, 0, 255).astype(np.uint8)
    assert int(degraded.sum()) == 65942323
    return degraded, clean


FULL_REFERENCE = [
    (psnr, {}, 21.93703167),
    (psnr, {"space": "y", "quantise": True}, 24.69891374),
    (ssim, {"preset": "skimage7"}, 0.79241071),
    (ssim, {"preset": "skimage7_range2"}, 0.86291263),
    (ssim, {"preset": "wang"}, 0.80804018),
    (ssim, {"preset": "zero_pad"}, 0.81017882),
    (ssim, {"preset": "matlab_rgb3d"}, 0.91696712),
    (ssim, {"preset": "wang_y"}, 0.90307228),
    (ssim, {"preset": "matlab_grey"}, 0.87176434),
    (ciede2000, {}, 6.64049246),
]


@pytest.mark.parametrize(
    ("metric", "options", "value"), FULL_REFERENCE, ids=[f"{m.__name__}{o}" for m, o, _ in FULL_REFERENCE]
)
def test_the_coffee_pair(pair: Any, metric: Any, options: dict[str, Any], value: float) -> None:
    degraded, clean = map(tensor, pair)
    assert metric(degraded, clean, **options).item() == pytest.approx(value, abs=1e-7)
    as_floats = metric(degraded.double() / 255, clean.double() / 255, **options).item()
    assert as_floats == pytest.approx(value, abs=1e-7)
    single = metric(degraded.float() / 255, clean.float() / 255, **options).item()
    assert single == pytest.approx(value, abs=1e-4)


def test_live_against_scikit_image(pair: Any) -> None:
    degraded, clean = (image[:61, :83] / 255 for image in pair)
    x, y = tensor(degraded), tensor(clean)
    assert psnr(x, y).item() == pytest.approx(peak_signal_noise_ratio(clean, degraded, data_range=1), abs=1e-9)
    for preset, options in {
        "skimage7": {"data_range": 1},
        "skimage7_range2": {"data_range": 2},
        "wang": {"data_range": 1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
    }.items():
        value = structural_similarity(clean, degraded, channel_axis=2, **options)
        assert ssim(x, y, preset=preset).item() == pytest.approx(value, abs=1e-7)


def test_identity_symmetry_and_batches(pair: Any) -> None:
    x, y = (tensor(image[:64, :96]).double() / 255 for image in pair)
    assert psnr(x, x).item() == float("inf")
    assert psnr(x, x, identical=100.0).item() == 100.0
    assert psnr(x, x, eps=1e-10).item() == pytest.approx(100.0)
    assert ciede2000(x, x).item() == 0
    batch_x, batch_y = torch.cat([x, y, y.flip(2)]), torch.cat([y, y, x])
    for metric, options, _ in FULL_REFERENCE:
        if metric is ssim:
            assert ssim(x, x, **options).item() == pytest.approx(1.0)
        one = torch.cat([metric(a[None], b[None], **options) for a, b in zip(batch_x, batch_y, strict=True)])
        torch.testing.assert_close(metric(batch_x, batch_y, **options), one, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(metric(x, y, **options), metric(y, x, **options), rtol=1e-9, atol=1e-9)


def test_the_mean_is_of_images_and_not_of_pooled_errors(pair: Any) -> None:
    x, y = (tensor(image[:64, :96]).double() / 255 for image in pair)
    mean = PerImageMean("psnr")
    mean.update(x, y)
    mean.update(torch.cat([y + 0.01, y + 0.1]), torch.cat([y, y]))
    values = [psnr(a, y).item() for a in (x, y + 0.01, y + 0.1)]
    assert mean.compute().item() == pytest.approx(sum(values) / 3)


@pytest.fixture(scope="module", autouse=True)
def parameters() -> None:
    """LIVE's files, where there are some."""
    folder = Path(os.environ.get("LIMPID_PARAMS") or ROOT.parent / "shared" / "params")
    if folder.is_dir():
        os.environ["LIMPID_PARAMS"] = str(folder.resolve())


NO_REFERENCE = [
    ("chelsea", niqe, 2.5720840430, 1e-6),
    ("coffee", niqe, 4.0584620075, 1e-6),
    ("chelsea", brisque, 2.5725919544, 1e-6),
    ("coffee", brisque, 30.0659645, 1e-6),
    ("chelsea", sseq, 28.511237, 1e-4),
    ("coffee", sseq, 6.576817, 1e-4),
    ("chelsea", piqe, 34.016981, 1e-3),
    ("coffee", piqe, 27.719668, 1e-3),
]


@pytest.mark.parametrize(
    ("name", "metric", "value", "tolerance"), NO_REFERENCE, ids=[f"{m.__name__}-{n}" for n, m, _, _ in NO_REFERENCE]
)
def test_no_reference_values(name: str, metric: Any, value: float, tolerance: float) -> None:
    if metric is not piqe and not Path(os.environ.get("LIMPID_PARAMS", "")).joinpath("niqe_live").is_dir():
        pytest.skip("needs LIVE's parameter files: set LIMPID_PARAMS")
    assert metric(tensor(getattr(data, name)())).item() == pytest.approx(value, abs=tolerance)
