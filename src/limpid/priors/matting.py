"""Soft matting: a rough map drawn to the edges of the image by Levin et al.'s matting Laplacian."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import cg
from torch import Tensor

#: Side of the windows, and their pixels.
SIDE = 3
COUNT = SIDE * SIDE


def soft_matting(
    image: Tensor,
    rough: Tensor,
    weight: float = 1e-4,
    epsilon: float = 1e-7,
    tolerance: float = 1e-3,
    iterations: int = 5000,
) -> Tensor:
    """Solve ``(L + weight U) t = weight rough`` (He et al. 2011, soft matting) by conjugate gradients.

    Cost and memory are high: some ten seconds and 1.5 gigabytes for 460 x 620.

    Args:
        image: `(3, H, W)` in [0, 1].
        rough: `(1, H, W)`, the map to refine; also where the iteration starts.
        weight: lambda, how closely `rough` is followed.
        epsilon: regulariser of the matting Laplacian.
        tolerance: residual, relative to the right side, at which the iteration stops.
        iterations: where it stops at the latest.
    """
    laplacian = matting_laplacian(image.cpu().double().numpy().transpose(1, 2, 0), epsilon)
    start = rough.cpu().double().numpy().ravel()
    system = (laplacian + weight * diags_array(np.ones(start.size))).tocsr()
    solution, _ = cg(
        system,
        weight * start,
        x0=start,
        rtol=tolerance,
        maxiter=iterations,
        M=diags_array(1 / system.diagonal()),
    )
    return torch.from_numpy(solution).to(rough).view_as(rough)


def matting_laplacian(image: np.ndarray, epsilon: float) -> csr_array:
    """The matting Laplacian of 3 x 3 windows (Levin et al., TPAMI 2008), `(HW, HW)`, symmetric.

    Args:
        image: `(H, W, 3)` in [0, 1], float64.
        epsilon: regulariser of the windows' colour covariance.
    """
    height, width, _ = image.shape
    pixels = height * width
    if min(height, width) < SIDE:
        return csr_array((pixels, pixels))  # no window fits: nothing ties neighbours together
    index = np.arange(pixels, dtype=np.int32).reshape(height, width)
    windows = np.lib.stride_tricks.sliding_window_view(index, (SIDE, SIDE)).reshape(-1, COUNT)
    colours = image.reshape(-1, 3)[windows]
    centred = colours - colours.mean(1, keepdims=True)
    covariance = centred.transpose(0, 2, 1) @ centred / COUNT + epsilon / COUNT * np.eye(3)
    affinity = (1 + centred @ np.linalg.solve(covariance, centred.transpose(0, 2, 1))) / COUNT
    rows = np.repeat(windows, COUNT, axis=1).ravel()
    columns = np.tile(windows, COUNT).ravel()
    return coo_array(((np.eye(COUNT) - affinity).ravel(), (rows, columns)), shape=(pixels, pixels)).tocsr()
