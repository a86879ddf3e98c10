"""Hybrid distortions: blur, noise and JPEG together, as RL-Restore's data has them; and DID-HY, with rain below them.

Yu et al., Crafting a toolchain for image restoration by deep reinforcement learning, CVPR 2018: facts of the generator
that its authors publish. Each distortion has ten bins of strength; one bin is drawn per distortion and the strength
uniformly inside it. With the bins k, m, n = 1..10, an image is mild, moderate or severe by k + m + n - 2. The order is
blur, noise, JPEG. DID-HY: Li et al., Learning disentangled feature representation for hybrid-distorted image
restoration (FDR-Net), ECCV 2020, section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from limpid.data.degradations.blur import gaussian_blur
from limpid.data.degradations.jpeg import code_jpeg
from limpid.data.degradations.noise import add_gaussian_noise
from limpid.data.degradations.operators import Chain, Operator, Sample, current
from limpid.data.degradations.rain import Rain
from limpid.data.degradations.scaling import imresize
from limpid.errors import UserError, nearest
from limpid.ranges import NonNegativeFloat, Pixels, PositiveFloat

BINS = 10
#: Classes by k + m + n - 2, ends included. `any` is every combination.
LEVELS = {"mild": (9, 11), "moderate": (12, 17), "severe": (18, 20), "any": (1, 28)}
#: Edges of the ten bins of the JPEG quality, from weak to strong.
QUALITY_EDGES = (100, 80, 60, 50, 40, 35, 30, 25, 20, 15, 10)

_MCU = 16  # side of the blocks that JPEG with 4:2:0 codes on its own


def bin_combinations(lowest: int, highest: int, bins: int = BINS) -> list[tuple[int, int, int]]:
    """All (k, m, n) within 1..`bins` with `lowest` <= k + m + n - 2 <= `highest`, in ascending order."""
    numbers = range(1, bins + 1)
    return [(k, m, n) for k, m, n in product(numbers, numbers, numbers) if lowest <= k + m + n - 2 <= highest]


def distort(
    image: np.ndarray, blur_sigma: float, noise_sigma: float, jpeg_quality: int, rng: np.random.Generator
) -> np.ndarray:
    """Blur (21 x 21, in pixels), noise (in grey levels of 0..255, clipped) and JPEG (4:2:0), in this order.

    Args:
        image: `(H, W, 3)` float32 in [0, 1]; so is the result, on 256 grey levels.
        blur_sigma: standard deviation of the blur in pixels.
        noise_sigma: standard deviation of the noise in grey levels.
        jpeg_quality: 1 to 100.
        rng: source of the noise.
    """
    return code_jpeg(add_gaussian_noise(gaussian_blur(image, blur_sigma), noise_sigma, rng), jpeg_quality)


def patch_corners(height: int, width: int, size: int, stride: int) -> list[tuple[int, int]]:
    """(top, left) of the patches of `size` x `size` on a grid of `stride` pixels from the first corner."""
    tops, lefts = range(0, height - size + 1, stride), range(0, width - size + 1, stride)
    return list(product(tops, lefts))


class HybridDistortion:
    """Blur, noise and JPEG of drawn bins.

    RL-Restore's training set is `level="moderate", scales=[1/2, 1/3, 1/4], patch=63, stride=56` of DIV2K's photographs:
    322 patches of one of 2040 x 1356.

    Args:
        level: ``mild``, ``moderate``, ``severe`` or ``any``. The combination of bins is drawn uniformly among those of
            the level.
        blur_most: upper end of the blur's ten equal bins of sigma, in pixels. The generator has 5; FDR-Net's section
            4.1 prints 10 for the same data.
        noise_most: upper end of the noise's ten equal bins of sigma, in grey levels.
        quality_edges: edges of the JPEG quality's ten bins, from weak to strong.
        scales: factors of the clean image's size, descending. One is drawn with a probability in proportion to its
            square, which is about the share that each scale has in the generator's patches. Each is reached from the
            one before by bicubic scaling, and the target is clipped to [0, 1] (the generator keeps its overshoot).
        patch: side of the square that is cut out, or None for the whole image. The result is that of degrading the
            whole image.
        stride: of the grid that patches lie on. The generator's file has 96 and says that the paper had 56.

    Raises:
        UserError: a setting is out of bounds.
    """

    def __init__(
        self,
        level: str = "moderate",
        blur_most: NonNegativeFloat = 5.0,
        noise_most: NonNegativeFloat = 50.0,
        quality_edges: Sequence[PositiveFloat] = QUALITY_EDGES,
        scales: Sequence[PositiveFloat] = (1.0,),
        patch: Pixels | None = None,
        stride: Pixels = 56,
    ) -> None:
        if level not in LEVELS:
            raise UserError(
                f"The hybrid distortion's level is {level!r}, but it must be one of {', '.join(LEVELS)}"
                f"{nearest(str(level), LEVELS)}."
            )
        if min(blur_most, noise_most) < 0 or stride < 1 or (patch is not None and patch < 1):
            raise UserError(
                f"The hybrid distortion's blur_most is {blur_most}, its noise_most {noise_most}, its patch {patch} and "
                f"its stride {stride}, but the first two must not be negative and the others at least 1."
            )
        edges = [float(edge) for edge in quality_edges]
        if len(edges) != BINS + 1 or edges != sorted(edges, reverse=True) or not 1 <= edges[-1] <= edges[0] <= 100:
            raise UserError(
                f"The hybrid distortion's quality_edges are {edges}, but they must be {BINS + 1} numbers within 1 and "
                "100, from high to low."
            )
        self.scales = [float(scale) for scale in scales]
        if not self.scales or min(self.scales) <= 0 or self.scales != sorted(self.scales, reverse=True):
            raise UserError(
                f"The hybrid distortion's scales are {list(scales)}, but must be numbers above 0, from high to low."
            )
        self.level = level
        self.patch = patch
        self.stride = stride
        self.combinations = bin_combinations(*LEVELS[level])
        self.edges = (np.linspace(0, blur_most, BINS + 1), np.linspace(0, noise_most, BINS + 1), np.array(edges))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with `input` distorted; images and maps in it are scaled and cut alike.

        Args:
            sample: `target` `(H, W, 3)`, and `input` where something was degraded before.
            rng: source of the scale, the patch's place, the bins, blur, noise and quality inside them, and the noise.

        Returns:
            The sample with `input`, `blur_sigma`, `noise_sigma`, `jpeg_quality` and `severity`, which is k + m + n - 2.

        Raises:
            UserError: the image is smaller than the patch.
        """
        weights = np.square(self.scales) / np.square(self.scales).sum()
        sample = self._scaled(sample, int(rng.choice(len(self.scales), p=weights)))
        corner = None if self.patch is None else self._corner(sample, rng)
        drawn = self.strengths(rng)
        strengths = drawn["blur_sigma"], drawn["noise_sigma"], drawn["jpeg_quality"]
        if corner is None:
            return sample | {"input": distort(current(sample), *strengths, rng)} | drawn
        # What lies further away than the blur's radius and a JPEG block does not reach the patch.
        assert self.patch is not None
        start = [max(0, (low - 2 * _MCU) // _MCU * _MCU) for low in corner]
        stop = [-(-(low + self.patch + 2 * _MCU) // _MCU) * _MCU for low in corner]
        around = current(sample)[start[0] : stop[0], start[1] : stop[1]]
        window = tuple(slice(low, low + self.patch) for low in corner)
        inside = tuple(slice(low - first, low - first + self.patch) for low, first in zip(corner, start, strict=True))
        cut = {k: v[window] if isinstance(v, np.ndarray) and v.ndim >= 2 else v for k, v in sample.items()}
        return cut | {"input": distort(around, *strengths, rng)[inside]} | drawn

    def strengths(self, rng: np.random.Generator) -> dict[str, Any]:
        """`blur_sigma`, `noise_sigma` and `jpeg_quality`, drawn from `rng`, and the `severity` of their bins."""
        bins = self.combinations[rng.integers(len(self.combinations))]
        ends = [(edges[k - 1], edges[k]) for k, edges in zip(bins, self.edges, strict=True)]
        blur, noise, quality = (float(a + rng.random() * (b - a)) for a, b in ends)
        return {"blur_sigma": blur, "noise_sigma": noise, "jpeg_quality": round(quality), "severity": sum(bins) - 2}

    def _scaled(self, sample: Sample, index: int) -> Sample:
        """The sample at the scale `index`, reached through those before."""
        ratios = np.array(self.scales[: index + 1]) / np.array([1.0, *self.scales[:index]])
        for ratio in ratios[ratios != 1]:
            sample = {
                k: np.clip(imresize(v, ratio), 0, 1) if isinstance(v, np.ndarray) and v.ndim >= 2 else v
                for k, v in sample.items()
            }
        return sample

    def _corner(self, sample: Sample, rng: np.random.Generator) -> tuple[int, int]:
        assert self.patch is not None
        height, width = current(sample).shape[:2]
        corners = patch_corners(height, width, self.patch, self.stride)
        if not corners:
            raise UserError(
                f"Image {sample.get('name', 'without a name')} is {width}x{height} at the drawn scale, smaller than "
                f"the hybrid distortion's patch of {self.patch}; set patch or scales to fit."
            )
        return corners[rng.integers(len(corners))]


class DidHy(Chain):
    """Rain, blur, noise and JPEG, as DID-HY has them.

    The paper adds blur, noise and JPEG to the rain of DID-MDN, and gives no ranges; those of RL-Restore are taken. On
    the publisher's own rainy pairs use `HybridDistortion` alone: it starts from their `input`.

    Args:
        rain: the operator that comes first; None is `Rain()`, which draws light, medium or heavy rain.
        level: of the hybrid distortion.
        blur_most: upper end of the blur's sigma in pixels.

    Raises:
        UserError: the level is none, or `blur_most` is negative.
    """

    def __init__(self, rain: Operator | None = None, level: str = "moderate", blur_most: float = 5.0) -> None:
        super().__init__([Rain() if rain is None else rain, HybridDistortion(level, blur_most)])
