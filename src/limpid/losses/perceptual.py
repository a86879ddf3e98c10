"""VGG as a judge of images: where its weights come from, and the distance of two images in its features."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.errors import CannotRun, UserError
from limpid.losses.step import LossTerm, Step
from limpid.networks.frozen import Frozen
from limpid.networks.vgg import VGGFeatures
from limpid.ranges import FiniteFloat, Layers, NonNegativeFloat, Pixels

#: The layers whose activations AECR-Net and its followers compare.
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


class PublishedWeights(NamedTuple):
    """A file of weights; its name ends in the first digits of its sha256.

    Attributes:
        folder: the address it lies at.
        file: its name.
    """

    folder: str
    file: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self.folder}/{self.file}"

    @property
    def sha256_prefix(self) -> str:
        """The first digits of its sha256."""
        return self.file.removesuffix(".pth").rpartition("-")[2]


_TORCHVISION, _CAFFE = "https://download.pytorch.org/models", "https://web.eecs.umich.edu/~justincj/models"
#: Published weights by who trained them and by depth; Caffe's are the authors' own, as others converted them.
WEIGHTS = {
    ("torchvision", 16): PublishedWeights(_TORCHVISION, "vgg16-397923af.pth"),
    ("torchvision", 19): PublishedWeights(_TORCHVISION, "vgg19-dcbb9e9d.pth"),
    ("caffe", 16): PublishedWeights(_CAFFE, "vgg16-00b39a1b.pth"),
    ("caffe", 19): PublishedWeights(_CAFFE, "vgg19-d01eb7cb.pth"),
}


def frozen_vgg(
    weights: str | Path | None = None,
    layers: Sequence[str] = LAYERS,
    normalise: bool = True,
    depth: int = 19,
    origin: str = "torchvision",
    image_range: Sequence[float] = (0.0, 1.0),
    seed: int = 0,
    sha256_prefix: str | None = None,
) -> Frozen:
    """VGG up to the deepest of `layers`, frozen and outside every state dict.

    Args:
        weights: path of the published file of this depth and origin (`WEIGHTS`); null looks for it in torch hub's cache
            (`TORCH_HOME`, by default ``~/.cache/torch``, in ``hub/checkpoints``); ``random`` draws them, which is
            another experiment and says so in the run's config.
        layers: names such as ``relu1_1``.
        normalise: see `VGGFeatures`.
        depth: 16 or 19.
        origin: see `VGGFeatures`.
        image_range: see `VGGFeatures`.
        seed: of random weights.
        sha256_prefix: what the sha256 of the file must begin with; None is that of the published file.

    Raises:
        CannotRun: there is no such file.
        UserError: the file is not the published one, or there is no such depth or origin.
    """
    with torch.random.fork_rng(devices=[]):  # so that what is built next does not depend on a loss being here
        network = VGGFeatures(layers, normalise, depth, origin, image_range)
    if weights == "random":
        network.draw(seed)
        return Frozen(network)
    published = WEIGHTS[origin, depth]
    purpose = f"The loss compares images in the features of VGG-{depth}"
    setting = f"the term's `weights` (training.BUDGET.vgg{depth}_weights, such as training.mini.vgg{depth}_weights)"
    state = published_state(weights, published, purpose, setting, sha256_prefix)
    network.load_state_dict({name: state[name] for name in network.state_dict()})
    return Frozen(network)


def published_state(
    weights: str | Path | None,
    published: PublishedWeights,
    purpose: str,
    setting: str,
    sha256_prefix: str | None = None,
) -> Mapping[str, Tensor]:
    """The state dict in a published file of weights.

    Args:
        weights: path of the file; None looks for it in torch hub's cache.
        published: which file it must be.
        purpose: what it is needed for, the beginning of a sentence.
        setting: what may be set to another path, or to `random`, for the sentence.
        sha256_prefix: what the sha256 of the file must begin with; None is that of the published file.

    Raises:
        CannotRun: there is no such file.
        UserError: the file is not the published one.
    """
    path = Path(weights).expanduser() if weights else Path(torch.hub.get_dir()) / "checkpoints" / published.file
    if not path.is_file():
        raise CannotRun(
            f"{purpose}, but its weights {str(path)!r} are not there; download {published.url} to that place, or set "
            f"{setting} to another path, or to random to go without them."
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    wanted = sha256_prefix or published.sha256_prefix
    if not digest.startswith(wanted):
        raise UserError(
            f"The file {str(path)!r} is not the published {published.file}: its sha256 begins with "
            f"{digest[: len(wanted)]}, not with {wanted}; download {published.url} again, or set {setting} to random "
            "to go without it."
        )
    state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


class Perceptual(LossTerm):
    """Weighted distance of the restored image and the target in VGG's features.

    Args:
        layers: weight of each layer, by name.
        distance: ``l1`` (mean absolute difference) or ``l2`` (mean squared difference).
        weights: see `frozen_vgg`.
        normalise: see `VGGFeatures`.
        depth: 16 or 19.
        origin: see `VGGFeatures`.
        image_range: see `VGGFeatures`.
        side: both images are first resized to this many pixels a side, bilinearly; None leaves them.

    Raises:
        ValueError: the distance is neither, or the side is below 1.
        CannotRun: VGG's weights are not there.
    """

    def __init__(
        self,
        layers: Mapping[str, NonNegativeFloat],
        distance: str = "l1",
        weights: str | None = None,
        normalise: bool = True,
        depth: Layers = 19,
        origin: str = "torchvision",
        image_range: Sequence[FiniteFloat] = (0.0, 1.0),
        side: Pixels | None = None,
    ) -> None:
        super().__init__()
        if distance not in ("l1", "l2"):
            raise ValueError(f"distance is {distance!r}, but it must be l1 or l2.")
        if side is not None and side < 1:
            raise ValueError(f"the images' side is {side}, but it must be 1 or more, or null.")
        self.layers, self.distance = dict(layers), F.l1_loss if distance == "l1" else F.mse_loss
        self.vgg = frozen_vgg(weights, list(layers), normalise, depth, origin, image_range)
        self.side = side

    def forward(self, step: Step) -> Tensor:
        """The mean over the batch, in float32; no gradient reaches the target."""
        return self.between(step.restored, step.reference)

    def between(self, restored: Tensor, target: Tensor) -> Tensor:
        """The distance of two images `(N, 3, H, W)` in [0, 1], in float32; no gradient reaches the target."""
        features = self._features(restored)
        with torch.no_grad():
            of_target = self._features(target)
        distances = [w * self.distance(features[n].float(), of_target[n].float()) for n, w in self.layers.items()]
        return torch.stack(distances).sum()

    def _features(self, images: Tensor) -> dict[str, Tensor]:
        if self.side is not None:
            images = F.interpolate(images, (self.side, self.side), mode="bilinear")
        features: dict[str, Tensor] = self.vgg(images)
        return features
