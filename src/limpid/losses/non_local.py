"""NLCL's terms (Ye et al., CVPR 2022): a rainy image is a background and a rain layer, told apart patch by patch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.losses.contrastive import contrastive_loss
from limpid.losses.step import LossTerm, Step
from limpid.ranges import Channels, Count, Pixels, PositiveFloat

#: The value of the rain layer's image where there is no rain: what is added to an image may be negative too.
NO_RAIN = 0.5


class Recomposition(LossTerm):
    """Mean squared difference of background plus rain and the rainy image.

    The image of the rain layer is `NO_RAIN` where there is none.
    """

    requires = frozenset({"rain"})

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        assert step.rain is not None
        return F.mse_loss(step.restored.float() + step.rain.float() - NO_RAIN, step.input)


class InputL1(LossTerm):
    """Mean absolute difference of the restored image and the degraded one: what is removed shall be little."""

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        return F.l1_loss(step.restored.float(), step.input)


def similar_places(images: Tensor, count: int, patch: int = 16, search: int = 40) -> Tensor:
    """Where in each image patches are that resemble one another: non-local self-similarity.

    One patch is drawn at random, at the same place in all images. The patches around it are ranked by their squared
    distance from it.

    Args:
        images: `(N, C, H, W)`.
        count: patches wanted; fewer are found in a window with fewer places.
        patch: side of a patch in pixels.
        search: side of the window of places, around the drawn one; it ends at the image's border.

    Returns:
        Row and column of the patches' centres in pixels, `(N, K, 2)`, whole numbers; the nearest patch first.

    Raises:
        UserError: the images are too small for two patches.
    """
    height, width = images.shape[-2:]
    if min(height, width) < patch or max(height, width) == patch:
        raise UserError(
            f"Patches of {patch} pixels are compared with others of the same image, and one of {width}x{height} has no "
            "two of them; give data.crop more pixels."
        )
    images = images.detach().float()
    corner = [int(torch.randint(side - patch + 1, ())) for side in (height, width)]
    first = [max(0, at - search // 2) for at in corner]
    last = [min(side - patch, at + (search - 1) // 2) for at, side in zip(corner, (height, width), strict=True)]
    window = images[..., first[0] : last[0] + patch, first[1] : last[1] + patch]
    drawn = images[..., corner[0] : corner[0] + patch, corner[1] : corner[1] + patch].flatten(1)
    distances = (F.unfold(window, patch) - drawn.unsqueeze(2)).square().sum(1)
    nearest = distances.topk(min(count, distances.shape[1]), largest=False).indices
    columns = last[1] - first[1] + 1
    return torch.stack([first[0] + nearest // columns, first[1] + nearest % columns], 2) + patch // 2


def features_at(features: Tensor, places: Tensor, size: Sequence[int]) -> Tensor:
    """The vectors `(N, K, C)` of `features` at places of the image.

    Args:
        features: `(N, C, h, w)`.
        places: row and column in the image, `(N, K, 2)`, as `similar_places` gives them.
        size: height and width of the image.
    """
    height, width = features.shape[-2:]
    row, column = (
        places[..., axis] * own // of for axis, (own, of) in enumerate(zip((height, width), size, strict=True))
    )
    index = (row * width + column).unsqueeze(1).expand(-1, features.shape[1], -1)
    return features.flatten(2).gather(2, index).transpose(1, 2)


def layer_contrast(background: Tensor, rain: Tensor, temperature: float) -> Tensor:
    """``-1/|P| sum_p log(sim(a, p) / sum_o sim(a, o))``, ``sim = exp(cosine / temperature)``: the mean over anchors a.

    Every vector is an anchor once; its positives p in P are the others of its layer, and o are all but itself.

    Args:
        background: `(K, D)`, at least two.
        rain: `(L, D)`, at least two.
        temperature: tau, above 0.

    Returns:
        One value, in float32 or the vectors' own type if that is finer.
    """
    with torch.autocast(background.device.type, enabled=False):
        vectors = torch.cat([background, rain])
        vectors = F.normalize(vectors.to(torch.promote_types(vectors.dtype, torch.float32)), dim=1, eps=1e-6)
        layer = torch.arange(len(vectors), device=vectors.device) >= len(background)
        itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
        similarity = vectors @ vectors.T / temperature
        others = similarity.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
        positive = (layer[:, None] == layer) & ~itself
        return ((others - similarity) * positive).sum(1).div(positive.sum(1)).mean()


class Projections(nn.Module):
    """One projection for each layer, two linear layers, to vectors that are compared.

    Args:
        features: names of the features, and how many times `channels` each has.
        channels: of the narrowest.
        width: channels of the vectors, and between the two layers.
    """

    def __init__(self, features: Mapping[str, int], channels: int, width: int) -> None:
        super().__init__()
        self.place = {name: i for i, name in enumerate(features)}
        self.channels = [times * channels for times in features.values()]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(count, width), nn.ReLU(), nn.Linear(width, width)) for count in self.channels
        )

    def forward(self, name: str, features: Tensor, places: Tensor, size: Sequence[int]) -> Tensor:
        """The vectors `(N, K, width)` of the layer `name` at places of an image, see `features_at`.

        Raises:
            UserError: the features have not as many channels as was said.
        """
        place = self.place[name]
        expected = self.channels[place]
        if features.shape[1] != expected:
            raise UserError(
                f"The features {name} have {features.shape[1]} channels, but the loss expects {expected}; set the "
                "term's features and channels to those of the network and of model.discriminator."
            )
        vectors: Tensor = self.layers[place](features_at(features, places, size))
        return vectors


class _NonLocal(LossTerm):
    """What the two contrasts share: layers, the temperature, and how places are found."""

    def __init__(
        self, features: Mapping[str, Channels], temperature: PositiveFloat, patch: Pixels, search: Pixels, *counts: int
    ) -> None:
        super().__init__()
        if not features:
            raise ValueError("A non-local contrast needs the name of at least one feature.")
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}, but it must be above 0.")
        if min(search, *counts) < 2 or patch < 1:
            raise ValueError(
                "Non-local contrasts compare at least 2 patches of at least 1 pixel in a window of at least 2 places "
                f"a side, but there are {min(counts)} of {patch} pixels in one of {search}."
            )
        self.features = dict(features)
        self.temperature = temperature
        self.patch = patch
        self.search = search

    def places(self, images: Tensor, count: int) -> Tensor:
        """See `similar_places`."""
        return similar_places(images, count, self.patch, self.search)


class LocationContrast(_NonLocal):
    """A patch of the restored image resembles the same place of its input more than other, similar places of it.

    The network's own features are compared: those of the rainy images, and of clear ones that the network is given too,
    with the features of what came out when that is put in (`limpid.losses.step.Reapplication`). Gradients reach the
    latter alone.

    Args:
        features: names of the network's features, and how many times `channels` each has.
        channels: of the network.
        width: of the vectors that are compared.
        patches: places in an image.
        temperature: tau.
        patch: see `similar_places`.
        search: see `similar_places`.

    Raises:
        ValueError: no feature is named, or a number is too small to compare anything.
        UserError: (in a step) see `similar_places` and `Projections`.
    """

    requires = frozenset({"reapplications"})

    def __init__(
        self,
        features: Mapping[str, Channels],
        channels: Channels,
        width: Channels = 256,
        patches: Count = 256,
        temperature: PositiveFloat = 0.07,
        patch: Pixels = 16,
        search: Pixels = 40,
    ) -> None:
        super().__init__(features, temperature, patch, search, patches)
        self.network_layers = tuple(features)
        self.patches, self.projections = patches, Projections(features, channels, width)

    def forward(self, step: Step) -> Tensor:
        """The mean over places, images and layers, in float32."""
        assert step.reapplications is not None
        losses = []
        for image, before, after in step.reapplications:
            places = self.places(image, self.patches)
            same = torch.eye(places.shape[1], dtype=torch.bool, device=places.device)
            for name in self.features:
                anchors = self.projections(name, after[name], places, image.shape[-2:])
                positives = self.projections(name, before[name].detach(), places, image.shape[-2:])
                for anchor, positive in zip(anchors, positives, strict=True):
                    losses.append(contrastive_loss(anchor, positive, positive, same, ~same, self.temperature).mean())
        return torch.stack(losses).mean()


class LayerContrast(_NonLocal):
    """Patches of the background resemble one another and none of the rain layer's, and those one another.

    The discriminator's features are compared, `layer_contrast` of each image by itself.

    Args:
        features: names of the discriminator's features, and how many times `channels` each has.
        channels: of the discriminator's first convolution.
        width: of the vectors that are compared.
        background_patches: of an image; few, because backgrounds differ more from place to place than rain does.
        rain_patches: of an image.
        temperature: tau.
        patch: see `similar_places`.
        search: see `similar_places`.

    Raises:
        ValueError: no feature is named, or a number is too small to compare anything.
        UserError: (in a step) see `similar_places` and `Projections`.
    """

    requires = frozenset({"rain", "background_features", "rain_features"})

    def __init__(
        self,
        features: Mapping[str, Channels],
        channels: Channels,
        width: Channels = 256,
        background_patches: Count = 8,
        rain_patches: Count = 128,
        temperature: PositiveFloat = 0.07,
        patch: Pixels = 16,
        search: Pixels = 40,
    ) -> None:
        super().__init__(features, temperature, patch, search, background_patches, rain_patches)
        self.discriminator_layers = tuple(features)
        self.background_patches, self.rain_patches = background_patches, rain_patches
        self.background, self.rain = Projections(features, channels, width), Projections(features, channels, width)

    def forward(self, step: Step) -> Tensor:
        """The mean over images and layers, in float32."""
        assert step.rain is not None
        assert step.background_features is not None
        assert step.rain_features is not None
        background_places = self.places(step.restored, self.background_patches)
        rain_places = self.places(step.rain, self.rain_patches)
        size = step.rain.shape[-2:]
        losses = []
        for name in self.features:
            background = self.background(name, step.background_features[name], background_places, size)
            rain = self.rain(name, step.rain_features[name], rain_places, size)
            losses += [layer_contrast(b, r, self.temperature) for b, r in zip(background, rain, strict=True)]
        return torch.stack(losses).mean()
