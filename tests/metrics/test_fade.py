"""FADE: every feature and the distance against a slow direct definition, and its order over haze."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from skimage import data
from skimage.color import rgb2hsv
from torch import Tensor

from limpid.errors import UserError
from limpid.metrics import fade
from limpid.metrics.fade import FEATURES, Corpus, contrast_energy, distances, features
from limpid.metrics.parameters import FADE_LIVE
from tests.metrics.conftest import photograph, tensor


@pytest.fixture
def published(live: Path) -> Path:
    """The folder of LIVE's statistics."""
    folder = live / FADE_LIVE.folder
    if not (folder / "natural_foggy_image_features_ps8.mat").is_file():
        pytest.skip("needs LIVE's statistics of foggy and fog-free photographs: set LIMPID_PARAMS")
    return folder


def _hazy(clean: np.ndarray, transmission: float, airlight: float = 0.9) -> Tensor:
    return tensor(np.round(clean * transmission + 255 * airlight * (1 - transmission)).astype(np.uint8))


def _contrast_energy(channel: np.ndarray, threshold: float) -> np.ndarray:
    """With ten rows and columns around: those next to each side once more, in their order."""
    bordered = np.vstack([channel[:10], channel, channel[-10:]])
    bordered = np.hstack([bordered[:, :10], bordered, bordered[:, -10:]])
    x = np.arange(20) - 9.75
    kernel = (x**2 / 3.25**4 - 1 / 3.25**2) * np.exp(-(x**2) / (2 * 3.25**2))
    kernel -= kernel.mean()
    kernel /= (kernel * x**2).sum() / 2
    responses = []
    for axis in (0, 1):  # the middle of a convolution, as MATLAB cuts it
        whole = np.apply_along_axis(lambda line: np.convolve(line, kernel)[10 : 10 + len(line)], axis, bordered)
        responses.append(whole[10:-10, 10:-10])
    z = np.hypot(*responses)
    energy = z * z.max() / (z + 0.1 * z.max()) - 255 * threshold
    return np.where(energy > 1e-7, energy, 0)


def _variance(values: np.ndarray) -> float:
    """As MATLAB's: zero of a single value; NaN of none."""
    return float(values.var(ddof=int(len(values) > 1))) if len(values) else float("nan")


