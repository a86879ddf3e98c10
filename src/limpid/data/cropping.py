"""Windows of samples, and their values: what is kept in a cache has the levels of the file until it is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from limpid.data.degradations.operators import current
from limpid.errors import UserError

if TYPE_CHECKING:
    from limpid.data.datasets.base import Sample


def random_crop(sample: Sample, size: int, rng: np.random.Generator) -> Sample:
    """The same random `size` x `size` window of every image and map in the sample.

    Args:
        sample: `input`, or `target` where nothing was degraded yet, and maps of the same size.
        size: side of the window in pixels.
        rng: source of its first row and first column, in this order.

    Raises:
        UserError: the image is smaller than the window.
    """
    height, width = current(sample).shape[:2]
    if height < size or width < size:
        raise UserError(
            f"Image {sample['name']} is {width}x{height}, smaller than the training crop of {size}; "
            f"set data.crop={min(height, width)} or less."
        )
    top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    window = (slice(top, top + size), slice(left, left + size))
    return {k: v[window] if isinstance(v, np.ndarray) and v.ndim >= 2 else v for k, v in sample.items()}


def in_unit_range(sample: Sample) -> Sample:
    """The sample with its images of 8 and 16 bit divided by 255 and 65535, as float32; others are as they were."""
    highest = {"uint8": np.float32(255), "uint16": np.float32(65535)}
    return {
        k: v.astype(np.float32) / highest[v.dtype.name] if isinstance(v, np.ndarray) and v.dtype.name in highest else v
        for k, v in sample.items()
    }
