"""SSEQ, as LIVE released it: the spatial and spectral entropies of 8x8 blocks at three scales.

Liu, Liu, Huang and Bovik, "No-reference image quality assessment based on spatial and spectral entropies", 2014.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.metrics import images
from limpid.metrics.filters import half_size, one_thread
from limpid.metrics.parameters import SSEQ_LIVE, find
from limpid.metrics.support_vectors import Classifier, Regressor

_TOGETHER = 1024  # blocks that are worked on at a time, so that they stay in a CPU's cache


def sseq(restored: Tensor, *, parameters: str | Path | None = None, least: int = 33) -> Tensor:
    """Expected degradation over five kinds of distortion, each with its own regressor (section 3.3).

    Args:
        restored: `(N, 3, H, W)` or `(N, 1, H, W)`, floating point in [0, 1] or uint8; rounded to 8 bit, scored in grey.
        parameters: a `model.mat` of your own in place of LIVE's.
        least: the least side of an image in pixels; below 33 the coarsest scale has one block only.

    Returns:
        `(N,)` float64, about 0..100; lower is better. NaN for an image with pixels that are not finite, and for one
        whose entropies are the same in every block, as a flat one's.

    Raises:
        UserError: an image is too small, or LIVE's parameters are not to be had.
    """
    levels = images.grey_levels(restored, metric="SSEQ", least=least)
    model = _model(find(SSEQ_LIVE, "model.mat", parameters))

    def score(image: Tensor) -> Tensor:
        values = features(image).cpu()
        scaled = (2 * (values - model.low) / (model.high - model.low) - 1)[None]
        qualities = torch.cat([regressor(scaled) for regressor in model.regressors])
        return (50 * (model.classifier.probabilities(scaled)[0] @ qualities) + 50).to(image.device)

    return images.per_image(score, levels)


def features(levels: Tensor, *, scales: int = 3, block: int = 8) -> Tensor:
    """The 12 features of `(1, H, W)` grey levels: at each scale the mean and the skewness of both entropies."""
    parts, image = [], levels
    for scale in range(scales):
        if scale > 0:
            image = half_size(image, whole_levels=True)
        blocks = _blocks(image, block)
        for entropies in (spatial_entropy(blocks), spectral_entropy(blocks)):
            parts += [_trimmed_mean(entropies), _skewness(entropies)]
    return torch.stack(parts)


def _blocks(image: Tensor, size: int) -> Tensor:
    """`(B, size, size)` blocks of `(1, H, W)`, filled up with zeros at the right and at the bottom."""
    bottom, right = (-length % size for length in image.shape[-2:])
    padded = F.pad(image[0], (0, right, 0, bottom))
    return padded.unfold(0, size, size).unfold(1, size, size).flatten(0, 1)


@one_thread()
def spatial_entropy(blocks: Tensor, *, levels: int = 256) -> Tensor:
    """Entropy of the grey levels of each of `(B, h, w)` blocks, in bits: `(B,)` (eq. 1)."""
    flat = blocks.flatten(1).long()
    pixels = flat.shape[1]
    information = -torch.log2(torch.arange(pixels + 1, dtype=torch.float64, device=flat.device) / pixels)
    offsets = torch.arange(_TOGETHER, device=flat.device)[:, None] * levels

    def entropy(some: Tensor) -> Tensor:
        """The mean over pixels, instead of a sum over 256 levels of which most blocks lack most."""
        index = some + offsets[: len(some)]
        counts = index.flatten().bincount(minlength=len(some) * levels)
        return information[counts[index]].mean(1)

    return torch.cat([entropy(some) for some in flat.split(_TOGETHER)])


@one_thread()
def spectral_entropy(blocks: Tensor, *, nothing: float = 1e-8) -> Tensor:
    """Entropy of the power of each block's cosine coefficients, in bits: `(B,)` (eq. 2-4); zero for a flat block.

    Args:
        blocks: `(B, n, n)` grey levels.
        nothing: what the constant coefficient, and shares of the power that are zero, are replaced by.
    """
    basis = _cosines(blocks.shape[-1]).to(blocks.device)
    transform = torch.kron(basis, basis).T  # of a block's pixels in one row

    def entropy(some: Tensor) -> Tensor:
        power = (some @ transform).square_()
        power[:, 0] = nothing**2
        shares = power / power.sum(1, keepdim=True)
        shares = torch.where(shares == 0, nothing, shares)
        return -torch.xlogy(shares, shares).sum(1) / math.log(2)

    return torch.cat([entropy(some) for some in blocks.flatten(1).split(_TOGETHER)])


def _cosines(n: int) -> Tensor:
    """The orthonormal cosine transform (DCT-II) as a matrix `(n, n)`."""
    k = torch.arange(n, dtype=torch.float64)
    basis = torch.cos(math.pi / n * k[:, None] * (k + 0.5)) * math.sqrt(2 / n)
    basis[0] /= math.sqrt(2)
    return basis


def _trimmed_mean(values: Tensor, *, first: float = 0.2, last: float = 0.8) -> Tensor:
    """Mean of the middle of the sorted values (percentile pooling, section 3.2)."""
    ordered, n = values.sort().values, len(values)
    return ordered[math.ceil(first * n) - 1 : math.ceil(last * n)].mean()


def _skewness(values: Tensor) -> Tensor:
    """Third standardised moment, with the divisor n."""
    deviations = values - values.mean()
    return (deviations**3).mean() / deviations.square().mean() ** 1.5


class _Model(NamedTuple):
    """What LIVE trained: the features' ranges, which distortion it is, and how bad each would be."""

    low: Tensor
    high: Tensor
    classifier: Classifier
    regressors: list[Regressor]


@cache
def _model(path: Path) -> _Model:
    from scipy.io import loadmat

    content = loadmat(path, squeeze_me=True, struct_as_record=False)
    return _Model(
        low=torch.from_numpy(content["fmin"]),
        high=torch.from_numpy(content["fmax"]),
        classifier=_classifier(content["svmmodel"]),
        regressors=[_regressor(one) for one in content["svrmodel"]],
    )


def _dense(matrix: object) -> Tensor:
    return torch.from_numpy(matrix.toarray() if hasattr(matrix, "toarray") else matrix).double()


def _regressor(libsvm: Any) -> Regressor:
    return Regressor(_dense(libsvm.SVs), _dense(libsvm.sv_coef), float(libsvm.rho), float(libsvm.Parameters[3]))


def _classifier(libsvm: Any) -> Classifier:
    """LIBSVM keeps a vector's coefficients against the other classes in their order, its own class left out."""
    classes, own = int(libsvm.nr_class), _dense(libsvm.sv_coef)
    class_of = torch.arange(classes).repeat_interleave(torch.as_tensor(libsvm.nSV.astype(int)))
    coefficients = torch.zeros(classes, classes, len(own), dtype=torch.float64)
    tables = torch.zeros(3, classes, classes, dtype=torch.float64)
    for pair, (i, j) in enumerate(torch.combinations(torch.arange(classes)).tolist()):
        coefficients[i, j] = own[:, j - 1] * (class_of == i) + own[:, i] * (class_of == j)
        tables[:, i, j] = torch.tensor([libsvm.rho[pair], libsvm.ProbA[pair], libsvm.ProbB[pair]])
    order = torch.as_tensor(libsvm.Label.astype(int)).argsort()
    return Classifier(_dense(libsvm.SVs), coefficients, tables[0], tables[1:], float(libsvm.Parameters[3]), order)
