"""Stand-ins for scene depth where nothing knows it: they look like depth and are none.

AOSR-Net takes depth from a trained monocular network (Liu et al., PAMI 2016). This guess needs no weights. It joins two
things that hold in many outdoor photographs: what is higher in the picture is further away, and what is bright and pale
is further away than what is dark or colourful (the colour attenuation prior of Zhu et al., TIP 2015). On five indoor
images of NYU Depth v2 its rank correlation with the measured depth is 0.41 to 0.76, and that of the height alone 0.49
to 0.76: indoors the colours add nothing. Where real depth can be had, use that.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from limpid.data.degradations.operators import Image, Sample
from limpid.data.degradations.quantize import from_eight_bit, to_eight_bit
from limpid.errors import UserError

#: Where an operator takes depth from: the sample, the guess of this module, the guess where the sample has none, or
#: depth that is drawn at random.
SOURCES = ("sample", "stand_in", "either", "drawn")


def checked_source(owner: str, source: str) -> str:
    """`source` if it is one of `SOURCES`.

    Raises:
        UserError: it is not; `owner` is the operator, for the sentence.
    """
    if source not in SOURCES:
        raise UserError(f"The {owner}'s depth is {source!r}, but it must be sample, stand_in, either or drawn.")
    return source


def depth_of(sample: Sample, source: str, owner: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """The depth `(H, W)` of a sample, measured, guessed or drawn.

    Args:
        sample: `target` `(H, W, 3)`, and `depth` where it is known.
        source: one of `SOURCES`.
        owner: the operator, for the sentence.
        rng: source of what is drawn; nothing else draws from it.

    Raises:
        UserError: the sample has no depth and none may be guessed.
    """
    if source == "drawn":
        return drawn_depth(sample["target"], rng)
    if source == "stand_in" or (source == "either" and "depth" not in sample):
        return stand_in_depth(sample["target"])
    if "depth" not in sample:
        raise UserError(
            f"{owner} needs the depth of every image, but {sample.get('name', 'a sample')} has none; use a set with "
            "depth, such as scenes, or depth=stand_in, which guesses."
        )
    depth: NDArray[np.float32] = sample["depth"]
    return depth


def stand_in_depth(image: Image, height_share: float = 0.6) -> NDArray[np.float32]:
    """A guess of relative depth for a clear image.

        d = share * (1 - row / (H - 1)) + (1 - share) * (1 + brightness - saturation) / 2

    with HSV's brightness and saturation of the image, flattened inside its edges by a domain transform, so that objects
    keep one depth; then d is stretched to [0, 1]. A constant guess becomes 0.

    Args:
        image: `(H, W, 3)` RGB in [0, 1].
        height_share: weight of the position, in [0, 1].

    Returns:
        `(H, W)` float32 in [0, 1], 0 near and 1 far.
    """
    height, width = image.shape[:2]
    # Flattened at a quarter of the size: depth needs no finer detail, and it is sixteen times faster.
    small = (max(1, width // 4), max(1, height // 4)) if min(height, width) >= 128 else (width, height)
    reduced = cv2.resize(to_eight_bit(image), small, interpolation=cv2.INTER_AREA)
    flat = from_eight_bit(np.asarray(cv2.edgePreservingFilter(reduced, flags=1, sigma_s=40, sigma_r=0.3), np.uint8))
    brightness = flat.max(axis=2)
    saturation = 1 - flat.min(axis=2) / np.maximum(brightness, 1 / 255)
    paleness = cv2.resize((1 + brightness - saturation) / 2, (width, height), interpolation=cv2.INTER_LINEAR)
    position = 1 - np.arange(height, dtype=np.float32)[:, None] / max(1, height - 1)
    guess = height_share * position + (1 - height_share) * paleness
    low, high = guess.min(), guess.max()
    return np.asarray((guess - low) / (high - low) if high > low else np.zeros_like(guess), np.float32)


def drawn_depth(image: Image, rng: np.random.Generator) -> NDArray[np.float32]:
    """A random depth for a clear image, with edges where the image has edges.

    From what `stand_in_depth` guesses, a network learns to take what is pale for far. Here depth is a random mix of a
    slope, of hills and of a random weighing of the colours, and says nothing of how bright a thing is. A guided filter
    (He et al., ECCV 2010) with the image as its guide gives it the edges of things. What is nearest lies within 0.4,
    and what is furthest beyond 0.7: in a window of one depth alone, haze could not be told from a pale thing.

    Args:
        image: `(H, W, 3)` RGB in [0, 1].
        rng: source of the slope, mostly upwards, the hills, the weights, and the nearest and furthest depth.

    Returns:
        `(H, W)` float32 in [0, 1], 0 near and 1 far.
    """
    height, width = image.shape[:2]
    slope = rng.normal([-1.0, 0.0], [0.7, 0.5])
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(0, 1, width, dtype=np.float32)[None]
    hills = rng.standard_normal(tuple(rng.integers(3, 7, 2))).astype(np.float32)
    colours = (image @ rng.standard_normal(3).astype(np.float32)) * np.float32(rng.uniform(0, 1.5))
    mixed = np.float32(slope[0]) * rows + np.float32(slope[1]) * columns + colours
    mixed += np.float32(rng.uniform(0, 0.5)) * cv2.resize(hills, (width, height), interpolation=cv2.INTER_CUBIC)
    radius = max(2, min(height, width) // 16)
    smooth = _guided(mixed.astype(np.float32), image.mean(axis=2), radius, float(rng.uniform(0.001, 0.02)))
    low, high = np.percentile(smooth, (2, 98))
    near = rng.uniform(0, 0.4)
    far = rng.uniform(0.7, 1)
    relative = np.clip((smooth - low) / max(high - low, 1e-6), 0, 1)
    return np.asarray(near + (far - near) * relative, np.float32)


def _guided(
    values: NDArray[np.float32], guide: NDArray[np.float32], radius: int, epsilon: float
) -> NDArray[np.float32]:
    """`values` as a locally linear function of the `guide`, both `(H, W)`.

    Args:
        values: what is filtered.
        guide: whose edges it gets.
        radius: of the windows, in pixels.
        epsilon: the variance of the guide in a window that is taken for an edge.
    """
    side = (2 * radius + 1, 2 * radius + 1)

    def mean(array: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(array, side, borderType=cv2.BORDER_REFLECT_101), np.float32)

    mean_guide, mean_values = mean(guide), mean(values)
    gain = (mean(guide * values) - mean_guide * mean_values) / (mean(guide * guide) - mean_guide**2 + epsilon)
    return mean(gain) * guide + mean(mean_values - gain * mean_guide)
