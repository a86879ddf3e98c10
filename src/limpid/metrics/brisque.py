"""BRISQUE, as LIVE released it.

Mittal, Moorthy and Bovik, "No-reference image quality assessment in the spatial domain", 2012.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from limpid.errors import UserError
from limpid.metrics import images
from limpid.metrics.filters import half_size, one_thread
from limpid.metrics.natural_scenes import asymmetric_fit_of, moments, normalised_luminance, symmetric_fit_of
from limpid.metrics.parameters import BRISQUE_LIVE, find
from limpid.metrics.support_vectors import Regressor, read_libsvm


def brisque(
    restored: Tensor,
    *,
    variant: Literal["live", "matlab"] = "live",
    model: str | Path | None = None,
    ranges: str | Path | None = None,
    least: int = 16,
) -> Tensor:
    """Quality regressed from natural scene statistics at two scales.

    MATLAB's `brisque` is another model, which may not be redistributed, on features that are not published. With a
    model that you export yourself, `variant="matlab"` evaluates it on LIVE's features with replicated borders, not
    scaled to a range; this is a reading, and nobody has compared it with MATLAB.

    Args:
        restored: `(N, 3, H, W)` or `(N, 1, H, W)`, floating point in [0, 1] or uint8; rounded to 8 bit, scored in grey.
        variant: `live` or `matlab`.
        model: an `allmodel` of your own (LIBSVM's text) in place of LIVE's; for `matlab` a .mat file with the
            properties Alpha, Bias, SupportVectors and Scale of a brisqueModel.
        ranges: the `allrange` that goes with an `allmodel` (svm-scale's text).
        least: the least side of an image in pixels.

    Returns:
        `(N,)` float64, mostly in 0..100 but not bounded; lower is better. NaN for a flat image and one with pixels that
        are not finite. Where parts of an image are exactly flat the score hangs on rounding errors, in LIVE's own
        code too.

    Raises:
        UserError: an unknown variant, `matlab` without a model, an image that is too small, or parameters that are
            not to be had.
    """
    regressor, border, low, high = _machine(variant, model, ranges)
    levels = images.grey_levels(restored, metric="BRISQUE", least=least)
    low, high = low.to(levels.device), high.to(levels.device)

    def score(image: Tensor) -> Tensor:
        scaled = 2 * (features(image, border) - low) / (high - low) - 1
        return regressor(scaled[None])[0]

    return images.per_image(score, levels)


def features(levels: Tensor, border: str = "zero") -> Tensor:
    """The 36 features of `(1, H, W)` grey levels: 18 at each of two scales (table I)."""
    image = levels[None]
    return torch.cat([_scale_features(scale, border) for scale in (image, half_size(image))])


@one_thread()
def _scale_features(image: Tensor, border: str) -> Tensor:
    """The 18 features of `(1, 1, H, W)` grey levels: of the coefficients and of four neighbours' products."""
    normalised = normalised_luminance(image, border=border)[0, 0]
    above = torch.cat([normalised[-1:], normalised[:-1]])
    rows = max(1, (1 << 16) // normalised.shape[1])
    strips = zip(normalised.split(rows), above.split(rows), strict=True)
    total = torch.stack([_moments(*strip) for strip in strips]).sum(0)
    fit = asymmetric_fit_of(total[1:])
    products = torch.stack([fit.shape, fit.mean, fit.left.square(), fit.right.square()], dim=1)
    return torch.cat([torch.stack(symmetric_fit_of(total[0])), products.flatten()])


def _moments(rows: Tensor, above: Tensor) -> Tensor:
    """`moments` of some rows and of their products with four neighbours: `(5, 6)`."""
    # Whether a pixel is multiplied with the one below at the left or, this way, that one with it is all the same.
    neighbours = rows.roll(1, 1), above, above.roll(1, 1), above.roll(-1, 1)
    products = [rows * neighbour for neighbour in neighbours]
    return torch.stack([moments(samples.flatten()) for samples in (rows, *products)])


def _machine(
    variant: str, model: str | Path | None, ranges: str | Path | None
) -> tuple[Regressor, str, Tensor, Tensor]:
    """The regressor, the border of its features, and the values of these that it takes as -1 and 1."""
    if variant == "live":
        low, high = _ranges(find(BRISQUE_LIVE, "allrange", ranges))
        return read_libsvm(find(BRISQUE_LIVE, "allmodel", model)), "zero", low, high
    if variant != "matlab":
        raise UserError(f"There is no BRISQUE variant named {variant!r}; the variants are 'live' and 'matlab'.")
    if model is None:
        raise UserError(
            "MATLAB's BRISQUE model may not be redistributed, so variant 'matlab' needs `model`, a .mat file that you "
            "export from your own brisqueModel (Alpha, Bias, SupportVectors, Scale); or use the variant 'live'."
        )
    if not Path(model).is_file():
        raise UserError(f"There is no BRISQUE model {str(model)!r}.")
    return _matlab_model(Path(model)), "replicate", torch.tensor(-1.0), torch.tensor(1.0)


@cache
def _ranges(path: Path) -> tuple[Tensor, Tensor]:
    """The least and greatest value of each feature in LIVE's training images, from svm-scale's text."""
    rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()[2:] if line.strip()]
    bounds = [list(map(float, row[1:])) for row in rows]
    low, high = torch.tensor(bounds, dtype=torch.float64).unbind(1)
    return low, high


@cache
def _matlab_model(path: Path) -> Regressor:
    """A brisqueModel: a Gaussian kernel of the features divided by Scale, plus Bias."""
    from scipy.io import loadmat

    content = loadmat(path)
    if missing := [name for name in ("Alpha", "Bias", "SupportVectors", "Scale") if name not in content]:
        raise UserError(f"The BRISQUE model {str(path)!r} has no {' and no '.join(missing)}.")
    return Regressor(
        vectors=torch.from_numpy(content["SupportVectors"].astype(float)),
        coefficients=torch.from_numpy(content["Alpha"].astype(float).ravel()),
        rho=-float(content["Bias"].item()),
        gamma=float(content["Scale"].item()) ** -2,
    )
