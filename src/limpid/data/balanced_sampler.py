"""The training order of a mixture: equal shares of every set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from limpid.data.sampling import StepSampler
from limpid.errors import UserError


class BalancedSampler(StepSampler):
    """Batches to which every set contributes equally: of k sets, image p of the endless sequence is of set p modulo k.

    Where k does not divide the batch, shares differ by one image from batch to batch and are equal over k batches. Each
    set has epochs of its own, so that the images of a small one come more often; each of its epochs is a permutation.

    Args:
        sizes: how many images each set has.
        batch_size: images per step, of all processes together.
        steps: how many steps the whole run takes.
        start: the first step to hand out.
        seed: of the run.
        rank: this process among `world`.
        world: how many processes there are.

    Raises:
        UserError: a set is empty, or the images of a step cannot be shared equally.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        batch_size: int,
        steps: int,
        start: int = 0,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(sum(sizes), batch_size, steps, start, seed, rank, world)
        if not all(sizes):
            raise UserError(f"Set number {list(sizes).index(0) + 1} of the mixture is empty; complete it.")
        self.sizes, self.begins = list(sizes), [0, *accumulate(sizes)]
        # Every set has an epoch at hand and, at its end, the next one.
        self._epochs_of_sets = lru_cache(maxsize=2 * len(self.sizes))(self._permute_set)

    def _permute_set(self, kind: int, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, epoch, kind]).permutation(self.sizes[kind])

    def batch(self, step: int) -> list[tuple[int, int]]:
        """The (epoch of its set, index in the mixture) pairs of this process at `step`."""
        first = step * self.batch_size + self.rank * self.share
        chosen = []
        for position in range(first, first + self.share):
            turn, kind = divmod(position, len(self.sizes))
            epoch, index = divmod(turn, self.sizes[kind])
            chosen.append((epoch, self.begins[kind] + int(self._epochs_of_sets(kind, epoch)[index])))
        return chosen
