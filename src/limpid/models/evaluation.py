"""Every image's own score: collected over batches, sets and processes, each image counted exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, distributed

Row = dict[str, Any]

#: Marks the score of the degraded image itself, such as `input_psnr`.
INPUT = "input_"


class Scores:
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

    def add(self, set_index: int, batch: Mapping[str, Any], restored: Tensor) -> None:
        """Score a batch of the set at `set_index`; without a target, only metrics that need none.

        The input is scored beside the restored image: what is not better than doing nothing has shown little. Images
        of a negative index do not count (see `limpid.data.sampling.StridedSampler`).
        """
        values = {
            f"{prefix}{name}": metric(image, batch.get("target")).tolist()
            for prefix, image in (("", restored), (INPUT, batch.get("input")))
            for name, metric in self.metrics.items()
            if image is not None and ("target" in batch or not getattr(metric, "needs_reference", True))
        }
        for i, (index, name) in enumerate(zip(batch["index"].tolist(), batch["name"], strict=True)):
            row = {"set": self.sets[set_index], "index": index, "name": name}
            if index >= 0:
                self.rows.append(row | {metric: column[i] for metric, column in values.items()})

    def finish(self, counts: Sequence[int]) -> None:
        """Bring the rows of all processes together, in the sets' order.

        Args:
            counts: how many images each set has.

        Raises:
            AssertionError: an image was counted twice or not at all.
        """
        if distributed.is_available() and distributed.is_initialized():
            gathered: list[list[Row]] = [[] for _ in range(distributed.get_world_size())]
            distributed.all_gather_object(gathered, self.rows)
            self.rows = [row for rows in gathered for row in rows]
        self.rows.sort(key=lambda row: (self.sets.index(row["set"]), row["index"]))
        seen = Counter((row["set"], row["index"]) for row in self.rows)
        wanted = Counter((name, i) for name, count in zip(self.sets, counts, strict=True) for i in range(count))
        assert seen == wanted, f"images were not counted exactly once: {dict((seen - wanted) + (wanted - seen))}"

    def summary(self, prefix: str = "") -> dict[str, dict[str, dict[str, Any]]]:
        """`{set: {metric: {"mean", "n", "protocol"}}}`: the mean of the images' own values, never of pooled errors.

        Args:
            prefix: `INPUT` for the scores of the degraded images themselves.
        """
        result: dict[str, dict[str, dict[str, Any]]] = {}
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
