"""NIQE, as LIVE released it.

Mittal, Soundararajan and Bovik, "Making a completely blind image quality analyzer", 2013.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from limpid.metrics import images
from limpid.metrics.filters import half_size
from limpid.metrics.natural_scenes import asymmetric_fit, gamma_ratio, normalised_luminance
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

    def score(image: Tensor) -> Tensor:
        return _distance(features(image, block), mean, covariance)

    return images.per_image(score, levels)


def features(levels: Tensor, block: int) -> Tensor:
    """The 36 features of every block at two scales: `(1, H, W)` grey levels to `(B, 36)`."""
    rows, columns = (size // block for size in levels.shape[-2:])
    image = levels[None, :, : rows * block, : columns * block]
    fine = _block_features(normalised_luminance(image, border="replicate"), rows, columns)
    coarse = _block_features(normalised_luminance(half_size(image), border="replicate"), rows, columns)
    return torch.cat([fine, coarse], dim=1)


def _block_features(normalised: Tensor, rows: int, columns: int) -> Tensor:
    """The 18 features of every block at one scale, `(B, 18)`: of the coefficients and of four neighbours' products."""
    height, width = normalised.shape[-2] // rows, normalised.shape[-1] // columns
    blocks = normalised.reshape(rows, height, columns, width).transpose(1, 2).flatten(0, 1)

    def fit(samples: Tensor) -> tuple[Tensor, ...]:
        shape, left, right, mean = asymmetric_fit(samples.flatten(1))
        scale = gamma_ratio(shape, 1, 3).sqrt()
        return shape, left * scale, right * scale, mean

    shape, left, right, _ = fit(blocks)
    columns_of_features = [shape, (left + right) / 2]
    for shift in _NEIGHBOURS:
        shape, left, right, mean = fit(blocks * blocks.roll(shift, (1, 2)))
        columns_of_features += [shape, mean, left, right]
    return torch.stack(columns_of_features, dim=1)


def _distance(blocks: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Mahalanobis-like distance of the Gaussian of `blocks` from the pristine one; without blocks that have no fit."""
    whole = blocks[blocks.isfinite().all(1)]
    if len(whole) == 0:
        return blocks.new_tensor(torch.nan)
    own = torch.cov(whole.T) if len(whole) > 1 else torch.zeros_like(covariance)
    difference = mean - blocks.nanmean(0)
    return (difference @ torch.linalg.pinv((covariance + own) / 2) @ difference).sqrt()


@cache
def _model(path: Path) -> tuple[Tensor, Tensor]:
    """Mean `(36,)` and covariance `(36, 36)` of the pristine photographs."""
    from scipy.io import loadmat

    content = loadmat(path)
    return torch.from_numpy(content["mu_prisparam"][0]), torch.from_numpy(content["cov_prisparam"])
