"""Support vector machines with a Gaussian kernel, as BRISQUE and SSEQ were published: evaluation only."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor


def kernel(features: Tensor, vectors: Tensor, gamma: float) -> Tensor:
    """`exp(-gamma |x - v|²)` of `(N, F)` features with each of `(V, F)` support vectors: `(N, V)`."""
    return torch.exp(-gamma * (features[:, None] - vectors).square().sum(-1))


@dataclass(frozen=True)
class Regressor:
    """`sum_v a_v k(x, v) - rho`.

    Attributes:
        vectors: `(V, F)` support vectors.
        coefficients: `(V,)`, the a_v.
        rho: the offset.
        gamma: of the kernel.
    """

    vectors: Tensor
    coefficients: Tensor
    rho: float
    gamma: float

    def __call__(self, features: Tensor) -> Tensor:
        """The regressed value of each row of `(N, F)` features: `(N,)`."""
        vectors, coefficients = self.vectors.to(features.device), self.coefficients.to(features.device)
        return kernel(features, vectors, self.gamma) @ coefficients - self.rho


@dataclass(frozen=True)
class Classifier:
    """One machine for each pair of classes, with a sigmoid that turns its decision into a probability.

    Attributes:
        vectors: `(V, F)` support vectors, class after class.
        coefficients: `(K, K, V)`: those of the pair i < j, zero for the vectors of other classes.
        rho: `(K, K)` offsets of the pairs.
        sigmoid: `(2, K, K)`: A and B of `1 / (1 + exp(A f + B))` (Platt 1999).
        gamma: of the kernel.
        order: `(K,)`, where the class with the least label stands, the one with the next, and so on.
    """

    vectors: Tensor
    coefficients: Tensor
    rho: Tensor
    sigmoid: Tensor
    gamma: float
    order: Tensor

    def probabilities(self, features: Tensor) -> Tensor:
        """The probability of each class, in the order of their labels: `(N, K)` for `(N, F)` features."""
        values = kernel(features, self.vectors.to(features.device), self.gamma).cpu()
        decisions = torch.einsum("nv,ijv->nij", values, self.coefficients) - self.rho
        pairwise = torch.sigmoid(-(self.sigmoid[0] * decisions + self.sigmoid[1]))
        return torch.stack([couple(one)[self.order] for one in pairwise]).to(features.device)


def couple(pairwise: Tensor, *, least: float = 1e-7, tolerance: float = 0.005, rounds: int = 100) -> Tensor:
    """Class probabilities from pairwise ones: the second method of Wu, Lin and Weng 2004, by their Algorithm 2.

    LIBSVM stops the iteration early, and published scores depend on where: this stops at the same place.

    Args:
        pairwise: `(K, K)`; above the diagonal, the probability of i where it is either i or j.
        least: pairwise probabilities are kept in [least, 1 - least].
        tolerance: the iteration ends when every component is within `tolerance / K`.
        rounds: at most so many sweeps.

    Returns:
        `(K,)`, summing to one.
    """
    classes = len(pairwise)
    upper = pairwise.clamp(least, 1 - least).triu(1)
    r = upper + (1 - upper).triu(1).T
    Q = -r.T * r
    Q.diagonal().copy_(r.square().sum(0) - r.diagonal().square())
    p = torch.full((classes,), 1 / classes, dtype=pairwise.dtype)
    for _ in range(rounds):
        Qp = Q @ p
        if (Qp - p @ Qp).abs().max() < tolerance / classes:
            break
        for t in range(classes):
            Qp = Q @ p
            p[t] += (p @ Qp - Qp[t]) / Q[t, t]
            p = p / p.sum()
    return p


def _sparse_vector(words: Sequence[str]) -> dict[int, float]:
    """The values of words such as ``3:0.5``, by column from 1 on; columns that are 0 are left out of such a text."""
    pairs = (word.split(":") for word in words)
    return {int(column): float(value) for column, value in pairs}


def _dense_vector(entry: Mapping[int, float], width: int) -> list[float]:
    return [entry.get(column, 0.0) for column in range(1, width + 1)]


@functools.cache
def read_libsvm(path: Path) -> Regressor:
    """A regression model in LIBSVM's text format."""
    header, _, body = path.read_text(encoding="ascii").partition("SV\n")
    settings = dict(line.split(maxsplit=1) for line in header.splitlines())
    rows = [line.split() for line in body.splitlines() if line.strip()]
    entries = [_sparse_vector(row[1:]) for row in rows]
    width = max(map(max, entries))
    vectors = [_dense_vector(entry, width) for entry in entries]
    return Regressor(
        vectors=torch.tensor(vectors, dtype=torch.float64),
        coefficients=torch.tensor([float(row[0]) for row in rows], dtype=torch.float64),
        rho=float(settings["rho"]),
        gamma=float(settings["gamma"]),
    )
