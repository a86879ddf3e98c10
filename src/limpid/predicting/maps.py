"""What a prior found on its way, as files: depth and transmission as grey pictures, airlight as JSON."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from limpid.predicting.settings import MAPS
from limpid.store.atomic_io import write_json


def map_values(estimate: object, what: str) -> Tensor:
    """The values of a map: airlight `(3,)`; the others `(H, W)` in [0, 1], depth relative to the furthest point.

    Args:
        estimate: what a prior found in one image.
        what: a key of `MAPS`.
    """
    values: Tensor = getattr(estimate, MAPS[what])[0]
    if what == "airlight":
        return values
    if what == "depth":
        values = values / values.amax().clamp(min=1e-6)
    return values[0]


def write_map(path: Path, values: Tensor, made_by: str) -> None:
    """Write airlight as JSON, and other maps as 16-bit grey PNGs.

    Raises:
        UserError: the file cannot be written.
        OSError: likewise.
    """
    from limpid.data.photo_io import Photograph, write_photograph

    if path.suffix == ".json":
        write_json(path, {"airlight": [round(float(value), 6) for value in values], "made_by": made_by})
        return
    pixels = np.repeat(values.numpy()[..., None], 3, axis=2).astype(np.float32)
    write_photograph(path, pixels, Photograph(pixels, 65535, True, None, None, None), processed_by=made_by)
