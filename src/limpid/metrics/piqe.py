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
        whole = _whole_blocks(image, block)
        normalised = normalised_luminance(whole[None], border="replicate")[0, 0]
        # (rows of blocks, rows in a block, blocks in a row, columns in a block), of which no copy is made
        blocks = normalised.unflatten(0, (-1, block)).unflatten(2, (-1, block))
        sums, squares = blocks.sum(1), blocks.square().sum(1)
        variance = _variance(sums.sum(-1), squares.sum(-1), block**2)
        active = variance > activity
        impaired = active & _impaired(blocks, segment, flatness)
        noisy = active & _noisy(sums, squares, variance.sqrt())
        distortion = torch.where(impaired, 1 - variance, 0) + torch.where(noisy, variance, 0)
        return 100 * (distortion.sum() + constant) / (constant + active.sum())

    return images.per_image(score, levels, flat=100.0)


def _whole_blocks(image: Tensor, size: int) -> Tensor:
    """`(1, H, W)` grey levels, mirrored to whole blocks and stretched to a maximum of 255."""
    for dim in (1, 2):
        if missing := -image.shape[dim] % size:
            image = pad_symmetric(image, dim, 0, missing)
    most = image.max().clamp_min(1)
    return images.round_half_up(255 * image / most)


def _variance(total: Tensor, squares: Tensor, count: int) -> Tensor:
    """The variance of `count` values from their sum and that of their squares (of coefficients about zero)."""
    return ((squares - total.square() / count) / (count - 1)).clamp_min(0)


def _impaired(blocks: Tensor, length: int, flatness: float) -> Tensor:
    """Whether any stretch of any of a block's four edges is flat (eq. 4-6): `(rows, columns)` of blocks."""
    edges = torch.stack([blocks[:, 0], blocks[:, -1], blocks[..., 0].mT, blocks[..., -1].mT])
    stretches = edges.unfold(-1, length, 1)
    variance = _variance(stretches.sum(-1), stretches.square().sum(-1), length)
    return (variance < flatness**2).any(-1).any(0)


def _noisy(sums: Tensor, squares: Tensor, deviation: Tensor) -> Tensor:
    """Whether a block's centre deviates from its surround as Gaussian noise would (eq. 7-8), from its columns' sums.

    The surround lacks the columns right and left of the centre's right one, an index shift of the official code that
    the published scores contain.
    """
    size = sums.shape[-1]
    middle = size // 2
    centre = [middle - 1, middle]
    surround = [column for column in range(size) if column not in (middle - 1, middle + 1)]

    def spread(columns: list[int]) -> Tensor:
        some, of_squares = sums[..., columns].sum(-1), squares[..., columns].sum(-1)
        return _variance(some, of_squares, size * len(columns)).sqrt()

    ratio = spread(centre) / spread(surround)
    difference = (deviation - ratio).abs() / torch.maximum(deviation, ratio)
    return deviation > 2 * difference
