"""The relativistic average game of DeblurGAN-v2: a score counts by its distance from the mean of the other kind's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from limpid.errors import UserError
from limpid.losses.adversarial import LeastSquares, Scores, several
from limpid.losses.step import LossTerm, Step


class RecentMean(nn.Module):
    """The mean of the last score maps that one discriminator gave to images of one kind. It has no gradient.

    What is kept, one number for each map, is part of the state dict, so that a run that goes on gives what an
    uninterrupted one gives; of several processes, each keeps its own, of which a checkpoint holds the first's.

    Args:
        size: how many maps count.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._means: list[float] = []

    def add(self, scores: Tensor) -> None:
        """Take up the maps `(N, 1, h, w)` of N images in the place of the oldest."""
        self._means.extend(scores.detach().double().mean((1, 2, 3)).tolist())
        del self._means[: -self.size]

    def forward(self) -> float:
        """The mean; 0 before there is a map."""
        return sum(self._means) / len(self._means) if self._means else 0.0

    # Not a buffer: an average of weights, and processes that share buffers, would want one shape from the start.
    def get_extra_state(self) -> Tensor:
        """The means of the kept maps, the oldest first, `(n,)` float64."""
        return torch.tensor(self._means, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Keep the means in `state`, `(n,)`."""
        self._means = state.tolist()


class RelativeScores(NamedTuple):
    """Scores of each discriminator, less the mean of what it gave to images of the other kind.

    Attributes:
        clear: of clear images.
        restored: of restored images.
    """

    clear: list[Tensor]
    restored: list[Tensor]


class ScoreMemory(nn.Module):
    """What scores are compared with: the means of each discriminator's last maps of clear and of restored images.

    Args:
        discriminators: how many there are.
        size: how many maps of either kind count.

    Raises:
        UserError: there is no discriminator, or no map counts.
    """

    def __init__(self, discriminators: int, size: int = 50) -> None:
        super().__init__()
        if discriminators < 1 or size < 1:
            raise UserError(
                f"The game compares the scores of {discriminators} discriminators with the mean of {size} maps before "
                "(model.pool), but there is at least 1 of either."
            )
        self.clear = nn.ModuleList([RecentMean(size) for _ in range(discriminators)])
        self.restored = nn.ModuleList([RecentMean(size) for _ in range(discriminators)])

    def add(self, clear_scores: Scores, restored_scores: Scores) -> None:
        """Take up the scores that the discriminators gave in their own step."""
        for mean, scores in zip(self.clear, several(clear_scores), strict=True):
            mean.add(scores)  # type: ignore[operator]
        for mean, scores in zip(self.restored, several(restored_scores), strict=True):
            mean.add(scores)  # type: ignore[operator]

    def forward(self, clear_scores: Scores, restored_scores: Scores) -> RelativeScores:
        """The scores as they count, float32."""
        return RelativeScores(_less(clear_scores, self.restored), _less(restored_scores, self.clear))


def relativistic_loss(above: Scores, below: Scores) -> Tensor:
    """``(mean (a - 1)^2 + mean (b + 1)^2) / 2`` of relative scores a and b, the mean over discriminators, in float32.

    Relativistic average least squares (Kupyn et al., ICCV 2019, equation 1). The discriminator minimises it with the
    scores of clear images for a, the network with those of restored ones.

    Args:
        above: relative scores that are to be above those of the other kind.
        below: those that are to be below.
    """
    towards = LeastSquares(clear=1.0).generator_loss
    return 0.5 * (towards(above) + towards([-scores for scores in several(below)]))


class RelativisticAdversarial(LossTerm):
    """`relativistic_loss` of the network as a term, of relative scores: restored images are to be above clear ones."""

    requires = frozenset({"scores", "reference_scores"})

    def forward(self, step: Step) -> Tensor:
        """The mean over all scores, in float32."""
        assert step.scores is not None
        assert step.reference_scores is not None
        return relativistic_loss(step.scores, step.reference_scores)


def _less(scores: Scores, means: Iterable[nn.Module]) -> list[Tensor]:
    """The scores of each discriminator less its mean, float32."""
    return [one.float() - mean() for one, mean in zip(several(scores), means, strict=True)]
