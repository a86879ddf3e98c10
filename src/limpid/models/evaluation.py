"""Every image's own score: collected over batches, sets and processes, each image counted exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from torch import Tensor, distributed

from limpid.data.sampling import StridedSampler
from limpid.models.batches import Batch
from limpid.store.metrics_file import Summary

#: One image's line: `set`, `index`, `name`, and its value of each metric.
Row = dict[str, Any]

#: Marks the score of the degraded image itself, such as `input_psnr`.
INPUT_PREFIX = "input_"


class PerImageScores:
    """Per-image values of named metrics over one or several sets.

    Args:
        metrics: by name, takes `(restored, target)` `(N, 3, H, W)` and gives `(N,)`.
    """

    def __init__(self, metrics: Mapping[str, Callable[..., Tensor]]) -> None:
        self.metrics = dict(metrics)
        self.sets: list[str] = []
        self.rows: list[Row] = []

    def start(self, sets: Sequence[str]) -> None:
        """Forget everything and begin to count over `sets`."""
        self.sets, self.rows = list(sets), []

    def add(self, set_index: int, batch: Batch, restored: Tensor) -> None:
        """Score a batch of the set at `set_index`; without a target, only metrics that need none.

        The input is scored beside the restored image: what is not better than doing nothing has shown little. Images
        of a negative index do not count (see `limpid.data.sampling.StridedSampler`).
        """
        values = self._values(restored, batch.get("target"))
        degraded = batch.get("input")
        if degraded is not None:
            values |= self._values(degraded, batch.get("target"), INPUT_PREFIX)
        for i, (index, name) in enumerate(zip(batch["index"].tolist(), batch["name"], strict=True)):
            row = {"set": self.sets[set_index], "index": index, "name": name}
            if index >= 0:
                self.rows.append(row | {metric: column[i] for metric, column in values.items()})

    def _values(self, images: Tensor, target: Tensor | None, prefix: str = "") -> dict[str, list[float]]:
        """The value of every image, by the metrics' names behind `prefix`; of the metrics that need no more than is."""
        values: dict[str, list[float]] = {}
        for name, metric in self.metrics.items():
            if target is not None or not getattr(metric, "needs_reference", True):
                values[prefix + name] = metric(images, target).tolist()
        return values

    def finish(self, counts: Sequence[int | None]) -> None:
        """Bring the rows of all processes together, in the sets' order.

        Args:
            counts: how many images each set has, or None where not all of them were asked for, or nobody knows; see
                `image_counts`.

        Raises:
            AssertionError: an image of a set whose images are counted was counted twice or not at all.
        """
        if distributed.is_available() and distributed.is_initialized():
            gathered: list[list[Row]] = [[] for _ in range(distributed.get_world_size())]
            distributed.all_gather_object(gathered, self.rows)
            self.rows = list(chain.from_iterable(gathered))
        self.rows.sort(key=lambda row: (self.sets.index(row["set"]), row["index"]))
        for name, count in zip(self.sets, counts, strict=True):
            if count is None:
                continue
            seen = Counter(row["index"] for row in self.rows if row["set"] == name)
            wanted = Counter(range(count))
            wrong = dict((seen - wanted) + (wanted - seen))
            assert not wrong, f"images of {name} were not counted exactly once: {wrong}"

    def means(self) -> dict[str, float]:
        """The mean of each metric over the images of all sets, where any has a value."""
        means = {}
        for metric in self.metrics:
            values = [row[metric] for row in self.rows if metric in row]
            if values:
                means[metric] = sum(values) / len(values)
        return means

    def summary(self, prefix: str = "") -> Summary:
        """The mean of each metric over each set, `{set: {metric: {"mean", "n", "protocol"}}}`.

        It is the mean of the images' own values, never one of pooled errors.

        Args:
            prefix: `INPUT_PREFIX` for the scores of the degraded images themselves.
        """
        result: Summary = {}
        for name in self.sets:
            rows = [row for row in self.rows if row["set"] == name]
            result[name] = {}
            for metric, protocol in self.metrics.items():
                values = [row[prefix + metric] for row in rows if prefix + metric in row]
                if values:
                    mean = sum(values) / len(values)
                    result[name][metric] = {
                        "mean": mean,
                        "n": len(values),
                        "protocol": getattr(protocol, "id", metric),
                    }
        return result


def loaders_of(given: object) -> list[Any]:
    """The DataLoaders that a Trainer holds for a stage: one, a list, or a mapping of them."""
    if isinstance(given, Mapping):
        return list(given.values())
    return list(given) if isinstance(given, list | tuple) else [given]


def given_names(given: object, named: object = None) -> list[str] | None:
    """The names that somebody gave to the DataLoaders of a stage, in their order, or None.

    Args:
        given: as a Trainer holds them; the keys of a mapping are their names.
        named: a mapping whose keys are the names of loaders in a list, or None.
    """
    count = len(loaders_of(given))
    for names in (given, named):
        if isinstance(names, Mapping) and len(names) == count:
            return [str(name) for name in names]
    return None


def loader_names(given: object, stage: str, named: object = None) -> list[str]:
    """A name for each DataLoader of a stage: `given_names`, else `stage` for a single one and ``0``, ``1`` for several.

    Args:
        given: as a Trainer holds them.
        stage: ``val`` or ``test``.
        named: see `given_names`.
    """
    names = given_names(given, named)
    if names is not None:
        return names
    count = len(loaders_of(given))
    return [stage] if count == 1 else [str(i) for i in range(count)]


def image_counts(given: object, whole: bool) -> list[int | None]:
    """The number of images that each DataLoader must give, each exactly once; None where that is not certain.

    It is certain of a loader with Limpid's own sampler, over a whole pass: others may repeat or leave out images.

    Args:
        given: as a Trainer holds them.
        whole: whether nothing limits the number of batches.
    """
    counted = [whole and isinstance(loader.sampler, StridedSampler) for loader in loaders_of(given)]
    return [len(loader.dataset) if sure else None for loader, sure in zip(loaders_of(given), counted, strict=True)]
