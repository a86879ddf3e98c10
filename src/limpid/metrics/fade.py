"""FADE, the perceptual density of fog: how far a photograph's patches are from foggy and from fog-free ones.

Choi, You and Bovik, "Referenceless prediction of perceptual fog density and perceptual image defogging", 2015, with the
published statistics of its two corpora.

What the paper leaves open is as in the authors' program: features enter as log(1 + feature), the dark channel is of
single pixels, a patch, which has no covariance, gets the variance of its own twelve features in every entry of one, a
patch with a feature that has no value is left out of both mean distances, and contrast energy has the border and the
constants below. Scores of photographs without flat patches equal the program's to rounding.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from limpid.metrics import images
from limpid.metrics.filters import correlate, gaussian_mean, pad
from limpid.metrics.parameters import FADE_LIVE, find
from limpid.metrics.sseq import spatial_entropy

FEATURES = (
    "variance of the normalised luminance",
    "variance of its positive vertical products",
    "variance of its negative vertical products",
    "sharpness",
    "coefficient of variation of the sharpness",
    "contrast energy, grey",
    "contrast energy, yellow-blue",
    "contrast energy, red-green",
    "entropy",
    "dark channel",
    "saturation",
    "colourfulness",
)
# Of contrast energy, from Groen et al. 2013: the filters' scale in pixels, the gain, the noise of each channel in grey
# levels, and how much above the noise a response must lie to count.
_SCALE = 3.25
_GAIN = 0.1
_NOISE = (255 * 9.225496406318721e-4, 255 * 8.969246659629488e-4, 255 * 2.069284034165411e-4)
_LEAST = 1e-7
# What remains of a grey level less a mean of equal ones, in levels: rounding.
_ROUNDING = 1e-9


def fade(restored: Tensor, *, parameters: str | Path | None = None, patch: int = 8) -> Tensor:
    """Perceptual fog density: the distance from fog-free photographs by that from foggy ones plus one.

    Args:
        restored: `(N, 3, H, W)` in colour, floating point in [0, 1] or uint8; rounded to 8 bit. What does not fill a
            patch, at the right and at the bottom, is left out.
        parameters: a folder with `natural_fogfree_image_features_ps8.mat` and `natural_foggy_image_features_ps8.mat`
            of your own in place of LIVE's.
        patch: side of the patches in pixels; the published statistics are of 8.

    Returns:
        `(N,)` float64, zero or more; lower is better (less fog). NaN for an image whose patches all lack a value in one
        of `FEATURES`, as flat and black ones do, and for one with pixels that are not finite.

    Raises:
        UserError: an image is grey or smaller than two patches, or LIVE's parameters are not to be had.
    """
    levels = images.round_half_up(images.unit_range(restored) * 255)
    images.check_colour(levels, "FADE")
    images.check_size(levels, max(2 * patch, len(_second_derivative(_SCALE)) // 2), "FADE")
    corpora = _corpus("fogfree", parameters).to(levels), _corpus("foggy", parameters).to(levels)

    def score(image: Tensor) -> Tensor:
        values = features(image, patch)
        values = values[values.isfinite().all(1)]
        clear, foggy = (distances(values, corpus).mean() for corpus in corpora)
        return clear / (foggy + 1)

    return images.per_image(score, levels)


class Corpus(NamedTuple):
    """Mean `(12,)` and covariance `(12, 12)` of the features of a corpus's patches."""

    mean: Tensor
    covariance: Tensor

    def to(self, like: Tensor) -> Corpus:
        """The same on the device of `like`."""
        return Corpus(self.mean.to(like.device), self.covariance.to(like.device))


def distances(found: Tensor, corpus: Corpus) -> Tensor:
    """Mahalanobis-like distance of each patch `(B, 12)` from a corpus, `(B,)`: sqrt(d' inv((S + v 11') / 2) d).

    d is the patch less the corpus's mean, S the corpus's covariance, and v the variance of the patch's own features.
    The inverse is S's, updated by one rank (Sherman and Morrison 1950).
    """
    difference, own = found - corpus.mean, found.var(1)
    inverse = torch.linalg.pinv(corpus.covariance)
    towards = difference @ inverse
    correction = own * towards.sum(1).square() / (1 + own * inverse.sum())
    return (2 * ((towards * difference).sum(1) - correction)).clamp_min(0).sqrt()


