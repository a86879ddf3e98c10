"""Pixel terms of Uni-Removal whose reference is another output: a teacher's, or the clear image that went in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.inference import restored_image
from limpid.losses.edge import stage_images


class TeacherL1(nn.Module):
    """Mean absolute difference of the restored image and the teacher's, `batch["teacher_output"]` (equation 1).

    Args:
        all_stages: whether every stage is compared with the teacher's same stage, and summed; the paper's "restored
            image" is read as the last stage alone.
    """

    def __init__(self, all_stages: bool = False) -> None:
        super().__init__()
        self.all_stages = all_stages

    def forward(self, output: Any, batch: Mapping[str, Any]) -> Tensor:
        """The mean over all pixels and channels, in float32; no gradient reaches the teacher."""
        images = stage_images if self.all_stages else lambda o: (restored_image(o),)
        pairs = zip(images(output), images(batch["teacher_output"]), strict=True)
        return torch.stack([F.l1_loss(own.float(), other.detach().float()) for own, other in pairs]).sum()


class IdentityL1(nn.Module):
    """Mean absolute difference of a clear image and what the network makes of it (equation 8).

    The batch must hold the images `clear` and the network's `clear_output` for them.
    """

    def forward(self, output: Any, batch: Mapping[str, Any]) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        return F.l1_loss(restored_image(batch["clear_output"]).float(), batch["clear"])
