"""Terms that compare the restored image with the reference pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from limpid.inference import restored_image


class L1(nn.Module):
    """Mean absolute difference of the restored image and `batch["target"]`."""

    def forward(self, output: Any, batch: Mapping[str, Any]) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        return F.l1_loss(restored_image(output).float(), batch["target"])


class MSE(nn.Module):
    """Mean squared difference of the restored image and `batch["target"]`."""

    def forward(self, output: Any, batch: Mapping[str, Any]) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        return F.mse_loss(restored_image(output).float(), batch["target"])
