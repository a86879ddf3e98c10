"""Augmentations that albumentations lacks, in its form: input, target and all other images of a sample get the same.

`InputAugmentation` is an operator instead: what it changes is the input alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import albumentations
import cv2
import numpy as np

from limpid.data.degradations.operators import Image, Sample, checked_range, current
from limpid.ranges import PositiveFloat, Share


class Saturation(albumentations.ImageOnlyTransform):
    """Multiplies the saturation of HSV by a drawn factor; colours that leave [0, 1] are clipped.

    Args:
        factor: range of the factor, drawn uniformly.
        p: how likely an image is changed.

    Raises:
        UserError: the range is not one.
    """

    def __init__(self, factor: Sequence[PositiveFloat] = (0.5, 1.5), p: Share = 1.0) -> None:
        super().__init__(p=p)
        self.factor = checked_range("saturation", "factor", factor)

    def get_params(self) -> dict[str, float]:
        """The factor of one sample."""
        return {"factor": self.py_random.uniform(*self.factor)}

    def apply(self, img: Image, factor: float, **params: object) -> Image:
        """The image `(H, W, 3)`, float32 RGB in [0, 1], with its saturation times `factor`."""
        scale = np.array([1, factor, 1], np.float32)
        hsv = np.asarray(cv2.cvtColor(img, cv2.COLOR_RGB2HSV), np.float32) * scale
        return np.clip(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32), 0, 1)


class InputAugmentation:
    """Changes the input alone, by a transform of albumentations: an operator for `data.input_noise`.

    Args:
        transform: of images alone.
    """

    def __init__(self, transform: albumentations.BasicTransform | albumentations.BaseCompose) -> None:
        self._compose = albumentations.Compose([transform])

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with another `input`, float32 in [0, 1]; draws the seed of all that is random in it."""
        self._compose.set_random_seed(int(rng.integers(2**31)))
        changed = self._compose(image=np.ascontiguousarray(current(sample), dtype=np.float32))["image"]
        return sample | {"input": np.clip(changed, 0, 1).astype(np.float32)}
