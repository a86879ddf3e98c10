"""Parameter files: where they are looked for, that they are what was published, and what is said if they are not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from limpid.errors import UserError
from limpid.metrics import brisque, niqe
from limpid.metrics.parameters import BRISQUE_LIVE, NIQE_LIVE, NOTICE, SSEQ_LIVE, Release, cache_directory, find


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A release on this disk, with an empty cache and no `LIMPID_PARAMS`."""
    monkeypatch.delenv("LIMPID_PARAMS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    contents = {"model": b"numbers", NOTICE: b"notice"}
    (tmp_path / "site").mkdir()
    for name, content in contents.items():
        (tmp_path / "site" / name).write_bytes(content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return Release("some/folder", (tmp_path / "site").as_uri(), hashes)


def test_fetched_once_with_its_notice(published: Release, tmp_path: Path) -> None:
    path = find(published, "model")
    assert path == cache_directory() / "some" / "folder" / "model"
    assert path.read_bytes() == b"numbers"
    assert path.with_name(NOTICE).read_bytes() == b"notice"
    (tmp_path / "site" / "model").unlink()
    assert find(published, "model") == path, "no second download"


def test_the_explicit_path_then_limpid_params_then_the_cache(
    published: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = find(published, "model")
    own = tmp_path / "own"
    (own / "some" / "folder").mkdir(parents=True)
    monkeypatch.setenv("LIMPID_PARAMS", str(own))
    assert find(published, "model") == cached, "a folder without the file is passed over"
    (own / "some" / "folder" / "model").write_bytes(b"numbers")
    assert find(published, "model") == own / "some" / "folder" / "model"
    mine = tmp_path / "refitted"
    mine.write_bytes(b"other numbers")
    assert find(published, "model", mine) == mine
    with pytest.raises(UserError, match="There is no parameter file"):
        find(published, "model", tmp_path / "nowhere")


def test_another_content_is_refused(published: Release, tmp_path: Path) -> None:
    find(published, "model").write_bytes(b"changed")
    with pytest.raises(UserError, match="is not the one published at file://"):
        find(published, "model")


def test_what_arrives_is_verified(published: Release, tmp_path: Path) -> None:
    (tmp_path / "site" / "model").write_bytes(b"changed")
    with pytest.raises(UserError, match="as it arrived is not what was published"):
        find(published, "model")
    assert not (cache_directory() / "some" / "folder" / "model").exists()


def test_the_sentence_names_the_file_its_url_and_its_notice(published: Release, tmp_path: Path) -> None:
    (tmp_path / "site" / "model").unlink()
    with pytest.raises(UserError) as caught:
        find(published, "model")
    for part in ("some/folder/model", f"{published.url}/model", f"{published.url}/{NOTICE}", "LIMPID_PARAMS"):
        assert part in str(caught.value)


@pytest.mark.parametrize("release", [NIQE_LIVE, BRISQUE_LIVE, SSEQ_LIVE], ids=lambda release: release.folder)
def test_lives_releases(release: Release, live: Path) -> None:
    assert NOTICE in release.sha256
    assert release.url.startswith("https://raw.githubusercontent.com/utlive/")
    for name in release.sha256:
        assert find(release, name) == live / release.folder / name


def test_niqe_with_a_model_of_ones_own(tmp_path: Path) -> None:
    """With covariance C and mean mu + d, the distance from one block's features is sqrt(d' pinv(C / 2) d)."""
    image = torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(2))
    from limpid.metrics.niqe import features

    levels = (image[0].double() * 255 + 0.5).floor()
    mean = features(levels, 96)[0].numpy()
    shift = np.linspace(-1, 1, 36)
    model = tmp_path / "model.mat"
    scipy.io.savemat(model, {"mu_prisparam": (mean + shift)[None], "cov_prisparam": np.eye(36) * 4})
    assert niqe(image, parameters=model).item() == pytest.approx(np.sqrt((shift**2).sum() / 2))


def test_an_exported_matlab_brisque(tmp_path: Path) -> None:
    """One support vector on the image's own features gives Alpha + Bias, and one far away nothing."""
    from limpid.metrics.brisque import features

    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(2))
    own = features((image[0].double() * 255 + 0.5).floor(), "replicate").numpy()
    near = own.copy()
    near[3] += 0.5
    content = {
        "Alpha": np.array([[3.0], [2.0], [8.0]]),
        "Bias": 40.0,
        "Scale": 0.5,
        "SupportVectors": np.stack([own, near, own + 100]),
    }
    scipy.io.savemat(tmp_path / "model.mat", content)
    value = brisque(image, variant="matlab", model=tmp_path / "model.mat").item()
    assert value == pytest.approx(40 + 3 + 2 * np.exp(-1))
    del content["Scale"]
    scipy.io.savemat(tmp_path / "part.mat", content)
    with pytest.raises(UserError, match="has no Scale"):
        brisque(image, variant="matlab", model=tmp_path / "part.mat")
