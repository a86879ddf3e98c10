"""Batches of any DataLoader, made complete: `input`, and defaults for what was not given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Required, TypedDict, cast

import torch
from torch import Tensor

from limpid.errors import UserError


class Batch(TypedDict, total=False):
    """A batch as a model sees it; what else a data set gives stays in it.

    Attributes:
        input: the degraded images, `(N, 3, H, W)` in [0, 1].
        target: the references, of the same shape, where there are any.
        index: of each image in its set, `(N,)`; negative where it does not count.
        name: of each image.
        domain: the type of degradation of each image.
        transmission: of the haze of each image, `(N, 1, H, W)` in [0, 1], where the data knows it.
        airlight: of the haze of each image, `(N, 3)` in [0, 1], where the data knows it.
        clear: clear images `(M, 3, H, W)` that belong to none of the inputs.
        real: real degraded images `(M, 3, H, W)`, without references, beside pairs.
        depth: of each pair, `(N, 1, H, W)` in [0, 1], 1 the furthest point, where the data knows it.
        real_depth: of each real image, likewise.
        rain_level: how dense the rain of each image is: ``light``, ``medium`` or ``heavy``, where the data knows it.
        tool: the number from 0 of the tool that each image is for, `(N,)`, of a network that has several.
        small: what a network that enlarges sees; `limpid.models.SuperResolution` adds it.
    """

    input: Required[Tensor]
    target: Tensor
    index: Required[Tensor]
    name: Required[Sequence[str]]
    domain: Required[Sequence[str]]
    transmission: Tensor
    airlight: Tensor
    clear: Tensor
    real: Tensor
    depth: Tensor
    real_depth: Tensor
    rain_level: Sequence[str]
    tool: Tensor
    small: Tensor


class Known(TypedDict):
    """What a batch says of its images, under the names of `limpid.losses.Step`; None of what it does not say."""

    input: Tensor
    target: Tensor | None
    domain: Sequence[str] | None
    transmission: Tensor | None
    airlight: Tensor | None


def known_of(batch: Batch) -> Known:
    """The part of a `Step` that needs no network: the images of `batch`, and what it knows of their haze."""
    return {
        "input": batch["input"],
        "target": batch.get("target"),
        "domain": batch.get("domain"),
        "transmission": batch.get("transmission"),
        "airlight": batch.get("airlight"),
    }


#: The type of degradation of images that come without one.
UNKNOWN = "unknown"


class BatchDefaults:
    """Fills in what a batch lacks: names, indices and types of degradation.

    A batch is a dict with `input` `(N, 3, H, W)` and what else there is, a tuple or list `(input, target)`, or the
    images alone. Images without an `index` are numbered in the order they come in, each stage and loader by itself; of
    several processes as a `DistributedSampler` deals them out. Their `name` is that number, their `domain` unknown.
    """

    def __init__(self) -> None:
        self._numbered: Counter[tuple[str, int]] = Counter()

    def start(self, stage: str) -> None:
        """Begin to number the images of `stage` from 0 again."""
        for key in [key for key in self._numbered if key[0] == stage]:
            del self._numbered[key]

    def complete(self, batch: object, stage: str, loader: int = 0, rank: int = 0, world: int = 1) -> Batch:
        """The batch as a dict with `input`, `index`, `name` and `domain`.

        Args:
            batch: as a DataLoader gives it.
            stage: such as ``test``.
            loader: which of the stage's loaders it comes from.
            rank: of this process.
            world: how many processes there are.

        Raises:
            UserError: it holds no images.
        """
        made = _as_batch(batch)
        count = len(made["input"] if "input" in made else made["target"])
        if "index" not in made:
            first = self._numbered[stage, loader]
            self._numbered[stage, loader] += count
            made["index"] = torch.arange(first, first + count) * world + rank
        if "name" not in made:
            made["name"] = [f"{int(index):06d}" for index in made["index"]]
        if "domain" not in made:
            made["domain"] = [UNKNOWN] * count
        return made


def _as_batch(batch: object) -> Batch:
    """The batch as a new dict, whose defaults are still missing; see `BatchDefaults`."""
    if isinstance(batch, Mapping) and ("input" in batch or "target" in batch):
        return cast(Batch, dict(batch))
    if isinstance(batch, Tensor):
        return cast(Batch, {"input": batch})
    if isinstance(batch, tuple | list) and len(batch) in (1, 2) and all(isinstance(part, Tensor) for part in batch):
        return cast(Batch, dict(zip(("input", "target"), batch, strict=False)))
    described = f"a dict of {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else f"a {type(batch).__name__}"
    raise UserError(
        f"A batch is {described}, but models of Limpid take a dict with input and target, or a tuple (input, target), "
        "tensors of shape (N, 3, H, W) in [0, 1]; change what the DataLoader gives."
    )
