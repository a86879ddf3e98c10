"""Eight bits per channel: what is left of an image in a file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limpid.data.degradations.operators import Image, Sample, current


def to_eight_bit(image: Image) -> NDArray[np.uint8]:
    """An image in [0, 1] as grey levels 0..255: values outside are clipped, halves round up."""
    return np.floor(np.clip(image, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def from_eight_bit(levels: NDArray[np.uint8]) -> Image:
    """Grey levels 0..255 as float32 in [0, 1]; `to_eight_bit` gives them back exactly."""
    return levels.astype(np.float32) / np.float32(255)


class EightBit:
    """Rounds to the 256 grey levels of an image file; last in a chain whose images are compared with stored ones."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with `input` (H, W, 3) rounded to grey levels; draws nothing."""
        return sample | {"input": from_eight_bit(to_eight_bit(current(sample)))}
