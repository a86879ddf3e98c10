"""Where a backbone's weights come from, and one sentence where they are not there."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from limpid.errors import CannotRun, UserError
from limpid.models import backbone_weights
from limpid.models.backbone_weights import load_backbone
from limpid.networks.deblurgan_v2 import DeblurGANv2


def small(backbone: str) -> DeblurGANv2:
    """A narrow network that takes itself for one that published weights fit."""
    network = DeblurGANv2(backbone, 0.0625, (1, 1), pyramid_channels=4, head_channels=2)
    network.as_published = True
    return network


def other_weights(network: DeblurGANv2) -> dict[str, Tensor]:
    return {name: torch.rand_like(value) for name, value in network.backbone.state_dict().items()}


def assert_loaded(network: DeblurGANv2, state: dict[str, Tensor]) -> None:
    for name, value in network.backbone.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize("form", ["published.safetensors", "published.pth"])
def test_a_file_of_inception_resnet_v2(form: str, tmp_path: Path) -> None:
    network = small("inception_resnet_v2")
    state = other_weights(network)
    published = {**state, "classif.weight": torch.rand(2, 2), "conv2d_1a.bn.running_mean": torch.rand(2)}
    write: Any = save_file if form.endswith("safetensors") else torch.save
    write(published, tmp_path / form)
    load_backbone(network, str(tmp_path / form))
    assert_loaded(network, state)
    del published["repeat.0.conv2d.bias"]
    write(published, tmp_path / form)
    with pytest.raises(UserError, match="it lacks repeat.0.conv2d.bias"):
        load_backbone(network, str(tmp_path / form))
    (tmp_path / form).write_bytes(b"no weights")
    with pytest.raises(UserError, match="cut short|Python objects"):
        load_backbone(network, str(tmp_path / form))


def test_imagenets_weights_are_looked_for_in_the_cache_and_then_asked_of_timm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = small("inception_resnet_v2")
    monkeypatch.setitem(sys.modules, "timm", None)
    words = r"starts from Inception-ResNet-v2 .* but its weights '\S+inception_resnet_v2.tf_in1k.safetensors' are not there and timm could not fetch them .* download https://huggingface\S+ to that place, or pip install 'limpid\[deblurgan\]' .* or to random"
    with pytest.raises(CannotRun, match=words):
        load_backbone(network, "imagenet")
    state, asked = other_weights(network), []

    def create_model(name: str, pretrained: bool) -> Any:
        asked.append((name, pretrained))
        return SimpleNamespace(state_dict=lambda: state)

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))  # type: ignore[arg-type]
    load_backbone(network, "imagenet")
    assert asked == [("inception_resnet_v2.tf_in1k", True)]
    assert_loaded(network, state)
    cached = other_weights(network)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    save_file(cached, folder / "inception_resnet_v2.tf_in1k.safetensors")
    load_backbone(network, "imagenet")
    assert_loaded(network, cached)
    assert len(asked) == 1


def test_torchvisions_names_of_mobilenet_v2(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small("mobilenet_v2")
    state = other_weights(network)
    places = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"}
    first = {"0": "0.0", "1": "0.1", "3": "1", "4": "2"}
    theirs = {"features.18.0.weight": torch.rand(2), "classifier.1.bias": torch.rand(2)}
    for name, value in state.items():
        words = name.split(".")
        if words[2] == "conv":
            words[3] = (first if words[1] == "1" else places)[words[3]]
        theirs[".".join(words)] = value
    monkeypatch.setattr(backbone_weights, "published_state", lambda *arguments: theirs)
    load_backbone(network, "imagenet")
    assert_loaded(network, state)


def test_mobilenet_v2_without_its_file_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CannotRun, match=r"starts from MobileNetV2 .*mobilenet_v2-b0353104.pth' are not there"):
        load_backbone(small("mobilenet_v2"), "imagenet")


def test_a_narrowed_backbone_has_no_published_weights() -> None:
    network = DeblurGANv2(width=0.0625, blocks=(1, 1), pyramid_channels=4, head_channels=2)
    with pytest.raises(UserError, match="no published weights fit it; set model.backbone_weights .* to random"):
        load_backbone(network, "imagenet")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_backbone(network, "random")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with torch.device("meta"):
        assert DeblurGANv2().as_published
        assert not DeblurGANv2(blocks=(10, 19)).as_published
