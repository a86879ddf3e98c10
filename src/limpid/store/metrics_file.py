"""The content of metrics.json: the results of one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class MetricSummary(TypedDict):
    """A metric over the images of one set.

    Attributes:
        mean: of the images' own values.
        n: how many images have one.
        protocol: the id of how it was measured.
    """

    mean: float
    n: int
    protocol: str


#: `{set: {metric: summary}}`.
Summary = dict[str, dict[str, MetricSummary]]


class MetricsFile(TypedDict, total=False):
    """The results of a run; a test has all keys, a profile only some.

    Attributes:
        metrics: what was measured, by set and metric.
        input: the same of the degraded input itself.
        comparable: whether the values may stand beside the paper's, on all sets that the row's table prints.
        not_comparable: why they may not, a phrase each.
        comparable_sets: the sets on which they may.
        trained_as_printed: whether the run left weights of the paper's whole training on the paper's data.
        complete: by set, whether it is the published one, all of it, every image of it scored.
        absent: a sentence for each test set that was not there.
        provenance: plain facts on the run, and where its weights come from.
    """

    metrics: Summary
    input: Summary
    comparable: bool
    not_comparable: list[str]
    comparable_sets: list[str]
    trained_as_printed: bool
    complete: dict[str, bool]
    absent: list[str]
    provenance: Mapping[str, Any]
