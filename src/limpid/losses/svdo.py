"""The loss that disentangles FDR-Net's channels: spectral value difference orthogonality, and the monitor beside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from limpid.errors import UserError
from limpid.losses.step import LossTerm, Step

#: How the Gram of the features may be scaled; see `gram`.
NORMALIZATIONS = ("none", "hw", "trace")


def _rows(features: Tensor) -> Tensor:
    """`(N, C, H, W)` as matrices `(N, C, H * W)`, in float32, or float64 where the features are."""
    return (features if features.dtype == torch.float64 else features.float()).flatten(2)


def gram(features: Tensor, normalize: str = "none") -> Tensor:
    """The Gram matrix ``F F^T`` `(N, C, C)` of `features` `(N, C, H, W)`, each channel a row of F.

    Args:
        features: of any floating dtype; computed in float32 or float64.
        normalize: ``none`` as FDR-Net's equation 5 prints it; ``hw`` divides by the number of positions; ``trace`` by
            the mean of the Gram's own diagonal, so that the scale of the features plays no part.
    """
    with torch.autocast(features.device.type, enabled=False):
        rows = _rows(features)
        product = rows @ rows.mT
        if normalize == "hw":
            return product / rows.shape[-1]
        if normalize == "trace":
            mean = product.diagonal(dim1=-2, dim2=-1).mean(-1)
            return product / mean.clamp_min(torch.finfo(product.dtype).tiny)[:, None, None]
        return product


def eigenvalue_spread(symmetric: Tensor) -> Tensor:
    """The largest minus the smallest eigenvalue `(N,)` of `symmetric` `(N, C, C)`.

    Where an extreme eigenvalue is repeated (up to rounding) the mean of its copies is taken: the value is the same,
    and the gradient, which has no unique value there, is finite and does not depend on the choice of eigenvectors.
    A matrix that is not finite gives NaN.
    """
    finite = symmetric.isfinite().all(-1).all(-1)
    identity = torch.eye(symmetric.shape[-1], dtype=symmetric.dtype, device=symmetric.device)
    values = torch.linalg.eigvalsh(torch.where(finite[:, None, None], symmetric, identity))
    rounding = symmetric.shape[-1] * torch.finfo(values.dtype).eps * values.detach().abs().amax(-1, keepdim=True)
    largest = _mean_where(values, values >= values[:, -1:] - rounding)
    smallest = _mean_where(values, values <= values[:, :1] + rounding)
    return torch.where(finite, largest - smallest, torch.nan)


def _mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum(-1) / chosen.sum(-1)


def svdo(features: Sequence[Tensor], normalize: str = "none") -> Tensor:
    """Spectral value difference orthogonality (FDR-Net, equation 5), summed over layers, averaged over the batch.

    For each layer and image ``(lambda_1 - lambda_2)^2`` with the largest and the smallest eigenvalue of the Gram of the
    features. It is 0 exactly where all channels are orthogonal and of one norm. The eigenvalues are exact, in
    float32 or float64; all layers of one width and dtype are decomposed in one call.

    Args:
        features: one tensor `(N, C, H, W)` per layer; C, H and W may differ between layers, N not.
        normalize: see `gram`.

    Returns:
        One number; 0 where there are no layers.
    """
    if not features:
        return torch.zeros(())
    alike: dict[tuple[int, torch.dtype], list[Tensor]] = {}
    for layer in features:
        matrices = gram(layer, normalize)
        alike.setdefault((matrices.shape[-1], matrices.dtype), []).append(matrices)
    squares = [eigenvalue_spread(torch.cat(matrices)).square().sum() for matrices in alike.values()]
    return torch.stack(squares).sum() / len(features[0])


def channel_correlation(features: Tensor) -> Tensor:
    """The mean absolute correlation of two different channels over the positions, per image: `(N,)`, in [0, 1].

    FDR-Net's figure 8 reads 0.272 before FDM and 0.164 after; whether the diagonal of ones is in those means is not
    said, here it is not. Pairs with a constant channel have no correlation and are left out; where no
    pair is left the result is NaN.

    Args:
        features: `(N, C, H, W)`.
    """
    with torch.autocast(features.device.type, enabled=False):
        rows = _rows(features)
        centred = rows - rows.mean(-1, keepdim=True)
        norms = torch.linalg.vector_norm(centred, dim=-1, keepdim=True)
        rounding = 8 * torch.finfo(rows.dtype).eps * torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
        varies = norms > rounding
        directions = torch.where(varies, centred / norms, 0.0)
        correlation = (directions @ directions.mT).abs().clamp_max(1.0)
        pairs = (varies & varies.mT) & ~torch.eye(rows.shape[1], dtype=torch.bool, device=rows.device)
        return _mean_where(correlation.flatten(1), pairs.flatten(1))


class SVDO(LossTerm):
    """The term of `svdo` on what the network returned as `features`; FDR-Net weighs it with 1e-5 (equation 8).

    A network that returns `features` but has no disentanglement layers (FDR-Net without FDM) adds 0.

    Args:
        normalize: ``none``, ``hw`` or ``trace``; see `gram`. As printed (``none``) the term's gradient is at first far
            above L1's and wants clipping; with ``hw`` at the printed weight it has no effect.

    Raises:
        UserError: `normalize` is none of the three, or (when called) the network returned no features.
    """

    def __init__(self, normalize: str = "none") -> None:
        super().__init__()
        if normalize not in NORMALIZATIONS:
            raise UserError(f"The SVDO term's normalize is {normalize!r}; choose one of {', '.join(NORMALIZATIONS)}.")
        self.normalize = normalize

    def forward(self, step: Step) -> Tensor:
        """One number, in float32 or float64."""
        features = getattr(step.output, "features", None)
        if features is None:
            raise UserError(
                "The SVDO term needs a network that returns the features of its disentanglement layers, as fdr does; "
                "choose network=fdr, or leave the term out with loss.terms.svdo.weight=0."
            )
        return svdo(features, self.normalize).to(step.restored.device)
