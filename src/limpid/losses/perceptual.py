"""VGG-19 as a judge of images: where its weights come from, and the distance of two images in its features."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.errors import CannotRun, UserError
from limpid.losses.step import LossTerm, Step
from limpid.networks.frozen import Frozen
from limpid.networks.vgg19 import VGG19Features

#: The layers whose activations AECR-Net and its followers compare.
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
#: torchvision's weights; the name ends in the first digits of the file's sha256.
FILE = "vgg19-dcbb9e9d.pth"
URL = f"https://download.pytorch.org/models/{FILE}"
SHA256_PREFIX = "dcbb9e9d"


def frozen_vgg19(
    weights: str | Path | None = None,
    layers: Sequence[str] = LAYERS,
    normalise: bool = True,
    seed: int = 0,
    sha256_prefix: str = SHA256_PREFIX,
) -> Frozen:
    """VGG-19 up to the deepest of `layers`, frozen and outside every state dict.

    Args:
        weights: path of torchvision's ``vgg19-dcbb9e9d.pth``; null looks for it in torch hub's cache
            (`TORCH_HOME`, by default ``~/.cache/torch``, in ``hub/checkpoints``); ``random`` draws them, which is
            another experiment and says so in the run's config.
        layers: names such as ``relu1_1``.
        normalise: whether images in [0, 1] are first brought to ImageNet's mean and deviation.
        seed: of random weights.
        sha256_prefix: what the sha256 of the file must begin with.

    Raises:
        CannotRun: there is no such file.
        UserError: the file is not the published one.
    """
    with torch.random.fork_rng(devices=[]):  # so that what is built next does not depend on a loss being here
        network = VGG19Features(layers, normalise)
    if weights == "random":
        network.draw(seed)
        return Frozen(network)
    path = Path(weights).expanduser() if weights else Path(torch.hub.get_dir()) / "checkpoints" / FILE
    state = _read(path, sha256_prefix)
    network.load_state_dict({name: state[name] for name in network.state_dict()})
    return Frozen(network)


def _read(path: Path, sha256_prefix: str) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise CannotRun(
            f"The loss compares images in the features of VGG-19, but its weights {str(path)!r} are not there; "
            f"download {URL} to that place, name another in the term's `weights`, or set `weights=random` to go "
            "without them."
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(sha256_prefix):
        prefix = digest[: len(sha256_prefix)]
        raise UserError(
            f"The file {str(path)!r} is not the published {FILE}: its sha256 begins with {prefix}, not with "
            f"{sha256_prefix}; download {URL} again, or set `weights=random` to go without it."
        )
    state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


class Perceptual(LossTerm):
    """Weighted distance of the restored image and the target in VGG-19's features.

    Args:
        layers: weight of each layer, by name.
        distance: ``l1`` (mean absolute difference) or ``l2`` (mean squared difference).
        weights: see `frozen_vgg19`.
        normalise: see `frozen_vgg19`.

    Raises:
        ValueError: the distance is neither.
        CannotRun: VGG-19's weights are not there.
    """

    def __init__(
        self,
        layers: Mapping[str, float],
        distance: str = "l1",
        weights: str | None = None,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        if distance not in ("l1", "l2"):
            raise ValueError(f"distance is {distance!r}, but it must be l1 or l2.")
        self.layers, self.distance = dict(layers), F.l1_loss if distance == "l1" else F.mse_loss
        self.vgg = frozen_vgg19(weights, list(layers), normalise)

    def forward(self, step: Step) -> Tensor:
        """The mean over the batch, in float32; no gradient reaches the target."""
        restored = self.vgg(step.restored)
        with torch.no_grad():
            target = self.vgg(step.reference)
        distances = [w * self.distance(restored[n].float(), target[n].float()) for n, w in self.layers.items()]
        return torch.stack(distances).sum()
