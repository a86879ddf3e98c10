"""Which image comes when: training order as a pure function of seed and step, evaluation without padding."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


class StepSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) for steps `start` to `steps`.

    The images of all epochs form one endless sequence, each epoch a permutation seeded by (seed, epoch); step s takes
    the next `batch_size * world` of them. So a run that starts again at any step goes on exactly where it was, and
    several processes share each step's images without overlap.

    Args:
        images: how many images an epoch has.
        batch_size: images per process and step.
        steps: how many steps the whole run takes.
        start: the first step to hand out.
        seed: of the run.
        rank: this process among `world`.
        world: how many processes there are.
    """

    def __init__(
        self,
        images: int,
        batch_size: int,
        steps: int,
        start: int = 0,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.images, self.batch_size, self.steps, self.start = images, batch_size, steps, start
        self.seed, self.rank, self.world = seed, rank, world
        self._permutation = lru_cache(maxsize=2)(self._permute)

    def _permute(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, epoch]).permutation(self.images)

    def batch(self, step: int) -> list[tuple[int, int]]:
        """The (epoch, index) pairs of this process at `step`."""
        first = (step * self.world + self.rank) * self.batch_size
        places = (divmod(position, self.images) for position in range(first, first + self.batch_size))
        return [(epoch, int(self._permutation(epoch)[place])) for epoch, place in places]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return (self.batch(step) for step in range(self.start, self.steps))

    def __len__(self) -> int:
        # The whole run, also when it starts in the middle: Lightning counts the batches done before as fetched.
        return self.steps


class StridedSampler(Sampler[int]):
    """Every `world`-th image from `rank` on: all processes together see each image exactly once, none twice."""

    def __init__(self, images: int, rank: int = 0, world: int = 1) -> None:
        self.indices = range(rank, images, world)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
