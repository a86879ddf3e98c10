"""From what a network returns to the restored image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def restored_image(output: Any) -> Tensor:
    """The image `(N, 3, H, W)` in a network's output: the output itself, or the `.restored` of its named tuple."""
    image: Tensor = output if isinstance(output, Tensor) else output.restored
    return image


@torch.no_grad()
def restore(network: nn.Module, x: Tensor) -> Tensor:
    """The image that `network` restores from `x` `(N, 3, H, W)` in [0, 1]: whole, in float32, clamped to [0, 1]."""
    with torch.autocast(x.device.type, enabled=False):
        return restored_image(network(x.float())).float().clamp(0.0, 1.0)
