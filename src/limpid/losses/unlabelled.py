"""Terms that judge what a network makes of real degraded images, which have no references.

SSID (Li et al., IEEE TIP 29, 2020): the dark channel of a clear image is nearly black, and its gradients are sparse.
Its release adds up the images of a batch; means do not depend on how many images, batches or processes share a step.
DA-Net (Shao et al., CVPR 2020) takes means over pixels too.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.inference import restored_image
from limpid.losses.step import LossTerm, Step
from limpid.ranges import Pixels


def _of_real(step: Step) -> Tensor:
    """The restored real images of `step`, float32."""
    assert step.real_output is not None
    return restored_image(step.real_output).float()


class DarkChannel(LossTerm):
    """``-sum (1 - dark)`` over all pixels of a restored real image: the sum of the dark channel, the mean over images.

    Args:
        patch: side of the window of the dark channel in pixels, odd; cut at the border.
    """

    requires = frozenset({"real_output"})

    def __init__(self, patch: Pixels = 7) -> None:
        super().__init__()
        self.patch = patch

    def forward(self, step: Step) -> Tensor:
        """The mean over the batch, in float32; below 0 where the images are not white."""
        dark = dark_channel(_of_real(step), self.patch)
        return -(1 - dark).sum() / len(dark)


class MeanDarkChannel(DarkChannel):
    """The mean over all pixels of the dark channel of a restored real image (DA-Net, CVPR 2020, section 3.3).

    Args:
        patch: side of the window of the dark channel in pixels, odd; cut at the border.
    """

    def forward(self, step: Step) -> Tensor:
        """The mean over the batch, in float32."""
        return dark_channel(_of_real(step), self.patch).mean()


def dark_channel(images: Tensor, patch: int) -> Tensor:
    """The least value of any channel in a window around each pixel, `(N, 1, H, W)` of `images` `(N, C, H, W)`."""
    return -F.max_pool2d(-images.amin(1, keepdim=True), patch, stride=1, padding=patch // 2)


class TotalVariation(LossTerm):
    """The sum of absolute differences of neighbours in a restored real image in [-1, 1]; the mean over images.

    Before the first row and the first column there are zeros, the grey of [-1, 1], as in the release.
    """

    requires = frozenset({"real_output"})

    def forward(self, step: Step) -> Tensor:
        """The mean over the batch, in float32."""
        images = 2 * _of_real(step) - 1
        down = images - F.pad(images, (0, 0, 1, 0))[..., :-1, :]
        right = images - F.pad(images, (1, 0))[..., :-1]
        return torch.stack([down.abs().sum(), right.abs().sum()]).sum() / len(images)


class MeanTotalVariation(LossTerm):
    """``mean |d x| + mean |d y|`` of a restored real image in [0, 1], of neighbouring pixels (DA-Net, section 3.3)."""

    requires = frozenset({"real_output"})

    def forward(self, step: Step) -> Tensor:
        """The mean over the batch, in float32."""
        images = _of_real(step)
        return images.diff(dim=-1).abs().mean() + images.diff(dim=-2).abs().mean()
