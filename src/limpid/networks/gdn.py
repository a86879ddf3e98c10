"""Generalized divisive normalization: each channel divided by a learned pool of all channels, and its inverse form."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F


class _LowerBound(torch.autograd.Function):
    """``max(x, bound)`` whose gradient still reaches `x` below the bound wherever descent would raise `x`.

    The gradient of a plain maximum is 0 there, so that a parameter which once fell below could never return.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, bound: Tensor) -> Tensor:
        ctx.save_for_backward(x, bound)
        return torch.maximum(x, bound)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        x, bound = ctx.saved_tensors
        passes = (x >= bound) | (gradient < 0)
        return torch.where(passes, gradient, torch.zeros_like(gradient)), None


class GDN(nn.Module):
    """Generalized divisive normalization ``y_i = x_i / sqrt(beta_i + sum_j gamma_ij x_j^2)`` at each position.

    FDR-Net, equation 4, with its b as `beta` and its w_ji as `gamma[i, j]`; introduced by Ballé et al. (ICLR 2016).
    With `inverse` the root multiplies instead (FDR-Net, equation 7). That is the inverse of the division only for the
    same pool: the inverse form takes its pool from its own input, so that the two undo each other exactly where
    gamma is 0, and up to fifth order in a small input where beta is 1 and they share their parameters.

    beta and gamma are kept positive by their parametrisation: what is learned is ``sqrt(beta + pedestal)`` and
    ``sqrt(gamma + pedestal)``, bounded from below before it is squared back. The bound's gradient passes wherever
    descent leads back inside. The pool is computed in float32 (float64 for float64) also under autocast, because
    squares lose too much in 8 bits of mantissa; the result has the dtype of the input.

    With C channels it has ``C^2 + C`` parameters.

    Args:
        channels: C.
        inverse: multiply by the root of the pool instead of dividing by it.
        beta_min: smallest beta; with it the divisor is never 0.
        gamma_init: gamma starts as this multiple of the identity; beta starts at 1.
        pedestal: keeps the gradient of the square away from 0 where beta or gamma is 0.
    """

    def __init__(
        self,
        channels: int,
        inverse: bool = False,
        beta_min: float = 1e-6,
        gamma_init: float = 0.1,
        pedestal: float = 2.0**-36,
    ) -> None:
        super().__init__()
        self.inverse = inverse
        self.root_beta = nn.Parameter(torch.full((channels,), math.sqrt(1.0 + pedestal)))
        self.root_gamma = nn.Parameter(torch.sqrt(gamma_init * torch.eye(channels) + pedestal))
        bounds = {
            "pedestal": pedestal,
            "beta_bound": math.sqrt(beta_min + pedestal),
            "gamma_bound": math.sqrt(pedestal),
        }
        for name, value in bounds.items():
            self.register_buffer(name, torch.tensor(value), persistent=False)  # a setting, not a weight

    @property
    def beta(self) -> Tensor:
        """The offsets `(C,)`, at least `beta_min` up to rounding."""
        return self._positive(self.root_beta, self.get_buffer("beta_bound"))

    @property
    def gamma(self) -> Tensor:
        """The weights `(C, C)` of the squared channels (columns) in each channel's pool (rows), at least 0."""
        return self._positive(self.root_gamma, self.get_buffer("gamma_bound"))

    def _positive(self, root: Tensor, bound: Tensor) -> Tensor:
        bounded: Tensor = _LowerBound.apply(root, bound)
        return bounded.square() - self.get_buffer("pedestal")

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` `(N, C, H, W)`; the result has its shape and dtype."""
        with torch.autocast(x.device.type, enabled=False):
            wide = x if x.dtype == torch.float64 else x.float()
            gamma, beta = self.gamma.to(wide.dtype), self.beta.to(wide.dtype)
            pool = F.conv2d(wide.square(), gamma[:, :, None, None], beta)
            root = pool.sqrt() if self.inverse else pool.rsqrt()
            return (wide * root).to(x.dtype)

    def extra_repr(self) -> str:
        """The settings that `print` shows."""
        return f"{self.root_beta.numel()}, inverse={self.inverse}"
