"""Medians, percentiles and the largest of many values, selected without sorting all, which is several times as fast."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def median(values: Tensor) -> Tensor:
    """The median of each row of `values` `(N, M)`, `(N,)`: of an even number the mean of the middle two."""
    return torch.from_numpy(np.median(values.cpu().numpy(), axis=-1)).to(values)


def percentile(values: Tensor, percents: Tensor, centred: bool = False) -> Tensor:
    """The percentiles `percents` `(P,)`, 0 to 100, of all `values`, interpolated linearly: `(P,)`.

    Args:
        values: any shape; they are selected on the CPU.
        percents: see above.
        centred: let the i-th smallest of n values be the percentile ``100 (i - 0.5) / n``, as MATLAB's `prctile` does,
            and keep the smallest and the largest beyond these; otherwise they are the percentiles 0 and 100.
    """
    flat = values.flatten().cpu().numpy()
    shares = percents.double().numpy() / 100
    places = len(flat) * shares - 0.5 if centred else (len(flat) - 1) * shares
    places = places.clip(0, len(flat) - 1)
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, len(flat) - 1)
    ordered = np.partition(flat, np.unique([below, above]))
    found = ordered[below] + (places - below) * (ordered[above].astype(np.float64) - ordered[below])
    return torch.from_numpy(found).to(values)


def places_of_largest(values: Tensor, count: int, first: bool = False) -> Tensor:
    """The places of the `count` largest of `values` `(M,)`, in no order.

    Args:
        values: see above.
        count: from 1 to M.
        first: of equal values take those that come first, as a stable sort downwards has them; otherwise the last.
    """
    threshold = values.kthvalue(len(values) - count + 1).values
    larger = (values > threshold).nonzero()[:, 0]
    equal = (values == threshold).nonzero()[:, 0]
    rest = count - len(larger)
    return torch.cat([larger, equal[:rest] if first else equal[len(equal) - rest :]])
