"""ROP+'s map of transmission: near the rough one, smooth, and with edges where the image has them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limpid.priors.base import within
from limpid.ranges import Layers, NonNegativeFloat, PositiveFloat

_LEAST = 1e-6  #: of weights that are divided by


class Smoothing:
    """Finds the map C of the least sum of three terms (Liu et al., TPAMI 2023).

        ``edge_weight * sum W |n DC - DI| + flatness * sum |DC| + fidelity / 2 * |C - C0|^2``

    D are differences to the next pixel, which go on at the opposite border, and ``W = exp(-edges |DI|)`` per channel.
    The map is found by the alternating direction method of multipliers.

    Args:
        edges: how soon an edge of the image counts as one of its own, which the map need not follow.
        edge_weight: of the distance between the map's edges and the image's.
        flatness: of the map's edges.
        fidelity: of the distance to the rough map.
        penalty: of the method.
        step: of its multipliers.
        iterations: the most there are.
        tolerance: relative change of the map below which they end.

    Raises:
        UserError: a number is too small.
    """

    def __init__(
        self,
        edges: NonNegativeFloat = 30.0,
        edge_weight: NonNegativeFloat = 5.0,
        flatness: NonNegativeFloat = 0.5,
        fidelity: NonNegativeFloat = 0.5,
        penalty: NonNegativeFloat = 10.0,
        step: PositiveFloat = 1.618,
        iterations: Layers = 10,
        tolerance: PositiveFloat = 5e-4,
    ) -> None:
        for name, value in (("edges", edges), ("edge_weight", edge_weight), ("flatness", flatness), ("step", step)):
            within(f"smoothing.{name}", value, 0)
        for name, value in (("fidelity", fidelity), ("penalty", penalty)):
            within(f"smoothing.{name}", value, _LEAST)  # they are divided by
        within("smoothing.iterations", iterations, 0)
        within("smoothing.tolerance", tolerance, 0)
        self.edges, self.edge_weight = edges, edge_weight
        self.flatness, self.fidelity = flatness, fidelity
        self.penalty, self.step = penalty, step
        self.iterations, self.tolerance = iterations, tolerance

    def __call__(self, image: Tensor, rough: Tensor, shares: Tensor) -> Tensor:
        """The smooth map `(H, W)` in [0, 1].

        Args:
            image: I, `(3, H, W)`.
            rough: C0, `(H, W)`.
            shares: n, the share of each channel in the transmission, `(3,)`.
        """
        smooth = rough.clone()
        divisor = self.fidelity + self.penalty * (shares.square().sum() + 1) * _spectrum(rough)
        to_image = image.new_zeros(3, 2, *rough.shape)  # multipliers of n DC - DI, and below of DC
        to_flat = image.new_zeros(2, *rough.shape)
        for _ in range(self.iterations):
            before, smooth = smooth, self._next(image, rough, shares, smooth, divisor, to_image, to_flat)
            if _length(smooth - before) <= self.tolerance * _length(before):
                break
        return smooth

    def _next(
        self,
        image: Tensor,
        rough: Tensor,
        shares: Tensor,
        smooth: Tensor,
        divisor: Tensor,
        to_image: Tensor,
        to_flat: Tensor,
    ) -> Tensor:
        """The map after one iteration; the multipliers are stepped in place."""
        beta, stride = self.penalty, self.step * self.penalty
        slope = _differences(smooth)
        total = self.fidelity * rough
        # One channel at a time: each has two maps of differences, and an image of 12 megapixels 100 MB in one map.
        for channel, share, multiplier in zip(image, shares, to_image, strict=True):
            steps = _differences(channel)
            weights = steps.abs().sum(0).mul_(-self.edges).exp_()
            apart = torch.mul(slope, share).sub_(steps).add_(multiplier, alpha=1 / beta)
            _shrink(apart, weights.mul_(self.edge_weight / beta))
            steps.add_(apart)
            _add_adjoint(total, steps, beta * float(share))
            _add_adjoint(total, multiplier, -float(share))
            multiplier.sub_(apart, alpha=stride)
        flat = slope.add_(to_flat, alpha=1 / beta)
        _shrink(flat, self.flatness / beta)
        _add_adjoint(total, flat, beta)
        _add_adjoint(total, to_flat, -1)
        to_flat.sub_(flat, alpha=stride)
        found = torch.fft.irfft2(torch.fft.rfft2(total).div_(divisor), s=total.shape).clamp_(0, 1)
        slope = _differences(found)
        to_flat.add_(slope, alpha=stride)
        for channel, share, multiplier in zip(image, shares, to_image, strict=True):
            multiplier.add_(slope, alpha=stride * float(share)).sub_(_differences(channel), alpha=stride)
        return found


def _length(values: Tensor) -> Tensor:
    """The Euclidean norm of all `values`; PyTorch's own takes several times as long in double precision."""
    flat = values.flatten()
    return torch.dot(flat, flat).sqrt()


def _differences(values: Tensor) -> Tensor:
    """What each value of `(H, W)` lacks to the one below it and to the one right of it: `(2, H, W)`."""
    down, right = steps = values.new_empty(2, *values.shape)
    torch.sub(values[1:], values[:-1], out=down[:-1])
    torch.sub(values[0], values[-1], out=down[-1])
    torch.sub(values[:, 1:], values[:, :-1], out=right[:, :-1])
    torch.sub(values[:, 0], values[:, -1], out=right[:, -1])
    return steps


def _add_adjoint(total: Tensor, steps: Tensor, factor: float) -> None:
    """Add `factor` times the adjoint of `_differences` at `steps` `(2, H, W)` to `total` `(H, W)`."""
    down, right = steps
    total.sub_(down, alpha=factor).sub_(right, alpha=factor)
    total[1:].add_(down[:-1], alpha=factor)
    total[0].add_(down[-1], alpha=factor)
    total[:, 1:].add_(right[:, :-1], alpha=factor)
    total[:, 0].add_(right[:, -1], alpha=factor)


def _shrink(steps: Tensor, by: Tensor | float) -> None:
    """Make each of the vectors in `steps` `(2, H, W)` shorter `by` so much."""
    length = torch.hypot(steps[0], steps[1]).clamp_(min=1e-12)
    steps.mul_((1 - by / length).clamp_(min=0))


def _spectrum(like: Tensor) -> Tensor:
    """The squared transfer function of both differences, at the frequencies of `torch.fft.rfft2`."""
    height, width = like.shape
    rows = torch.arange(height, dtype=like.dtype, device=like.device) * (math.pi / height)
    columns = torch.arange(width // 2 + 1, dtype=like.dtype, device=like.device) * (math.pi / width)
    return 4 * (rows.sin().square()[:, None] + columns.sin().square())
