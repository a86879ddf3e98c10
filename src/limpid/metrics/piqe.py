"""PIQE (Venkatanath et al., "Blind image quality evaluation using perception based features", 2015); no parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from limpid.metrics import images
from limpid.metrics.filters import pad_symmetric
from limpid.metrics.natural_scenes import normalised_luminance


def piqe(
    restored: Tensor,
    *,
    block: int = 16,
    segment: int = 6,
    activity: float = 0.1,
    flatness: float = 0.1,
    constant: float = 1.0,
) -> Tensor:
    """Share of distortion in the blocks that have any activity, with the constants of MATLAB's `piqe`.

    Args:
        restored: `(N, 3, H, W)` or `(N, 1, H, W)`, floating point in [0, 1] or uint8; rounded to 8 bit, scored in grey.
        block: side of the blocks in pixels; the image is mirrored at the right and at the bottom to whole blocks.
        segment: pixels of a stretch of a block's edge.
        activity: a block is active if its coefficients' variance exceeds this (T_U).
        flatness: a stretch of its edge is impaired if its standard deviation is below this (T_STD).
        constant: keeps the pooled score defined without active blocks (C of eq. 10).

    Returns:
        `(N,)` float64 in 0..100; lower is better. 100 where no block is active, as in a flat image; NaN for pixels
        that are not finite.

    Raises:
        UserError: an image has less than `block` pixels on a side.
    """
    levels = images.grey_levels(restored, metric="PIQE", least=block)

    def score(image: Tensor) -> Tensor:
        blocks = _blocks(image, block)
        variance = blocks.var((1, 2))
        active = variance > activity
        impaired = active & _impaired(blocks, segment, flatness)
        noisy = active & _noisy(blocks, variance.sqrt())
        distortion = torch.where(impaired, 1 - variance, 0) + torch.where(noisy, variance, 0)
        return 100 * (distortion.sum() + constant) / (constant + active.sum())

    return images.per_image(score, levels, flat=100.0)


def _blocks(image: Tensor, size: int) -> Tensor:
    """Normalised luminance of `(1, H, W)` grey levels, stretched to a maximum of 255, in `(B, size, size)` blocks."""
    whole = image
    for dim in (1, 2):
        whole = pad_symmetric(whole, dim, 0, -image.shape[dim] % size)
    stretched = images.round_half_up(255 * whole / whole.max().clamp_min(1))
    normalised = normalised_luminance(stretched[None], border="replicate")[0, 0]
    return normalised.unfold(0, size, size).unfold(1, size, size).flatten(0, 1)


def _impaired(blocks: Tensor, length: int, flatness: float) -> Tensor:
    """Whether any stretch of any of a block's four edges is flat (eq. 4-6): `(B,)`."""
    edges = torch.stack([blocks[:, 0], blocks[:, -1], blocks[:, :, 0], blocks[:, :, -1]], dim=1)
    return (edges.unfold(2, length, 1).std(-1) < flatness).flatten(1).any(1)


def _noisy(blocks: Tensor, deviation: Tensor) -> Tensor:
    """Whether a block's centre deviates from its surround as Gaussian noise would (eq. 7-8): `(B,)`.

    The surround lacks the columns right and left of the centre's right one, an index shift of the official code that
    the published scores contain.
    """
    middle = blocks.shape[-1] // 2
    centre = blocks[:, :, middle - 1 : middle + 1]
    surround = torch.cat([blocks[:, :, : middle - 1], blocks[:, :, middle : middle + 1], blocks[:, :, middle + 2 :]], 2)
    ratio = centre.std((1, 2)) / surround.std((1, 2))
    difference = (deviation - ratio).abs() / torch.maximum(deviation, ratio)
    return deviation > 2 * difference