def features(levels: Tensor, patch: int = 8) -> Tensor:
    """The features `FEATURES` of every patch, as log(1 + feature): `(3, H, W)` levels 0..255 to `(B, 12)`.

    NaN where a feature has no value: a variance of products in a patch that has none of that sign, as flat ones, and
    the coefficient of variation where a pixel's surroundings are black.
    """
    rows, columns = (size // patch for size in levels.shape[-2:])
    colour = levels[None, :, : rows * patch, : columns * patch]
    grey = images.grey_levels(colour / 255)

    def patches(values: Tensor) -> Tensor:
        return values.reshape(rows, patch, columns, patch).transpose(1, 2).flatten(0, 1).flatten(1)

    padded = pad(grey, 3, "replicate")
    mean, mean_square = gaussian_mean(torch.cat([padded, padded * padded]), 7, 7 / 6).chunk(2)
    sharpness = (mean_square - mean * mean).abs().sqrt()
    # Where all around is equal the program has a rounding error of one sign; its products are positive, as zeros here.
    difference = torch.where((grey - mean).abs() > _ROUNDING, grey - mean, 0.0)
    normalised = difference / (sharpness + 1)
    products = patches(normalised * normalised.roll(1, 2))
    red, green, blue = colour[0]
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    opponents = torch.stack([patches(red_green), patches(yellow_blue)])
    darkest, brightest = colour[0].amin(0), colour[0].amax(0)
    saturation = torch.where(brightest > 0, 1 - darkest / brightest, 0.0)
    columns_of_features = [
        patches(normalised).var(1),
        _variance(products, products >= 0),
        _variance(products, products < 0),
        patches(sharpness).mean(1),
        patches(sharpness / mean).mean(1),
        *(
            patches(contrast_energy(channel, noise)).mean(1)
            for channel, noise in zip((_luma(colour[0]), yellow_blue, red_green), _NOISE, strict=True)
        ),
        spatial_entropy(patches(grey)),
        patches(darkest / 255).mean(1),
        patches(saturation).mean(1),
        _length(opponents.std(2)) + 0.3 * _length(opponents.mean(2)),  # Hasler and Süsstrunk 2003
    ]
    return torch.stack(columns_of_features, 1).log1p()


def contrast_energy(channel: Tensor, noise: float, *, scale: float = _SCALE, gain: float = _GAIN) -> Tensor:
    """Responses of second derivatives of a Gaussian, rectified and normalised, less the noise: `(H, W)` to the same.

    With Z the length of the horizontal and vertical responses and a the largest Z of the image, it is
    aZ / (Z + a gain) - noise where that is more than 1e-7, else zero (Groen et al. 2013). Beyond a side lie the rows or
    columns next to it once more, in their order and not mirrored, as in the program.

    Args:
        channel: in grey levels.
        noise: a threshold.
        scale: standard deviation of the Gaussian in pixels; the filters reach three of them to either side.
        gain: the semi-saturation, as a share of the largest response.
    """
    weights = _second_derivative(scale)
    across = correlate(_continued(channel, len(weights), 1)[None, None], weights, -1)
    along = correlate(_continued(channel, len(weights), 0)[None, None], weights, -2)
    response = torch.hypot(across, along)[0, 0]
    largest = response.max()
    normalised = torch.where(largest > 0, response * largest / (response + largest * gain), 0.0)
    return torch.where(normalised - noise > _LEAST, normalised - noise, 0.0)


def _continued(channel: Tensor, taps: int, dim: int) -> Tensor:
    """`channel` with what a filter of `taps` needs on both sides of `dim`: its first and last taps/2 once more."""
    size, reach = channel.shape[dim], taps // 2
    before = channel.narrow(dim, 0, reach).narrow(dim, 2 * reach + 1 - taps, taps - 1 - reach)
    return torch.cat([before, channel, channel.narrow(dim, size - reach, reach)], dim)


@cache
def _second_derivative(scale: float) -> list[float]:
    """A Gaussian's second derivative from -3 scales on in steps of a pixel: no response to a constant, one to x²/2."""
    count = int(6 * scale) + 1
    x = torch.arange(count, dtype=torch.float64) - 3 * scale
    window = torch.exp(-x.square() / (2 * scale**2))
    second = (x.square() / scale**4 - 1 / scale**2) * window / window.sum()
    second = second - second.mean()
    return (second / (second * x.square() / 2).sum()).flip(0).tolist()  # a convolution's order


def _luma(colour: Tensor) -> Tensor:
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _length(pairs: Tensor) -> Tensor:
    return torch.hypot(pairs[0], pairs[1])


def _variance(values: Tensor, counted: Tensor) -> Tensor:
    """Variance of those values of each row that are counted, `(B,)`; zero of a single one, NaN of none."""
    count = counted.sum(1)
    mean = (values * counted).sum(1) / count  # NaN of none
    squares = ((values - mean[:, None]).square() * counted).sum(1)
    return squares / (count - 1).clamp_min(1)


@cache
def _load(path: Path, name: str) -> Corpus:
    from scipy.io import loadmat

    content = loadmat(path)
    return Corpus(torch.from_numpy(content[f"mu_{name}param"][0]), torch.from_numpy(content[f"cov_{name}param"]))


def _corpus(name: str, folder: str | Path | None) -> Corpus:
    file = f"natural_{name}_image_features_ps8.mat"
    return _load(find(FADE_LIVE, file, None if folder is None else Path(folder) / file), name)
