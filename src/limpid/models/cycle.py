"""Training without pairs by cycles: to clear images and back, and to degraded ones and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from limpid.errors import UserError
from limpid.inference import NetworkOutput, restored_image
from limpid.losses.adversarial import Game, LeastSquares, game_of
from limpid.losses.step import Cycle
from limpid.models.adversarial import Adversarial, clear_images
from limpid.models.batches import Batch
from limpid.models.image_pool import ImagePool
from limpid.models.restorer import StepOutput
from limpid.ranges import CountOrNone


class CycleModel(Adversarial):
    """CycleGAN's training (Zhu et al., ICCV 2017): two generators, two discriminators, no pairs.

    The network restores; `degrading` makes degraded images of clear ones. In each step both generators learn first, on
    what they made and on what came back of it; then the discriminators learn to tell what was made from photographs.
    The second generator, the discriminators and their pools are in Lightning's state, so that a run continues, but not
    in the network that a checkpoint rebuilds.

    A batch holds `input` and `clear`. Where it has references instead, another image's reference is its clear image.

    Args:
        arguments: see `Restorer`; the network restores.
        degrading: the generator from clear to degraded images.
        discriminators: that of `clear_images` and that of `degraded_images`; each gives scores of images in [0, 1].
        game: what the discriminators make of the scores; None is `LeastSquares`. The loss's adversarial term has its
            own.
        pool: how many made images of either kind are kept for the discriminators.
        settings: see `Restorer`; optimizer and learning-rate scheduler are made twice.

    Raises:
        UserError: there is another discriminator, or one is missing; or (in a step) there are no clear images.
    """

    PROVIDES = Adversarial.PROVIDES | {"clear", "cycles", "worsened"}

    discriminator: nn.ModuleDict

    def __init__(
        self,
        *arguments: Any,
        degrading: nn.Module,
        discriminators: Mapping[str, nn.Module],
        game: Game | None = None,
        pool: CountOrNone = 50,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        if set(discriminators) != {"clear_images", "degraded_images"}:
            raise UserError(
                f"model.discriminators names {', '.join(discriminators)}, but there must be one of clear_images and "
                "one of degraded_images."
            )
        self.degrading = degrading
        self.discriminator = nn.ModuleDict(dict(discriminators))
        self.game = game_of(game, LeastSquares())
        self.pools = nn.ModuleDict({name: ImagePool(pool) for name in discriminators})

    def configure_network(self, memory_format: str = "channels_last", compile: bool = False) -> None:
        """Say how both generators are computed; see `Restorer`."""
        super().configure_network(memory_format, compile)
        self.degrading.to(memory_format=self.memory_format)  # type: ignore[call-overload]

    def generators(self) -> list[nn.Module]:
        """Both generators, and what the loss learns."""
        return [*super().generators(), self.degrading]

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The losses of one step of the generators and one of the discriminators; the generators' terms are logged."""
        assert self.loss is not None
        step, clear = self.make_step(batch), clear_images(batch)
        degraded, restored = step.input, step.restored
        output = self.degrade(clear)
        worsened = restored_image(output)
        made = {"clear_images": restored, "degraded_images": worsened}
        self.discriminator.requires_grad_(False)  # the generators' loss passes through them and leaves nothing there
        scores = [self.generators_scores(name, images) for name, images in made.items()]
        there, back = restored_image(self.degrade(restored)), restored_image(self(worsened))
        cycles = [Cycle(degraded, there), Cycle(clear, back)]
        total, terms = self.loss(replace(step, clear=clear, scores=scores, cycles=cycles, worsened=output))
        self.optimize(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        judged = self._judged("clear_images", clear, restored) + self._judged("degraded_images", degraded, worsened)
        self.optimize(1, judged, batch_idx)
        return self.log_turn(total, terms, judged)

    def degrade(self, clear: Tensor) -> NetworkOutput:
        """Degraded images made of `clear`, of the same shape; an image or a named tuple with `.restored`."""
        output: NetworkOutput = self.degrading(clear.contiguous(memory_format=self.memory_format))
        return output

    def generators_scores(self, name: str, images: Tensor) -> Tensor:
        """What the discriminator of this name gives to made `images`, as it counts for the generators."""
        scores: Tensor = self.discriminator[name](images)
        return scores

    def _judged(self, name: str, photographs: Tensor, made: Tensor) -> Tensor:
        """The loss of one discriminator, which is given made images of this step and of steps before."""
        judge, shown = self.discriminator[name], self.pools[name](made)
        return self.game.discriminator_loss(judge(photographs), judge(shown))
