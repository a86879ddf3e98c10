"""JPEG artefacts by coding and decoding (libjpeg's quality scale, as OpenCV and MATLAB have it)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from limpid.data.degradations.operators import Image, Sample, checked_range, current
from limpid.data.degradations.quantize import from_eight_bit, to_eight_bit
from limpid.errors import UserError
from limpid.ranges import PositiveFloat

SUBSAMPLING = {
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


def code_jpeg(image: Image, quality: int, subsampling: str = "4:2:0") -> Image:
    """The image after baseline JPEG coding and decoding, on 256 grey levels.

    Args:
        image: `(H, W, 3)` RGB in [0, 1].
        quality: 1 to 100.
        subsampling: of the colour channels: 4:2:0 (libjpeg's default and MATLAB's), 4:2:2 or 4:4:4.
    """
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SUBSAMPLING[subsampling]]
    coded = cv2.imencode(".jpg", np.ascontiguousarray(to_eight_bit(image)[..., ::-1]), settings)[1]
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return from_eight_bit(np.ascontiguousarray(decoded[..., ::-1]))


class Jpeg:
    """JPEG coding of a drawn quality.

    Args:
        quality: range of the quality within 1..100, drawn uniformly and rounded to a whole number.
        subsampling: of the colour channels: ``4:2:0``, ``4:2:2`` or ``4:4:4``.

    Raises:
        UserError: the range is not one, or the subsampling is none of these.
    """

    def __init__(self, quality: Sequence[PositiveFloat] = (10.0, 100.0), subsampling: str = "4:2:0") -> None:
        self.quality = checked_range("JPEG coding", "quality", quality, 100)
        if self.quality[0] < 1:
            raise UserError(f"The JPEG coding's quality is {list(quality)}, but it must lie within 1 and 100.")
        if subsampling not in SUBSAMPLING:
            raise UserError(
                f"The JPEG coding's subsampling is {subsampling!r}, but it must be one of {', '.join(SUBSAMPLING)}."
            )
        self.subsampling = subsampling

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with `input` coded and decoded, and `jpeg_quality`; draws the quality."""
        quality = round(rng.uniform(*self.quality))
        return sample | {"input": code_jpeg(current(sample), quality, self.subsampling), "jpeg_quality": quality}
