"""Where VGG-19's weights come from, and the distance in its features."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from tests.losses.steps import step

from limpid.errors import CannotRun, UserError
from limpid.losses.perceptual import Perceptual, frozen_vgg
from limpid.networks.vgg import VGGFeatures


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, str]:
    """A file as torchvision's: more than is needed, in the format of its day; and the beginning of its sha256."""
    network = VGGFeatures(["relu1_2"])
    network.draw(3)
    path = tmp_path / "vgg19.pth"
    state = {**network.state_dict(), "classifier.6.bias": torch.zeros(10)}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def test_weights_are_read_from_a_verified_file(published: tuple[Path, str]) -> None:
    path, prefix = published
    vgg = frozen_vgg(path, ["relu1_1"], sha256_prefix=prefix)
    expected = VGGFeatures(["relu1_2"])
    expected.draw(3)
    assert torch.equal(vgg.module.features[0].weight, expected.features[0].weight)
    with pytest.raises(UserError, match=r"is not the published vgg19-dcbb9e9d.pth: its sha256 begins with"):
        frozen_vgg(path, ["relu1_1"])


def test_without_weights_a_sentence_says_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    place = tmp_path / "home" / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    with pytest.raises(CannotRun, match="download https://download.pytorch.org/models/vgg19-dcbb9e9d.pth") as raised:
        frozen_vgg(None, ["relu1_1"])
    assert str(place) in str(raised.value)
    with pytest.raises(CannotRun, match="elsewhere.pth"):
        Perceptual({"relu1_1": 1.0}, weights=str(tmp_path / "elsewhere.pth"))


def test_building_leaves_torchs_generator_alone() -> None:
    before = torch.get_rng_state()
    a, b = (frozen_vgg("random", ["relu1_1"], seed=s) for s in (0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(a.module.features[0].weight, b.module.features[0].weight)


def test_the_distance_is_the_weighted_sum_over_layers() -> None:
    x, y = torch.rand(2, 3, 16, 20, requires_grad=True), torch.rand(2, 3, 16, 20, requires_grad=True)
    layers = {"relu1_1": 0.5, "relu1_2": 2.0}
    for distance, power in (("l1", 1), ("l2", 2)):
        term = Perceptual(layers, distance, weights="random")
        a, b = term.vgg(x.detach()), term.vgg(y.detach())
        expected = sum(w * (a[n] - b[n]).abs().pow(power).mean() for n, w in layers.items())
        value = term(step(x, {"target": y}))
        torch.testing.assert_close(value, expected)
    value.backward()
    assert x.grad is not None
    assert y.grad is None
    assert term(step(x, {"target": x})).item() == 0
    with pytest.raises(ValueError, match="must be l1 or l2"):
        Perceptual(layers, "cosine", weights="random")


def test_images_of_which_the_poolings_leave_nothing_are_refused() -> None:
    term = Perceptual({"pool3": 1.0}, weights="random", depth=16)
    small, enough = torch.rand(1, 3, 7, 9), torch.rand(1, 3, 8, 9)
    assert term.between(enough, enough) == 0
    with pytest.raises(
        UserError, match="Images of 9x7 pixels are too small to be compared in VGG's pool3, which needs 8"
    ):
        term.between(small, small)
    with pytest.raises(ValueError, match="side is 0, but it must be 1 or more"):
        Perceptual({"pool3": 1.0}, weights="random", depth=16, side=0)