def _direct(image: np.ndarray) -> np.ndarray:
    """The features of each patch of an image `(H, W, 3)`, one after another."""
    red, green, blue = np.moveaxis(image.astype(float), 2, 0)
    grey = np.floor(0.298936021293776 * red + 0.587043074451121 * green + 0.114020904255103 * blue + 0.5)
    x = np.arange(7) - 3
    window = np.exp(-(x[:, None] ** 2 + x**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    padded = np.pad(grey, 3, mode="edge")
    mean, sharp = np.empty_like(grey), np.empty_like(grey)
    for i, j in np.ndindex(grey.shape):
        around = padded[i : i + 7, j : j + 7]
        mean[i, j] = (window * around).sum()
        sharp[i, j] = np.sqrt((window * (around - mean[i, j]) ** 2).sum())
    normalised = np.round(grey - mean, 9) / (sharp + 1)  # a rounding error has no sign
    products = normalised * normalised[np.arange(-1, len(grey) - 1)]
    saturation, yb, rg = rgb2hsv(image)[..., 1], (red + green) / 2 - blue, red - green
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    thresholds = ((luma, 9.225496406318721e-4), (yb, 8.969246659629488e-4), (rg, 2.069284034165411e-4))
    energies = [_contrast_energy(channel, threshold) for channel, threshold in thresholds]
    found = []
    for top in range(0, len(grey), 8):
        for left in range(0, grey.shape[1], 8):
            here = np.s_[top : top + 8, left : left + 8]
            shares = np.unique(grey[here], return_counts=True)[1] / 64
            product, opponents = products[here], [rg[here], yb[here]]
            found.append(
                [
                    normalised[here].var(ddof=1),
                    _variance(product[product >= 0]),
                    _variance(product[product < 0]),
                    sharp[here].mean(),
                    np.divide(sharp, mean, out=np.full_like(mean, np.nan), where=mean > 0)[here].mean(),
                    *(energy[here].mean() for energy in energies),
                    -(shares * np.log2(shares)).sum(),
                    image[here].min(2).mean() / 255,
                    saturation[here].mean(),
                    np.hypot(*(o.std(ddof=1) for o in opponents)) + 0.3 * np.hypot(*(o.mean() for o in opponents)),
                ]
            )
    return np.log(1 + np.array(found))


def test_features_against_their_definition() -> None:
    image = data.coffee()[150:182, 300:348]
    found = features(tensor(image)[0].double())
    assert found.shape == (24, len(FEATURES))
    np.testing.assert_allclose(found.numpy(), _direct(image), rtol=0, atol=1e-9)


def test_a_patch_with_a_feature_without_a_value_is_left_out(tmp_path: Path) -> None:
    """Of both means: the score is that of the other patches, as a direct definition has it."""
    generator = np.random.default_rng(5)
    image = data.coffee()[150:182, 300:348].copy()
    image[:8, :8] = 0  # no coefficient of variation
    image[16:, 24:] = (90, 140, 200)  # one colour: no product has a sign
    found = features(tensor(image)[0].double()).numpy()
    expected = _direct(image)
    lost = ~np.isfinite(expected).all(1)
    assert 2 <= lost.sum() < 12
    assert (np.isfinite(found).all(1) == ~lost).all()
    # beside a flat area the sharpness is the root of a rounding error
    np.testing.assert_allclose(found[~lost], expected[~lost], rtol=0, atol=1e-6)
    means = []
    for name in ("fogfree", "foggy"):
        root, mean = generator.normal(size=(12, 12)), generator.uniform(size=12)
        content = {f"mu_{name}param": mean[None], f"cov_{name}param": root @ root.T}
        scipy.io.savemat(tmp_path / f"natural_{name}_image_features_ps8.mat", content)
        apart = []
        for patch in expected[~lost]:
            precision = np.linalg.inv((root @ root.T + patch.var(ddof=1)) / 2)
            apart.append(np.sqrt((patch - mean) @ precision @ (patch - mean)))
        means.append(np.mean(apart))
    score = fade(tensor(image), parameters=tmp_path).item()
    assert score == pytest.approx(means[0] / (means[1] + 1), rel=1e-5)


def test_the_distance_against_its_definition() -> None:
    generator = torch.Generator().manual_seed(3)
    found = torch.rand(6, 12, generator=generator).double()
    root = torch.randn(12, 12, generator=generator).double()
    corpus = Corpus(torch.rand(12, generator=generator).double(), root @ root.T)
    for patch, distance in zip(found, distances(found, corpus), strict=True):
        covariance = (corpus.covariance + patch.var()) / 2  # the same variance in every entry
        difference = patch - corpus.mean
        assert distance.item() == pytest.approx((difference @ covariance.inverse() @ difference).sqrt().item())
    assert distances(corpus.mean[None], corpus).item() == pytest.approx(0, abs=1e-12)


def test_contrast_energy_of_known_images() -> None:
    assert not contrast_energy(torch.full((16, 24), 77.0).double(), 0.1).any()
    step = torch.zeros(48, 40).double()
    step[:, 20:] = 100
    energy = contrast_energy(step, 0.5)
    # the largest response z is turned into z / 1.1, the noise is subtracted, and far from the step nothing is left
    assert energy.max().item() == pytest.approx(contrast_energy(step, 0.0).max().item() - 0.5)
    assert not energy[:, :9].any()
    torch.testing.assert_close(contrast_energy(2 * step, 0.0), 2 * contrast_energy(step, 0.0))
    torch.testing.assert_close(energy[0], energy[-1])


def test_a_foggy_corpus_of_ones_own(tmp_path: Path) -> None:
    """Of corpora whose means lie at the image's own mean, the nearer makes the score small or large."""
    image = tensor(data.coffee()[100:116, 200:216])
    own = features(image[0].double()).mean(0).numpy()
    for fogfree, foggy in ((own, own + 4), (own + 4, own)):
        for name, mean in (("fogfree", fogfree), ("foggy", foggy)):
            content = {f"mu_{name}param": mean[None], f"cov_{name}param": np.eye(12)}
            folder = tmp_path / str(fogfree is own)
            folder.mkdir(exist_ok=True)
            scipy.io.savemat(folder / f"natural_{name}_image_features_ps8.mat", content)
    near_clear, near_foggy = (fade(image, parameters=tmp_path / str(flag)).item() for flag in (True, False))
    assert near_clear < 0.5 < 1 < near_foggy
    with pytest.raises(UserError, match="There is no parameter file"):
        fade(image, parameters=tmp_path)


def test_the_score_grows_with_haze(published: Path) -> None:
    clean = data.coffee()[::2, ::2]
    scores = fade(torch.cat([_hazy(clean, t) for t in (1, 0.8, 0.6, 0.4, 0.2)])).tolist()
    assert scores == sorted(scores)
    assert scores[0] < 0.5
    assert scores[-1] > 2


def test_types_and_batches_agree(published: Path) -> None:
    image = tensor(data.coffee()[100:157, 200:283])
    batch = torch.cat([image, image.flip(3)])
    expected = fade(batch)
    assert expected.shape == (2,)
    assert expected.dtype == torch.float64
    torch.testing.assert_close(fade(batch.float() / 255), expected, rtol=0, atol=0)
    torch.testing.assert_close(fade(batch[1:]), expected[1:], rtol=0, atol=0)
    # what does not fill a patch is left out
    torch.testing.assert_close(fade(image[..., :56, :80]), expected[:1], rtol=0, atol=0)


def test_what_cannot_be_scored(published: Path) -> None:
    flat = torch.full((1, 3, 32, 32), 0.5)
    assert fade(flat).isnan().all()
    broken = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert fade(broken).isfinite().all()
    broken[0, 1, 3, 3] = torch.nan
    assert fade(broken).isnan().all()
    with pytest.raises(UserError, match="compares colours"):
        fade(torch.rand(1, 1, 32, 32))
    with pytest.raises(UserError, match="FADE needs images of at least 16x16 pixels"):
        fade(torch.rand(1, 3, 15, 32))
    black_sky = tensor(data.coffee()[100:164, 200:264]).clone()
    black_sky[..., :32, :] = 0
    expected = fade(black_sky)
    assert expected.isfinite().all(), "black and flat patches are left out"


def test_photographs_lie_where_the_published_statistics_have_them(published: Path, real_data: Path) -> None:
    """Of patches near a corpus, each feature is as the other eleven and the corpus's statistics predict it.

    A feature on another scale, or another constant in contrast energy, would be off by standard deviations.
    """
    sources = {"fogfree": real_data / "CBSD68", "foggy": real_data / "haze_real" / "web_named"}
    for name, folder in sources.items():
        content = scipy.io.loadmat(published / f"natural_{name}_image_features_ps8.mat")
        mean, precision = (
            torch.from_numpy(content[f"mu_{name}param"][0]),
            torch.from_numpy(content[f"cov_{name}param"]).inverse(),
        )
        files = sorted(file for file in folder.rglob("*") if file.suffix in (".png", ".jpeg"))[:8]
        if not files:
            pytest.skip(f"needs photographs in {folder.name}")
        found = torch.cat([features(photograph(file)[0, :, :480, :640].double()) for file in files])
        towards = (found - mean) @ precision
        near = (towards * (found - mean)).sum(1) < 21  # what 95 per cent of normal patches stay under
        assert near.sum() > 1000
        surprise = (towards / precision.diagonal().sqrt())[near]
        assert surprise.mean(0).abs().max() < 1.2, name
        assert surprise.mean(0).abs().mean() < 0.35, name


def test_hazier_copies_of_a_room_score_higher(published: Path, real_data: Path) -> None:
    folder = real_data / "RESIDE" / "SOTS" / "indoor"
    for scene, degrees in (("1411", (1, 6)), ("1434", (2, 10))):
        names = [folder / "gt" / f"{scene}.png", *(folder / "hazy" / f"{scene}_{degree}.png" for degree in degrees)]
        scores = [fade(photograph(name)).item() for name in names]
        assert scores == sorted(scores)
        assert scores[-1] > 3 * scores[0]
