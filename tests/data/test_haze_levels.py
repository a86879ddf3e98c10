"""The three levels of haze in WMCP-EM's table 1, and the scattering model on published hazy images."""

import numpy as np
import pytest

from limpid.data.degradations import scatter, wmcp_haze
from limpid.data.image_io import list_images, read_image


@pytest.mark.parametrize(("level", "low", "high"), [("mild", 0.2, 0.7), ("moderate", 0.8, 1.3), ("dense", 1.4, 1.8)])
def test_beta_lies_in_the_range_of_the_table(level, low, high):
    tiny = {"target": np.full((1, 1, 3), 0.4, np.float32), "depth": np.ones((1, 1), np.float32)}
    haze, rng = wmcp_haze(level), np.random.default_rng(0)
    betas = np.array([haze(tiny, rng)["beta"] for _ in range(500)])
    assert low <= betas.min() < low + 0.01
    assert high - 0.01 < betas.max() <= high
    assert betas.mean() == pytest.approx((low + high) / 2, abs=0.03)


def test_levels_pass_on_airlight_and_scale():
    tiny = {"target": np.full((1, 1, 3), 0.4, np.float32), "depth": np.ones((1, 1), np.float32)}
    hazy = wmcp_haze("mild", airlight=(0.9, 0.9), depth_scale=2)(tiny, np.random.default_rng(0))
    np.testing.assert_allclose(hazy["airlight"], 0.9, rtol=1e-6)
    assert 0.4 <= hazy["beta"] <= 1.4


def test_published_haze_follows_the_scattering_model(real_data):
    """In blocks of 4x4, where depth hardly varies, one t and A = 1 explain SOTS indoor to half a grey level."""
    folder = real_data / "RESIDE" / "SOTS" / "indoor"
    files = list_images(folder / "hazy")[:6]
    if not files:
        pytest.skip("needs SOTS indoor")
    for file in files:
        hazy, clear = (
            read_image(f).astype(np.float64) for f in (file, folder / "gt" / f"{file.stem.split('_')[0]}.png")
        )
        blocks = [np.reshape(i[:456, :616], (114, 4, 154, 4, 3)).swapaxes(1, 2).reshape(-1, 48) for i in (hazy, clear)]
        below_airlight = [1 - block for block in blocks]  # (1 - I) = (1 - J) t
        transmission = (below_airlight[0] * below_airlight[1]).sum(1) / np.square(below_airlight[1]).sum(1).clip(1e-9)
        model = scatter(blocks[1], transmission[:, None], 1.0)
        residual = 255 * np.sqrt(np.square(model - blocks[0]).mean(1))
        assert np.median(residual) < 0.6, file.name
        assert np.quantile(transmission, 0.99) <= 1.01
