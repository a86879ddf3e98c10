"""RefineDNet's training: no pairs, but a prior that both refiners start from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from limpid.errors import UserError
from limpid.losses import Step
from limpid.losses.adversarial import Game, LeastSquares, game_of
from limpid.models.adversarial import Adversarial, clear_images
from limpid.models.batches import Batch, known_of
from limpid.models.image_pool import ImagePool
from limpid.models.restorer import StepOutput
from limpid.networks.refinednet import RefineDNet
from limpid.ranges import CountOrNone


class UnpairedRefinement(Adversarial):
    """Weakly supervised refinement (Zhao et al., TIP 2021, section III-C): both refiners against one discriminator.

    In each step the refiners learn first: the refined image is to look clear, to give the hazy image again with the
    refined transmission, and to be the clear image where that stands in the prior's place. Then the discriminator
    learns to tell refined images, some of steps before, from clear ones. The discriminator and its pool are in
    Lightning's state, so that a run continues, but not in the network that a checkpoint rebuilds.

    A batch holds `input` and `clear`. Where it has references instead, another image's reference is its clear image.

    Args:
        arguments: see `Restorer`; the network is a `RefineDNet`.
        discriminator: gives scores of images in [0, 1].
        game: what the discriminator makes of the scores; None is `LeastSquares`. The loss's adversarial term has its
            own.
        pool: how many refined images are kept for the discriminator.
        settings: see `Restorer`; optimizer and learning-rate scheduler are made twice.

    Raises:
        UserError: the network is another; or (in a step) there are no clear images.
    """

    PROVIDES = (Adversarial.PROVIDES | {"clear", "clear_output"}) - {"features"}

    network: RefineDNet

    def __init__(
        self,
        *arguments: Any,
        discriminator: nn.Module,
        game: Game | None = None,
        pool: CountOrNone = 50,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        if not isinstance(self.network, RefineDNet):
            raise UserError(
                f"This training refines what a prior finds, and {type(self.network).__name__} has no prior inside; "
                "choose network=refinednet, or another model."
            )
        self.discriminator = discriminator
        self.game = game_of(game, LeastSquares())
        self.pool = ImagePool(pool)

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The losses of one step of the refiners and one of the discriminator; the refiners' terms are logged."""
        assert self.loss is not None
        clear = clear_images(batch)
        output = self.network(batch["input"].contiguous(memory_format=self.memory_format))
        self.discriminator.requires_grad_(False)  # the refiners' loss passes through it and leaves nothing there
        step = Step(**known_of(batch), output=output, clear=clear, scores=self.discriminator(output.refined))
        if "clear_output" in self.loss.requires:
            step = replace(step, clear_output=self.network.refine(batch["input"], clear))
        total, terms = self.loss(step)
        self.optimize(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        shown = self.pool(output.refined)
        judged = self.game.discriminator_loss(self.discriminator(clear), self.discriminator(shown))
        self.optimize(1, judged, batch_idx)
        return self.log_turn(total, terms, judged)
