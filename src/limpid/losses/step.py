"""What a loss term sees of a training step, and the base class of terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from limpid.errors import UserError
from limpid.inference import NetworkOutput, restored_image


class TeacherView(Protocol):
    """What a teacher made of a batch."""

    @property
    def restored(self) -> Tensor:
        """Its images, `(N, 3, H, W)`; a teacher that enlarges has larger ones."""

    @property
    def stages(self) -> Sequence[Tensor]:
        """Its images of all stages; the last is `restored`."""

    @property
    def features(self) -> Mapping[str, Tensor]:
        """Its features `(N, C, h, w)`, by the names of its layers."""


#: What is said where a term wants what the data does not know of its haze.
_UNKNOWN = (
    "A term of the loss compares the {map} with the true one, and the batch has none; choose data that knows it: made "
    "haze, such as data=scenes, or RESIDE's own, data=reside_its_transmission. Or leave the term out."
)


class Reapplication(NamedTuple):
    """The network's features for an image, and for its own output of that image.

    Attributes:
        image: what went in, `(N, 3, H, W)`.
        features: of that pass, `(N, C, h, w)` by the names of layers.
        output_features: of the pass whose input was the first pass's restored image.
    """

    image: Tensor
    features: Mapping[str, Tensor]
    output_features: Mapping[str, Tensor]


class Cycle(NamedTuple):
    """An image, and what came back of it through both generators of a cycle.

    Attributes:
        image: what went in, `(N, 3, H, W)`.
        returned: what came back, of the same shape.
    """

    image: Tensor
    returned: Tensor


@dataclass(frozen=True)
class Step:
    """One training step, as loss terms see it.

    The first three are always there, but for `target` where the data has no references. The others are there if a
    term requires them (`LossTerm.requires`) and the model provides them.

    Attributes:
        input: the degraded images, `(N, 3, H, W)` in [0, 1].
        target: the references, of the same shape.
        output: what the network returned, an image or a named tuple with `.restored`.
        domain: the type of degradation of each image.
        transmission: of the haze of each image, `(N, 1, H, W)` in [0, 1]; see `known_transmission`.
        airlight: of the haze of each image, `(N, 3)` in [0, 1]; see `known_airlight`.
        features: the network's features `(N, C, h, w)` by the names of its layers.
        teacher: what the teacher or teachers made of the batch.
        clear: clear images `(M, 3, H, W)` that belong to none of the inputs.
        clear_output: what the network returned for `clear`.
        clear_features: the network's features for `clear`.
        scores: the discriminator's scores of the restored images, any shape; of several discriminators, or of several
            scales of one, a sequence.
        reference_scores: the discriminator's scores of the references, like `scores`.
        judged_features: the discriminator's features for the images that it judges.
        reference_features: the discriminator's features for the references.
        rain: the image of the rain layer, `(N, 3, H, W)`; see `limpid.losses.non_local.NO_RAIN`.
        background_features: the discriminator's features for the restored images.
        rain_features: the discriminator's features for `rain`.
        reapplications: of the network to its own output, for the degraded images and for the clear ones.
        cycles: of the degraded images and of the clear ones.
        real_output: what the network returned for real degraded images, which have no references.
        log_likelihood: of the references given the degraded images, in nats, `(N,)`.
        identities: of images, and what a translator to their own domain made of them.
        feature_scores: the discriminators' scores of the networks' features, a sequence.
        branches: the same step as each of two networks sees it: its own input, output and real output.
        density: the number of the density of each image's rain, `(N,)`.
        density_scores: what a classifier gives to the densities, `(N, classes)`.
        worsened: what the second generator of a cycle returned for `clear`, an image or a named tuple with `.restored`.
        temporal_differences: of each episode of Q-learning, how far the values of its actions are from what came of
            them, `(moves,)`.
    """

    input: Tensor
    target: Tensor | None
    output: NetworkOutput
    domain: Sequence[str] | Tensor | None = None
    transmission: Tensor | None = None
    airlight: Tensor | None = None
    features: Mapping[str, Tensor] | None = None
    teacher: TeacherView | None = None
    clear: Tensor | None = None
    clear_output: NetworkOutput | None = None
    clear_features: Mapping[str, Tensor] | None = None
    scores: Tensor | Sequence[Tensor] | None = None
    reference_scores: Tensor | Sequence[Tensor] | None = None
    judged_features: Mapping[str, Tensor] | None = None
    reference_features: Mapping[str, Tensor] | None = None
    rain: Tensor | None = None
    background_features: Mapping[str, Tensor] | None = None
    rain_features: Mapping[str, Tensor] | None = None
    reapplications: Sequence[Reapplication] | None = None
    cycles: Sequence[Cycle] | None = None
    real_output: NetworkOutput | None = None
    log_likelihood: Tensor | None = None
    identities: Sequence[Cycle] | None = None
    feature_scores: Sequence[Tensor] | None = None
    branches: Sequence[Step] | None = None
    density: Tensor | None = None
    density_scores: Tensor | None = None
    worsened: NetworkOutput | None = None
    temporal_differences: Sequence[Tensor] | None = None

    @property
    def restored(self) -> Tensor:
        """The restored images, `(N, 3, H, W)`, not clamped."""
        return restored_image(self.output)

    @property
    def reference(self) -> Tensor:
        """The references `target`.

        Raises:
            UserError: the data has none.
        """
        if self.target is None:
            raise UserError(
                "A term of the loss compares the restored images with references, and the batch has none; choose data "
                "with references, such as data=scenes, or leave the term out."
            )
        return self.target

    @property
    def known_transmission(self) -> Tensor:
        """The true `transmission`.

        Raises:
            UserError: the data does not know it.
        """
        if self.transmission is None:
            raise UserError(_UNKNOWN.format(map="transmission"))
        return self.transmission

    @property
    def known_airlight(self) -> Tensor:
        """The true `airlight`.

        Raises:
            UserError: the data does not know it.
        """
        if self.airlight is None:
            raise UserError(_UNKNOWN.format(map="airlight"))
        return self.airlight


class LossTerm(nn.Module):
    """One term of a loss: maps a `Step` to one number.

    A subclass writes `forward(step)` and says what it needs of the step beyond input, target and output.

    Attributes:
        requires: names of attributes of `Step`.
        network_layers: layers of the network whose features are compared.
        teacher_layers: layers of the teacher whose features are compared.
        discriminator_layers: layers of the discriminator whose features are compared.
    """

    requires: frozenset[str] = frozenset()
    network_layers: tuple[str, ...] = ()
    teacher_layers: tuple[str, ...] = ()
    discriminator_layers: tuple[str, ...] = ()
