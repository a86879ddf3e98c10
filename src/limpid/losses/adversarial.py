"""Adversarial games: what a discriminator minimises, and what the network that restores minimises against it.

A game takes the discriminator's scores of clear and of restored images: one tensor of any shape, or a sequence of
tensors where several discriminators, or one at several scales, judge; then the mean over them counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.losses.step import LossTerm, Step
from limpid.ranges import FiniteFloat

#: Scores of one discriminator, any shape, or of several.
Scores: TypeAlias = Tensor | Sequence[Tensor]


@runtime_checkable
class Game(Protocol):
    """One kind of adversarial training. Losses are float32; restored images are detached where they are made."""

    def discriminator_loss(self, clear_scores: Scores, restored_scores: Scores) -> Tensor:
        """What the discriminator minimises."""

    def generator_loss(self, restored_scores: Scores) -> Tensor:
        """What the network that restores minimises."""


def game_of(game: Game | None, usual: Game) -> Game:
    """The `game`, or the `usual` one in the place of None.

    Raises:
        UserError: it is something else than a game.
    """
    chosen = usual if game is None else game
    if not isinstance(chosen, Game):
        given = repr(chosen) if isinstance(chosen, str | Mapping) else type(chosen).__name__
        raise UserError(
            f"The game between the network and its discriminator is {given}, which is none; write it as "
            "{_target_: limpid.losses.adversarial.LeastSquares}, or as CrossEntropy or Wasserstein there."
        )
    return chosen


class LeastSquares:
    """Scores of clear images go to `clear`, of restored ones to 0 (Mao et al., ICCV 2017, equation 2).

    ``(mean (D(y) - clear)^2 + mean D(G(x))^2) / 2`` against ``mean (D(G(x)) - clear)^2``.

    Args:
        clear: the score of a clear image; below 1 it is a smoothed label.
    """

    def __init__(self, clear: FiniteFloat = 1.0) -> None:
        self.clear = clear

    def discriminator_loss(self, clear_scores: Scores, restored_scores: Scores) -> Tensor:
        """See `Game`."""
        return 0.5 * (self.generator_loss(clear_scores) + _mean(restored_scores, Tensor.square))

    def generator_loss(self, restored_scores: Scores) -> Tensor:
        """See `Game`."""
        return _mean(restored_scores, lambda scores: (scores - self.clear).square())


class CrossEntropy:
    """Scores are logits of "clear": ``-(log D(y) + log(1 - D(G(x)))) / 2`` against ``-log D(G(x))``.

    Goodfellow et al., NeurIPS 2014, with the generator's loss that does not saturate; the half is pix2pix's, to slow
    the discriminator down (Isola et al., CVPR 2017, section 3.3).
    """

    def discriminator_loss(self, clear_scores: Scores, restored_scores: Scores) -> Tensor:
        """See `Game`."""
        return 0.5 * (self.generator_loss(clear_scores) + _mean(restored_scores, F.softplus))

    def generator_loss(self, restored_scores: Scores) -> Tensor:
        """See `Game`."""
        return _mean(restored_scores, lambda scores: F.softplus(-scores))


class Wasserstein:
    """``mean D(G(x)) - mean D(y)`` against ``-mean D(G(x))`` (Arjovsky et al., ICML 2017), without a bound on D.

    Beside the discriminator's loss stands `gradient_penalty`, which bounds it.
    """

    def discriminator_loss(self, clear_scores: Scores, restored_scores: Scores) -> Tensor:
        """See `Game`."""
        return _mean(restored_scores) - _mean(clear_scores)

    def generator_loss(self, restored_scores: Scores) -> Tensor:
        """See `Game`."""
        return -_mean(restored_scores)


def gradient_penalty(
    discriminator: Callable[[Tensor], Scores],
    clear: Tensor,
    restored: Tensor,
    per_pixel: bool = False,
    unit: float = 1.0,
) -> Tensor:
    """``mean (||gradient of D at m|| - 1)^2``, without its weight, at mixtures m of clear and restored images.

    Gulrajani et al., NeurIPS 2017, equation 3. In float32, whatever the autocast: it is differentiated twice. One share
    is drawn for each pair of images.

    Args:
        discriminator: gives the scores, whose sum is differentiated.
        clear: `(N, C, H, W)`.
        restored: the same shape, without a gradient.
        per_pixel: take the norm over the channels of each pixel, and the mean over pixels; otherwise over each image.
        unit: what the discriminator makes of a difference of 1 before its first layer, by which the gradient is
            divided: 2 where images in [0, 1] are brought to [-1, 1] and the penalty is meant for those.
    """
    with torch.autocast(clear.device.type, enabled=False):
        share = torch.rand(len(clear), 1, 1, 1, device=clear.device)
        mixed = torch.lerp(restored.detach().float(), clear.detach().float(), share).requires_grad_()
        scores = discriminator(mixed)
        total = torch.stack([one.sum() for one in several(scores)]).sum()
        (gradient,) = torch.autograd.grad(total, mixed, create_graph=True)
        norms = (gradient / unit).square().sum(1 if per_pixel else (1, 2, 3))
        # The root of 0 has no derivative, and a gradient of exactly 0 is met where every unit is off.
        return ((norms + 1e-12).sqrt() - 1).square().mean()


def penalized_loss(
    game: Game,
    discriminator: Callable[[Tensor], Scores],
    clear: Tensor,
    restored: Tensor,
    penalty: float,
    per_pixel: bool = False,
) -> Tensor:
    """A game's loss of a discriminator of images in [0, 1], with the penalty of its gradient at images in [-1, 1].

    Args:
        game: what it makes of the scores.
        discriminator: brings its images to [-1, 1] before its first layer.
        clear: `(N, 3, H, W)` in [0, 1].
        restored: the same shape, without a gradient.
        penalty: weight of `gradient_penalty`; 0 has none.
        per_pixel: see `gradient_penalty`.
    """
    judged = game.discriminator_loss(discriminator(clear), discriminator(restored))
    if not penalty:
        return judged
    return judged + penalty * gradient_penalty(discriminator, clear, restored, per_pixel, unit=2.0)


class Adversarial(LossTerm):
    """A game's loss of the network as a term, of the discriminator's scores of the restored images.

    Args:
        game: None is `LeastSquares`.
    """

    requires = frozenset({"scores"})

    def __init__(self, game: Game | None = None) -> None:
        super().__init__()
        self.game = game_of(game, LeastSquares())

    def forward(self, step: Step) -> Tensor:
        """The mean over all scores, in float32."""
        assert step.scores is not None
        return self.game.generator_loss(step.scores)


class FeatureAdversarial(Adversarial):
    """A game's loss of the network as a term, of the discriminators' scores of its features.

    Args:
        game: None is `LeastSquares`.
    """

    requires = frozenset({"feature_scores"})

    def forward(self, step: Step) -> Tensor:
        """The mean over all scores, in float32."""
        assert step.feature_scores is not None
        return self.game.generator_loss(step.feature_scores)


def discriminator_loss(clear_scores: Scores, restored_scores: Scores) -> Tensor:
    """``(mean (D(clear) - 1)^2 + mean D(restored)^2) / 2``: that of `LeastSquares`.

    Equation 7 of Uni-Removal without its missing squares.

    Args:
        clear_scores: the discriminator's scores of clear images, any shape.
        restored_scores: its scores of restored images, any shape.
    """
    return LeastSquares().discriminator_loss(clear_scores, restored_scores)


def generator_loss(restored_scores: Scores) -> Tensor:
    """``mean (D(restored) - 1)^2``: that of `LeastSquares`."""
    return LeastSquares().generator_loss(restored_scores)


def several(scores: Scores) -> Sequence[Tensor]:
    """The scores of each discriminator, also where there is one."""
    return [scores] if isinstance(scores, Tensor) else scores


def _mean(scores: Scores, of: Callable[[Tensor], Tensor] = Tensor.float) -> Tensor:
    """The mean over all discriminators of the mean of what `of` makes of the scores, in float32."""
    means = [of(one.float()).mean() for one in several(scores)]
    return means[0] if len(means) == 1 else torch.stack(means).mean()
