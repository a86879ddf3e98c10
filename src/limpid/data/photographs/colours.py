"""Print colours and CIE Lab as sRGB."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: XYZ under the light D50 to linear sRGB, whose white is D65, adapted after Bradford (ICC.1:2022, annex E).
_XYZ_TO_RGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ],
    np.float32,
)
_D50 = np.array([0.9642, 1.0, 0.8249], np.float32)


def from_cmyk(inks: NDArray[Any], profile: bytes | None) -> tuple[NDArray[Any], str]:
    """Samples of sRGB, of the same type, and what is to be noted.

    Args:
        inks: `(H, W, 4)` uint8 or uint16 cyan, magenta, yellow and black; the highest is full ink.
        profile: the inks' ICC profile. Without one, each colour is what its ink and black leave of white.
    """
    if profile is not None:
        try:
            return _by_profile(inks, profile), ""
        except (OSError, ValueError, TypeError):  # what Pillow makes of a profile that is none of inks
            note = "holds print colours with a profile that cannot be used, and was converted without one"
            return _without_profile(inks), note
    return _without_profile(inks), "holds print colours without a profile, and was converted as if inks were ideal"


def _by_profile(inks: NDArray[Any], profile: bytes) -> NDArray[Any]:
    from PIL import Image, ImageCms

    eight = inks if inks.dtype == np.uint8 else (inks // 257).astype(np.uint8)  # the converter's depth
    try:
        converted = ImageCms.profileToProfile(
            Image.fromarray(np.ascontiguousarray(eight), "CMYK"),
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except ImageCms.PyCMSError as error:
        raise ValueError("it is no profile of inks") from error
    if converted is None:
        raise ValueError("it is no profile of inks")
    return np.asarray(converted)


def _without_profile(inks: NDArray[Any]) -> NDArray[Any]:
    highest = np.uint64(np.iinfo(inks.dtype).max)
    rgb = np.empty((*inks.shape[:2], 3), inks.dtype)
    for row, line in zip(rgb, inks, strict=True):  # row by row, to need little memory
        left = highest - line.astype(np.uint64)
        row[...] = (left[:, :3] * left[:, 3:] + highest // np.uint64(2)) // highest
    return rgb


def from_lab(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values of sRGB in [0, 1] of CIE L*a*b* under D50, `(H, W, 3)` with L* in [0, 100]."""
    y = (lab[..., 0] + 16) / 116
    ratios = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    ratios = np.where(ratios > 6 / 29, ratios**3, (ratios - 4 / 29) * 3 * (6 / 29) ** 2)
    linear = np.clip((ratios * _D50) @ _XYZ_TO_RGB.T, 0, 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return coded.astype(np.float32)


def without_alpha(samples: NDArray[Any], alpha: NDArray[np.unsignedinteger]) -> NDArray[Any]:
    """Colours `(H, W, channels)` that `alpha` `(H, W)` had multiplied, as they were; where it is 0, they are black."""
    opaque = np.float32(np.iinfo(alpha.dtype).max)
    highest = np.float32(1) if samples.dtype.kind == "f" else np.float32(np.iinfo(samples.dtype).max)
    rounding = np.float32(0 if samples.dtype.kind == "f" else 0.5)
    out = np.empty_like(samples)
    for row, line, cover in zip(out, samples, alpha, strict=True):
        share = np.maximum(cover, 1).astype(np.float32) / opaque
        row[...] = np.minimum(line.astype(np.float32) / share[:, None] + rounding, highest)
    return out
