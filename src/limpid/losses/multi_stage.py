"""A pixel term for networks that restore an image several times over: every stage is supervised at its own size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.losses.charbonnier import stage_images
from limpid.losses.step import LossTerm, Step
from limpid.networks.deep_deblur import half_size
from limpid.networks.padding import pad_to_multiple

_DISTANCES = {"l1": F.l1_loss, "l2": F.mse_loss}
_SHRINKS = ("gaussian", "stride", "corners")
_MOST_HALVINGS = 8


class StageDistance(LossTerm):
    """The distance of every stage's image to the target, made as small as that stage, summed over the stages.

    RESCAN's stages (Li et al., ECCV 2018) are all of the image's size. Those of SRN (Tao et al., CVPR 2018) and of
    DeepDeblur (Nah et al., CVPR 2017) grow from coarse to fine; `shrink` says how their authors make the target
    smaller, which is how the network makes its input smaller. A network without stages is compared by its restored
    image alone.

    Args:
        distance: ``l1``, the mean absolute difference, or ``l2``, the mean squared difference.
        shrink: ``gaussian`` for a Gaussian pyramid (DeepDeblur), ``stride`` for every second pixel of every second row
            (SRN), ``corners`` for bilinear interpolation between the corners (FAMED-Net). It plays no part where all
            stages have the target's size.

    Raises:
        UserError: `distance` or `shrink` is none of these, or (when called) a stage has a size that halving the
            target does not give.
    """

    def __init__(self, distance: str = "l2", shrink: str = "gaussian") -> None:
        super().__init__()
        if distance not in _DISTANCES or shrink not in _SHRINKS:
            raise UserError(
                f"The stages' distance is {distance!r} and their shrink {shrink!r}; choose distance from "
                f"{', '.join(_DISTANCES)} and shrink from {', '.join(_SHRINKS)}."
            )
        self.distance, self.shrink = distance, shrink

    def forward(self, step: Step) -> Tensor:
        """The sum over stages of the mean over pixels and channels, in float32."""
        images = stage_images(step.output)
        targets = targets_of_stages(step.reference, [tuple(image.shape[-2:]) for image in images], self.shrink)
        measure = _DISTANCES[self.distance]
        pairs = zip(images, targets, strict=True)
        return torch.stack([measure(image.float(), target) for image, target in pairs]).sum()


def targets_of_stages(target: Tensor, sizes: list[tuple[int, ...]], shrink: str) -> list[Tensor]:
    """`target` `(N, C, H, W)` at each of `sizes`, (H, W) halved any number of times and rounded up.

    Args:
        target: the whole reference.
        sizes: (height, width) of each stage.
        shrink: as in `StageDistance`.

    Raises:
        UserError: a size is not one that halving gives.
    """
    halvings = [_halvings(target, size) for size in sizes]
    with torch.autocast(target.device.type, enabled=False):
        if shrink == "stride":
            return [target[..., :: 2**times, :: 2**times] for times in halvings]
        if shrink == "corners":
            return [F.interpolate(target.float(), size, mode="bilinear", align_corners=True) for size in sizes]
        # Padded once, for the coarsest, as the networks pad their input.
        pyramid = [pad_to_multiple(target.float(), 2 ** max(halvings))]
        for _ in range(max(halvings)):
            pyramid.append(half_size(pyramid[-1]))
        return [pyramid[times][..., : size[0], : size[1]] for times, size in zip(halvings, sizes, strict=True)]


def _halvings(target: Tensor, size: tuple[int, ...]) -> int:
    """How often `target` is halved to have `size`."""
    height, width = target.shape[-2:]
    for times in range(_MOST_HALVINGS + 1):
        if size == (-(-height // 2**times), -(-width // 2**times)):
            return times
    raise UserError(
        f"A stage restores {size[0]}x{size[1]} pixels of a target of {height}x{width}, which halving does not give; "
        "supervise this network by its restored image alone, with loss=l1 or loss=mse."
    )
