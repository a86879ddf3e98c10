"""Real degraded images beside pairs, and what stands for them in data that has none."""

from __future__ import annotations

import sys

from torch import Tensor

from limpid.errors import printable
from limpid.models.batches import Batch
from limpid.models.restorer import Restorer

#: What is said once where a batch has no real images.
_STAND_IN = (
    "The data has no real degraded images beside its pairs (such as {name}); the degraded images of other pairs stand "
    "for them, without their references. data=reside_its_real has real ones."
)


def real_images(model: Restorer, batch: Batch) -> Tensor:
    """The real images of `batch`, or the degraded images of other pairs, which is said once and recorded by `model`."""
    if "real" in batch:
        return batch["real"]
    if "real_images" not in model.provenance:
        model.provenance["real_images"] = "none; degraded images of other pairs stood for them"
        if model.global_rank == 0:
            print(printable(_STAND_IN.format(name=batch["name"][0])), file=sys.stderr, flush=True)
    return batch["input"].roll(1, 0)
