"""NIQE, as LIVE released it.

Mittal, Soundararajan and Bovik, "Making a completely blind image quality analyzer", 2013.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from limpid.metrics import images
from limpid.metrics.filters import half_size, one_thread
from limpid.metrics.natural_scenes import asymmetric_fit_of, gamma_ratio, moments, normalised_luminance
from limpid.metrics.parameters import NIQE_LIVE, find

_NEIGHBOURS = (0, 1), (1, 0), (1, 1), (1, -1)  # rows down, columns right: the pairs of section II.B


def niqe(restored: Tensor, *, block: int = 96, parameters: str | Path | None = None) -> Tensor:
    """Distance of an image's natural scene statistics from those of pristine photographs (eq. 10).

    Args:
        restored: `(N, 3, H, W)` or `(N, 1, H, W)`, floating point in [0, 1] or uint8; rounded to 8 bit and scored in
            grey. What does not fill a block, at the right and at the bottom, is left out.
        block: side of the blocks in pixels; the published model was fitted to 96.
        parameters: a `modelparameters.mat` of your own in place of LIVE's.

    Returns:
        `(N,)` float64; lower is better. NaN for a flat image and one with pixels that are not finite. Where parts of
        an image are exactly flat the score hangs on rounding errors, in LIVE's own code too.

    Raises:
        UserError: an image has less than `block` pixels on a side, or LIVE's parameters are not to be had.
    """
    levels = images.grey_levels(restored, metric="NIQE", least=block)
    mean, covariance = (value.to(levels.device) for value in _model(find(NIQE_LIVE, "modelparameters.mat", parameters)))

    def score(some: Tensor) -> Tensor:
        return torch.stack([_distance(blocks, mean, covariance) for blocks in _features(some, block)])

    return images.in_groups(score, levels)


def features(levels: Tensor, block: int) -> Tensor:
    """The 36 features of every block at two scales: `(1, H, W)` grey levels to `(B, 36)`."""
    return _features(levels[None], block)[0]


def _features(levels: Tensor, block: int) -> Tensor:
    """The same of each of `(N, 1, H, W)`: `(N, B, 36)`."""
    rows, columns = (size // block for size in levels.shape[-2:])
    image = levels[..., : rows * block, : columns * block]
    fine = _block_features(normalised_luminance(image, border="replicate"), rows, columns)
    coarse = _block_features(normalised_luminance(half_size(image), border="replicate"), rows, columns)
    return torch.cat([fine, coarse], dim=1).unflatten(0, (len(levels), -1))


@one_thread()
def _block_features(normalised: Tensor, rows: int, columns: int) -> Tensor:
    """The 18 features of every block at one scale: of the coefficients and of four neighbours' products.

    `(N, 1, H, W)` to `(N B, 18)`.
    """
    height, width = normalised.shape[-2] // rows, normalised.shape[-1] // columns
    blocks = normalised.view(-1, height, columns, width).transpose(1, 2)  # rows of blocks
    by_scale = []
    for some in blocks.split(max(1, (1 << 16) // (height * columns * width))):  # that stay in a CPU's cache
        own = some.flatten(0, 1)
        products = (own * own.roll(shift, (1, 2)) for shift in _NEIGHBOURS)
        by_scale.append(torch.stack([moments(samples.flatten(1)) for samples in (own, *products)], dim=1))
    shape, left, right, mean = asymmetric_fit_of(torch.cat(by_scale))  # (N B, 5) each
    scale = gamma_ratio(shape, 1, 3).sqrt()
    left, right = left * scale, right * scale
    coefficients = torch.stack([shape[:, 0], (left[:, 0] + right[:, 0]) / 2], dim=1)
    return torch.cat([coefficients, torch.stack([shape, mean, left, right], dim=2)[:, 1:].flatten(1)], dim=1)


def _distance(blocks: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Mahalanobis-like distance of the Gaussian of `blocks` from the pristine one; without blocks that have no fit."""
    whole = blocks[blocks.isfinite().all(1)]
    if len(whole) == 0:
        return blocks.new_tensor(torch.nan)
    own = torch.cov(whole.T) if len(whole) > 1 else torch.zeros_like(covariance)
    difference = mean - blocks.nanmean(0)
    return (difference @ torch.linalg.pinv((covariance + own) / 2, hermitian=True) @ difference).sqrt()


@cache
def _model(path: Path) -> tuple[Tensor, Tensor]:
    """Mean `(36,)` and covariance `(36, 36)` of the pristine photographs."""
    from scipy.io import loadmat

    content = loadmat(path)
    return torch.from_numpy(content["mu_prisparam"][0]), torch.from_numpy(content["cov_prisparam"])
