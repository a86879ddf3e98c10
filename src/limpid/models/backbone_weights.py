"""The weights that a backbone learnt on ImageNet: where they come from, and their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limpid.errors import CannotRun, UserError
from limpid.losses.perceptual import PublishedWeights, published_state
from limpid.networks.deblurgan_v2 import DeblurGANv2
from limpid.zoo import files, torch_files

#: torchvision's weights of MobileNetV2, trained on ImageNet.
MOBILENET_V2 = PublishedWeights("https://download.pytorch.org/models", "mobilenet_v2-b0353104.pth")
#: timm's of Inception-ResNet-v2 (Apache-2.0), which were TensorFlow's, and how the file is called in torch hub's cache.
INCEPTION_RESNET_V2 = "inception_resnet_v2.tf_in1k"
INCEPTION_URL = f"https://huggingface.co/timm/{INCEPTION_RESNET_V2}/resolve/main/model.safetensors"

_SETTING = "model.backbone_weights (training.BUDGET.backbone_weights, such as training.mini.backbone_weights)"
_PURPOSE = "DeblurGAN-v2 starts from {} as it was trained on ImageNet"
#: The layers of an inverted residual by torchvision's names, and their places in a plain sequence: of one that widens
#: its features first, and of one that does not.
_PLACES = {
    True: {"0.0": 0, "0.1": 1, "1.0": 3, "1.1": 4, "2": 6, "3": 7},
    False: {"0.0": 0, "0.1": 1, "1": 3, "2": 4},
}


def load_backbone(network: DeblurGANv2, weights: str | Path) -> None:
    """Let the backbone of `network` start from `weights`.

    Args:
        network: whose backbone it is, as wide and deep as published.
        weights: ``imagenet`` looks for what was published in torch hub's cache, and for Inception-ResNet-v2, where it
            is not there, asks timm; ``random`` leaves what was drawn, which is another experiment; anything else is the
            path of a file of the published weights.

    Raises:
        CannotRun: the weights are not there.
        UserError: the file is another one, or the backbone is narrowed.
    """
    if weights == "random":
        return
    if not network.as_published:
        raise UserError(
            f"The backbone is narrowed (network.width, network.blocks), so that no published weights fit it; set "
            f"{_SETTING} to random, or let it be as wide and deep as published."
        )
    path = None if weights == "imagenet" else Path(weights).expanduser()
    state: Mapping[str, Tensor]
    if network.backbone_name == "mobilenet_v2":
        purpose = _PURPOSE.format("MobileNetV2")
        state = _in_sequence(published_state(path, MOBILENET_V2, purpose, _SETTING))
    else:
        state = _inception_state(path)
    wanted = network.backbone.state_dict()
    found = {name: state[name] for name in wanted if name in state and state[name].shape == wanted[name].shape}
    lacking = [name for name in wanted if name not in found and not name.endswith("num_batches_tracked")]
    if lacking:
        raise UserError(
            f"The file {str(weights)!r} does not hold the weights of {network.backbone_name}: it lacks {lacking[0]}; "
            f"set {_SETTING} to the published ones, or to random."
        )
    network.backbone.load_state_dict(found, strict=False)


def _inception_state(path: Path | None) -> Mapping[str, Tensor]:
    """The weights of Inception-ResNet-v2 as timm names them: those in a file, or those that timm fetches.

    Raises:
        CannotRun: they are not there.
    """
    cached = Path(torch.hub.get_dir()) / "checkpoints" / f"{INCEPTION_RESNET_V2}.safetensors"
    file = path or cached
    if file.is_file():
        return _state_in(file)
    why = ""
    if path is None:
        try:
            return _fetched_by_timm()
        except Exception as error:  # of any kind: timm or its torchvision is not installed, a proxy, a full disk
            why = f" and timm could not fetch them ({type(error).__name__}: {error})".replace("\n", " ")
    purpose = _PURPOSE.format("Inception-ResNet-v2")
    raise CannotRun(
        f"{purpose}, but its weights {str(file)!r} are not there{why}; download {INCEPTION_URL} to that place, or pip "
        "install 'limpid[deblurgan]' with a torchvision for your PyTorch, or set "
        f"{_SETTING} to another path, or to random to go without them."
    )


def _state_in(file: Path) -> Mapping[str, Tensor]:
    """The state dict in a file that safetensors or `torch.save` wrote.

    Raises:
        UserError: it is damaged, or holds no state dict.
    """
    if file.suffix != files.SUFFIX:
        state: Any = torch_files.content(file)
        return state.get("state_dict", state) if isinstance(state, dict) else {}
    return files.tensors(file)[0]


def _fetched_by_timm() -> Mapping[str, Tensor]:
    """The weights that timm fetches, from its own cache where it did so before."""
    import timm

    return dict(timm.create_model(INCEPTION_RESNET_V2, pretrained=True).state_dict())


def _in_sequence(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of torchvision's MobileNetV2 under the names of plain sequences: ``conv.1.0`` is ``conv.3``."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        match = re.fullmatch(r"(features\.(\d+)\.conv)\.([\d.]+)\.(\w+)", name)
        if match is not None:
            widens = int(match[2]) > 1
            name = f"{match[1]}.{_PLACES[widens][match[3]]}.{match[4]}"
        renamed[name] = value
    return renamed
