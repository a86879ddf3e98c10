"""How far a network looks."""

from __future__ import annotations

import torch
from torch import nn

from limpid.inference.whole import restored_image


@torch.no_grad()
def receptive_radius(network: nn.Module, size: int = 128, seed: int = 0) -> int | None:
    """The distance in pixels up to which one pixel of the input acts on the output; None where it acts on all of it.

    Measured, in float64: the middle pixel of a random image of `size` x `size` is changed. What changes the output by
    less than 1e-12 counts as nothing.
    """
    network = network.double().eval()
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(1, 3, size, size, generator=generator, dtype=torch.float64)
    changed = x.clone()
    middle = size // 2
    changed[..., middle, middle] = 1 - changed[..., middle, middle]
    difference = (restored_image(network(changed)) - restored_image(network(x))).abs().amax((0, 1)) > 1e-12
    touched = difference.nonzero()
    if len(touched) == 0:
        return 0
    reach = int((touched - middle).abs().max())
    return None if reach >= middle - 1 else reach
