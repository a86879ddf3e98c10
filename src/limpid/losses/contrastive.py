"""Contrastive terms: nearer to what is clear, further from what is degraded."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.inference import restored_image
from limpid.losses.perceptual import LAYERS, frozen_vgg
from limpid.losses.step import LossTerm, Step
from limpid.ranges import Count, NonNegativeFloat, PositiveFloat


class ContrastiveRegularisation(LossTerm):
    """``sum_j w_j |G_j(J) - G_j(J')| / |G_j(I) - G_j(J')|`` over layers of VGG-19 (AOSR-Net, equation 9; AECR-Net).

    J' is the restored image (the anchor), J the target (the positive), I the input (the negative); distances are mean
    absolute differences, one ratio per image. AECR-Net's code divides means over the batch instead, so that an
    image's term depends on the others, and does not normalise VGG's input. MAWR's second stage has all inputs of the
    batch for negatives: the denominator is then the mean of the distances to them.

    Args:
        layers: weight of each layer, by name.
        weights: see `frozen_vgg`.
        normalise: see `frozen_vgg`.
        epsilon: added to the denominator.
        negatives: ``own``, an image's own input, or ``batch``, every input of the batch.

    Raises:
        ValueError: `negatives` is neither.
        CannotRun: VGG-19's weights are not there.
    """

    def __init__(
        self,
        layers: Mapping[str, NonNegativeFloat],
        weights: str | None = None,
        normalise: bool = True,
        epsilon: PositiveFloat = 1e-7,
        negatives: str = "own",
    ) -> None:
        super().__init__()
        if negatives not in ("own", "batch"):
            raise ValueError(f"negatives is {negatives!r}, but it must be own or batch.")
        self.layers = dict(layers)
        self.epsilon = epsilon
        self.negatives = negatives
        self.vgg = frozen_vgg(weights, list(layers), normalise)

    def forward(self, step: Step) -> Tensor:
        """The mean over the batch, in float32; gradients reach the restored image alone."""
        anchor = self.vgg(step.restored)
        with torch.no_grad():
            positive, negative = self.vgg(step.reference), self.vgg(step.input)
        ratios = [
            weight * _distance(anchor[name], positive[name]) / self._repulsion(anchor[name], negative[name])
            for name, weight in self.layers.items()
        ]
        return torch.stack(ratios).sum(0).mean()

    def _repulsion(self, anchor: Tensor, negative: Tensor) -> Tensor:
        turns = range(len(anchor) if self.negatives == "batch" else 1)
        return torch.stack([_distance(anchor, negative.roll(turn, 0)) for turn in turns]).mean(0) + self.epsilon


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of each image's activations, `(N,)`, in float32."""
    return (a.float() - b.float()).abs().flatten(1).mean(1)


def contrastive_loss(
    anchors: Tensor,
    positives: Tensor,
    negatives: Tensor,
    positive_mask: Tensor,
    negative_mask: Tensor,
    temperature: float,
    epsilon: float = 1e-6,
) -> Tensor:
    """``-log(sum_p sim(a, p) / (sum_p sim(a, p) + sum_n sim(a, n)))``, ``sim = exp(cosine / temperature)``.

    Equation 9 of Uni-Removal, and with one positive per anchor its equation 2. It is computed by log-sum-exp in
    float32 (or the vectors' own type if that is finer), so that it stays finite at any temperature. No gradient reaches
    positives or negatives.

    Args:
        anchors: `(N, D)`.
        positives: `(P, D)`.
        negatives: `(M, D)`.
        positive_mask: `(N, P)`, which positives an anchor has; at least one.
        negative_mask: `(N, M)`, which negatives it has; where there are none, its loss is 0.
        temperature: tau, above 0.
        epsilon: lower bound of a vector's length in the cosine.

    Returns:
        One value per anchor, `(N,)`.
    """
    with torch.autocast(anchors.device.type, enabled=False):
        kind = torch.promote_types(anchors.dtype, torch.float32)
        a, p, n = (
            F.normalize(v.to(kind), dim=1, eps=epsilon) for v in (anchors, positives.detach(), negatives.detach())
        )
        attraction = (a @ p.T / temperature).masked_fill(~positive_mask, -torch.inf)
        repulsion = (a @ n.T / temperature).masked_fill(~negative_mask, -torch.inf)
        return torch.cat([attraction, repulsion], 1).logsumexp(1) - attraction.logsumexp(1)


def other_domains(domains: Sequence[str] | Tensor, device: torch.device | None = None) -> Tensor:
    """Which images of a batch are of another degradation type than which, `(N, N)`.

    An image without any such partner gets all others instead, so that a batch of one type still contrasts. No image is
    its own partner.
    """
    number = {name: i for i, name in enumerate(dict.fromkeys(_plain(domains)))}
    types = torch.tensor([number[name] for name in _plain(domains)], device=device)
    differs = types[:, None] != types
    others = ~torch.eye(len(types), dtype=torch.bool, device=device)
    return torch.where(differs.any(1, keepdim=True), differs, others)


def _plain(domains: Sequence[str] | Tensor) -> list[str | int]:
    return domains.tolist() if isinstance(domains, Tensor) else list(domains)


