"""DA-Net's first stage: translators between made and real haze."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from limpid.errors import UserError
from limpid.losses import Step
from limpid.losses.adversarial import Game, LeastSquares, game_of
from limpid.models.adversarial import Adversarial
from limpid.models.batches import Batch, known_of
from limpid.models.haze_domains import Translation, haze_domains, translate
from limpid.models.image_pool import ImagePool
from limpid.models.restorer import StepOutput
from limpid.networks.da_net import DANetTranslators
from limpid.ranges import CountOrNone

#: What the discriminators are called: each tells images of its domain from translated ones.
IMAGES = ("real_images", "synthetic_images")


class DomainTranslation(Adversarial):
    """CycleGAN between made and real haze, with depth on the way to real haze (Shao et al., CVPR 2020, section 3.2).

    In each step both translators learn first, then both discriminators. These and their pools are in Lightning's state,
    so that a run continues, but not in the network that a checkpoint rebuilds.

    A batch holds `input`, `real`, and the depth of both; see `limpid.models.haze_domains`.

    Args:
        arguments: see `Restorer`; the network is a `DANetTranslators`.
        discriminators: of `real_images` and of `synthetic_images`; each gives scores of images in [0, 1].
        game: what the discriminators make of the scores; None is `LeastSquares`. The loss's adversarial term has its
            own.
        pool: how many translated images of either domain are kept for the discriminators.
        settings: see `Restorer`; optimizer and learning-rate scheduler are made twice.

    Raises:
        UserError: the network or the discriminators are others; or (in a step) there is no depth.
    """

    PROVIDES = (Adversarial.PROVIDES | {"cycles", "identities"}) - {"features"}

    network: DANetTranslators
    discriminator: nn.ModuleDict

    def __init__(
        self,
        *arguments: Any,
        discriminators: Mapping[str, nn.Module],
        game: Game | None = None,
        pool: CountOrNone = 50,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        if not isinstance(self.network, DANetTranslators):
            raise UserError(
                f"This training learns to translate haze both ways, and {type(self.network).__name__} does not; choose "
                "network=da_net_translators, or another model."
            )
        self.discriminator = named_discriminators(discriminators, IMAGES)
        self.game = game_of(game, LeastSquares())
        self.pools = nn.ModuleDict({name: ImagePool(pool) for name in IMAGES})

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The losses of one step of the translators and one of the discriminators; the translators' are logged."""
        assert self.loss is not None
        domains = haze_domains(self, batch)
        translation = translate(self.network, domains, "identities" in self.loss.requires)
        self.discriminator.requires_grad_(False)  # the translators' loss passes through it and leaves nothing there
        step = translated_step(batch, translation, self.discriminator)
        total, terms = self.loss(step)
        self.optimize(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        photographs = {"real_images": domains.real, "synthetic_images": domains.synthetic}
        judged = judged_images(self.discriminator, self.pools, self.game, photographs, translation)
        self.optimize(1, judged, batch_idx)
        return self.log_turn(total, terms, judged)


def named_discriminators(given: Mapping[str, nn.Module], wanted: tuple[str, ...]) -> nn.ModuleDict:
    """The discriminators in the order of `wanted`, their names.

    Raises:
        UserError: there is another, or one is missing.
    """
    if set(given) != set(wanted):
        raise UserError(
            f"model.discriminators names {', '.join(given) or 'none'}, but there must be {', '.join(wanted)}."
        )
    return nn.ModuleDict({name: given[name] for name in wanted})


def translated_step(batch: Batch, translation: Translation, discriminator: nn.ModuleDict) -> Step:
    """What the terms see of a translation of the images of `batch`."""
    step = Step(**known_of(batch), output=translation.to_synthetic)
    scores = [discriminator["real_images"](translation.to_real)]
    scores.append(discriminator["synthetic_images"](translation.to_synthetic))
    return replace(step, scores=scores, cycles=translation.cycles, identities=translation.identities)


def judged_images(
    discriminator: nn.ModuleDict,
    pools: nn.ModuleDict,
    game: Game,
    photographs: Mapping[str, Tensor],
    translation: Translation,
) -> Tensor:
    """The loss of both discriminators, which are given translated images of this step and of steps before.

    Args:
        discriminator: by the names in `IMAGES`.
        pools: of translated images, likewise.
        game: what the discriminators make of their scores.
        photographs: the images of each domain, likewise.
        translation: into each domain.
    """
    made = {"real_images": translation.to_real, "synthetic_images": translation.to_synthetic}
    losses = []
    for name in IMAGES:
        judge, shown = discriminator[name], pools[name](made[name])
        losses.append(game.discriminator_loss(judge(photographs[name]), judge(shown)))
    return losses[0] + losses[1]
