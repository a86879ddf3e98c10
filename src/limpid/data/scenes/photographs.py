"""The photographs inside scikit-image and scikit-learn, read from the packages' folders without any download.

One of them (the motorcycle, Scharstein et al., GCPR 2014) comes with measured disparity. The depth of all
others is invented, see `limpid.data.scenes.depth`.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from limpid.data.image_io import read_image
from limpid.data.scenes.arrays import Array, resized
from limpid.data.scenes.depth import invented_depth


class Photograph(NamedTuple):
    """Where a photograph lies inside a package; `disparity` is the file of its stereo offsets, if any."""

    package: str
    path: str
    disparity: str | None = None


#: Colour photographs of ordinary things, each in one split only.
PHOTOGRAPHS: dict[str, tuple[Photograph, ...]] = {
    "train": (
        Photograph("skimage", "data/astronaut.png"),
        Photograph("skimage", "data/chelsea.png"),
        Photograph("skimage", "data/rocket.jpg"),
        Photograph("skimage", "data/motorcycle_left.png", "data/motorcycle_disp.npz"),
    ),
    "val": (Photograph("sklearn", "datasets/images/flower.jpg"),),
    "test": (Photograph("skimage", "data/coffee.png"), Photograph("sklearn", "datasets/images/china.jpg")),
}

# Offset in pixels between the principal points of the motorcycle's two cameras, from the publisher's
# calibration at the size that scikit-image ships: depth = focal length x baseline / (disparity + offset).
_MOTORCYCLE_OFFSET = 31.086


def _file(package: str, path: str) -> Path | None:
    """The file inside an installed package, or None if the package or this version of it lacks it."""
    spec = find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((Path(f) / path for f in folders if (Path(f) / path).is_file()), None)


@cache
def installed(split: str) -> tuple[Photograph, ...]:
    """The photographs of a split that the installed packages have; others are left out silently."""
    return tuple(photograph for photograph in PHOTOGRAPHS[split] if _file(photograph.package, photograph.path))


@cache
def read_photograph(photograph: Photograph) -> tuple[Array, Array | None]:
    """Its image (H, W, 3) in [0, 1], and its depth (H, W) relative to the furthest point where measured."""
    file = _file(photograph.package, photograph.path)
    assert file is not None, photograph  # `installed` has looked
    measured = _file(photograph.package, photograph.disparity) if photograph.disparity else None
    return read_image(file), None if measured is None else _measured_depth(measured)


def _measured_depth(file: Path) -> Array:
    """Relative depth from a file of disparities; holes take the value of the nearest known pixel."""
    with np.load(file) as stored:
        disparity = stored["arr_0"].astype(np.float64)
    nearest_known = distance_transform_edt(~np.isfinite(disparity), return_distances=False, return_indices=True)
    depth = 1 / (disparity[tuple(nearest_known)] + _MOTORCYCLE_OFFSET)
    return (depth / depth.max()).astype(np.float32)


def crop_photograph(
    rng: np.random.Generator,
    photograph: Photograph,
    height: int,
    width: int,
    gamma: tuple[float, float] = (0.8, 1.25),
) -> tuple[Array, Array]:
    """A random part of a photograph at a random scale, perhaps mirrored, with its depth.

    Args:
        rng: source of all randomness.
        photograph: one of `installed`.
        height: rows of the result.
        width: columns of the result. Where this is more than the photograph has, it is enlarged and blurred.
        gamma: range of the exponent put on the values.

    Returns:
        The image (H, W, 3) in [0, 1] and its depth (H, W) in [0, 1], float32; the depth is measured for the
        motorcycle and INVENTED for the others.
    """
    image, measured = read_photograph(photograph)
    full = min(image.shape[0] / height, image.shape[1] / width)
    scale = full ** rng.random() if full > 1 else full
    rows, columns = max(1, int(height * scale)), max(1, int(width * scale))
    top, left = rng.integers(0, image.shape[0] - rows + 1), rng.integers(0, image.shape[1] - columns + 1)
    window = (slice(top, top + rows), slice(left, left + columns))
    shrinks = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    part = resized(image[window], height, width, shrinks)
    part = np.clip(part, 0, 1) ** rng.uniform(*gamma)
    if measured is None:
        depth = invented_depth(rng, height, width)
    else:
        depth = resized(measured[window], height, width, cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        part, depth = part[:, ::-1], depth[:, ::-1]
    return np.ascontiguousarray(part), np.ascontiguousarray(depth)
