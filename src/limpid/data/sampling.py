"""Which image comes when: training order as a pure function of seed and step, evaluation without padding."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from limpid.errors import UserError


class SharedSampler(DistributedSampler[Any]):
    """A sampler that shares images among processes itself, so that Lightning puts no other in its place."""

    def __init__(self) -> None:
        """Nothing of the base's, whose order this is not."""

    def set_epoch(self, epoch: int) -> None:
        """Nothing: an epoch's order does not depend on how Lightning counts."""


class SharedLoader(DataLoader[Any]):
    """A DataLoader whose batches a `SharedSampler` makes up, which it also shows as its `sampler`.

    Args:
        dataset: is asked for what the sampler gives.
        batch_sampler: gives whole batches.
        settings: see `torch.utils.data.DataLoader`.
    """

    def __init__(self, dataset: Dataset[Any], batch_sampler: SharedSampler, **settings: Any) -> None:
        super().__init__(dataset, batch_sampler=batch_sampler, **settings)
        # Lightning looks here, and a DataLoader refuses that it is set.
        object.__setattr__(self, "sampler", batch_sampler)


def share(batch_size: int, world: int) -> int:
    """How many of a step's `batch_size` images each of `world` processes takes.

    Raises:
        UserError: they cannot be shared equally.
    """
    if batch_size % world:
        fitting = max(n for n in range(1, world) if batch_size % n == 0)
        raise UserError(
            f"A step's {batch_size} images cannot be shared equally by {world} processes; set "
            f"trainer.devices={fitting}, or data.batch_size to a multiple of {world}."
        )
    return batch_size // world


class StepSampler(SharedSampler):
    """Batches of (epoch, index) for steps `start` to `steps`.

    The images of all epochs form one endless sequence, each epoch a permutation seeded by (seed, epoch); step s takes
    the next `batch_size` of them. So a run that starts again at any step goes on exactly where it was. Several
    processes share each step's images without overlap: a step is the same whatever their number.

    Args:
        images: how many images an epoch has.
        batch_size: images per step, of all processes together.
        steps: how many steps the whole run takes.
        start: the first step to hand out.
        seed: of the run.
        rank: this process among `world`.
        world: how many processes there are.

    Raises:
        UserError: the images of a step cannot be shared equally.
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
        self.images = images
        self.batch_size = batch_size
        self.steps = steps
        self.start = start
        self.seed = seed
        self.rank = rank
        self.share = share(batch_size, world)
        self._permutation = lru_cache(maxsize=2)(self._permute)

    def _permute(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, epoch]).permutation(self.images)

    def batch(self, step: int) -> list[tuple[int, int]]:
        """The (epoch, index) pairs of this process at `step`."""
        first = step * self.batch_size + self.rank * self.share
        places = (divmod(position, self.images) for position in range(first, first + self.share))
        return [(epoch, int(self._permutation(epoch)[index])) for epoch, index in places]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return (self.batch(step) for step in range(self.start, self.steps))

    def __len__(self) -> int:
        # The whole run, also when it starts in the middle: Lightning counts the batches done before as fetched.
        return self.steps


class EpochSampler(SharedSampler):
    """One epoch of a training order each time it is asked for, for trainings whose length nobody planned.

    Args:
        order: the training order; its `start` is the first step to hand out.
        steps: of an epoch.
    """

    def __init__(self, order: StepSampler, steps: int) -> None:
        self.order = order
        self.steps = steps
        self.done = order.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first = self.done
        self.done = (first // self.steps + 1) * self.steps  # a training that goes on in mid-epoch first ends it
        return (self.order.batch(step) for step in range(first, self.done))

    def __len__(self) -> int:
        return self.steps


class StridedSampler(SharedSampler):
    """Every `world`-th image from `rank` on: all processes together see each image exactly once, none twice.

    A process for which no image is left gets -1, which stands for an image that does not count: Lightning would leave
    out its whole evaluation otherwise, and the others would wait for it.
    """

    def __init__(self, images: int, rank: int = 0, world: int = 1) -> None:
        self.indices = list(range(rank, images, world)) or [-1] * (images > 0)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