class _ContrastiveTerm(LossTerm):
    """What the two grains of Uni-Removal share: whose outputs are the positives, and the temperature."""

    def __init__(self, positives: str, temperature: PositiveFloat) -> None:
        super().__init__()
        if positives not in ("teacher", "clear"):
            raise ValueError(f"positives is {positives!r}, but it must be teacher or clear.")
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}, but it must be above 0.")
        if temperature < 1e-3:
            warnings.warn(
                f"At the temperature {temperature:g} the contrastive loss is 0 where the positive is the nearest, and "
                f"elsewhere a hinge with slope {1 / temperature:.0e}, which swamps the other terms (Uni-Removal prints "
                "1e-6; 0.07 is usual).",
                stacklevel=3,
            )
        self.positives, self.temperature = positives, temperature

    def positive_mask(self, anchors: Tensor, positives: Tensor) -> Tensor:
        """A teacher restored the same image, so each anchor has one positive; all clear images are positives."""
        if self.positives == "teacher":
            return torch.eye(len(anchors), dtype=torch.bool, device=anchors.device)
        return torch.ones(len(anchors), len(positives), dtype=torch.bool, device=anchors.device)


class ImageContrast(_ContrastiveTerm):
    """The image grain of Uni-Removal's contrastive loss (equations 4 and 11): VGG-19's features of whole images.

    Positives are the teachers' images for the same inputs (MGCL), or the student's images for a batch of clear
    photographs (EX-MGCL); negatives are all degraded inputs of the batch, its own among them (the equation's xs is
    contradicted by its text and by equation 11). The activations of each layer are averaged over the image and brought
    to length 1, so that the cosine is the mean of the layers' cosines.

    Args:
        positives: ``teacher`` or ``clear``.
        temperature: tau.
        layers: of VGG-19.
        weights: see `frozen_vgg`.
        normalise: see `frozen_vgg`.

    Raises:
        ValueError: `positives` or `temperature` is out of range.
        CannotRun: VGG-19's weights are not there.
    """

    def __init__(
        self,
        positives: str = "teacher",
        temperature: PositiveFloat = 0.07,
        layers: Sequence[str] = LAYERS,
        weights: str | None = None,
        normalise: bool = True,
    ) -> None:
        super().__init__(positives, temperature)
        self.requires = frozenset({"teacher" if positives == "teacher" else "clear_output"})
        self.vgg = frozen_vgg(weights, layers, normalise)

    def forward(self, step: Step) -> Tensor:
        """The mean over the batch, in float32; gradients reach the restored images alone."""
        anchors = self.embed(step.restored)
        other = step.teacher if self.positives == "teacher" else step.clear_output
        assert other is not None
        with torch.no_grad():
            positives = self.embed(restored_image(other))
            negatives = self.embed(step.input)
        all_negatives = torch.ones(len(anchors), len(negatives), dtype=torch.bool, device=anchors.device)
        mask = self.positive_mask(anchors, positives)
        return contrastive_loss(anchors, positives, negatives, mask, all_negatives, self.temperature).mean()

    def embed(self, images: Tensor) -> Tensor:
        """One vector per image, `(N, channels of all layers)`."""
        pooled = [activation.float().mean((2, 3)) for activation in self.vgg(images).values()]
        return torch.cat([F.normalize(vector, dim=1, eps=1e-6) for vector in pooled], 1)


class FeatureContrast(_ContrastiveTerm):
    """The feature grain of Uni-Removal's contrastive loss (equations 3 and 10): pooled features of the network itself.

    Positives are the teachers' features for the same inputs (MGCL), or the student's own for a batch of clear
    photographs (EX-MGCL); negatives are the student's features of the batch's inputs of other degradation types
    (`other_domains`; the equation's set contains the anchor itself, its text does not). VGG-19 takes images of 3
    channels, so that here phi is the mean over a grid of cells, flattened.

    Args:
        features: names of the layers that are compared; the loss is the mean over them.
        positives: ``teacher`` or ``clear``.
        temperature: tau.
        grid: cells along each side that features are averaged in; 1 averages over the whole image.

    Raises:
        ValueError: `positives` or `temperature` is out of range, or no feature is named.
    """

    def __init__(
        self, features: Sequence[str], positives: str = "teacher", temperature: PositiveFloat = 0.07, grid: Count = 1
    ) -> None:
        super().__init__(positives, temperature)
        if not features:
            raise ValueError("FeatureContrast needs the name of at least one feature.")
        self.grid = grid
        self.network_layers = tuple(features)
        self.teacher_layers = self.network_layers if positives == "teacher" else ()
        self.requires = frozenset({"features", "domain", "teacher" if positives == "teacher" else "clear_features"})

    def forward(self, step: Step) -> Tensor:
        """The mean over the batch, in float32; gradients reach the output's features alone."""
        assert step.features is not None
        assert step.domain is not None
        others = step.clear_features if step.teacher is None or self.positives == "clear" else step.teacher.features
        assert others is not None
        losses = []
        for name in self.network_layers:
            anchors, positives = self.embed(step.features[name]), self.embed(others[name].detach())
            negative_mask = other_domains(step.domain, anchors.device)
            mask = self.positive_mask(anchors, positives)
            loss = contrastive_loss(anchors, positives, anchors, mask, negative_mask, self.temperature)
            losses.append(loss.mean())
        return torch.stack(losses).mean()

    def embed(self, features: Tensor) -> Tensor:
        """One vector per image, `(N, C * grid * grid)`."""
        return F.adaptive_avg_pool2d(features.float(), self.grid).flatten(1)
