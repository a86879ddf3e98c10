"""MPRNet's recipe: Charbonnier's penalty on the image and on its edges, for every stage a network supervises."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.inference import NetworkOutput, restored_image
from limpid.losses.step import LossTerm, Step
from limpid.ranges import FiniteFloat, PositiveFloat


def stage_images(output: NetworkOutput) -> Sequence[Tensor]:
    """The images that a network supervises: the `.stages` of its named tuple, or else the restored image alone."""
    stages: Sequence[Tensor] = getattr(output, "stages", None) or (restored_image(output),)
    return stages


def charbonnier(difference: Tensor, epsilon: float) -> Tensor:
    """Mean of ``sqrt(difference^2 + epsilon^2)``, an absolute value that is smooth at 0; in float32."""
    return (difference.float().square() + epsilon**2).sqrt().mean()


class Charbonnier(LossTerm):
    """Charbonnier's penalty of restored image minus target (MPRNet, equation 3), summed over the stages.

    Args:
        epsilon: where the penalty turns from quadratic to linear, in units of the image.
    """

    def __init__(self, epsilon: PositiveFloat = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, step: Step) -> Tensor:
        """The sum over stages of the mean over pixels and channels, in float32."""
        values = [charbonnier(image.float() - step.reference, self.epsilon) for image in stage_images(step.output)]
        return torch.stack(values).sum()


class Edge(LossTerm):
    """Charbonnier's penalty of the difference of edges (MPRNet, equation 4), summed over the stages.

    The edges of an image are the finest level of its Laplacian pyramid (Burt and Adelson, 1983): what is lost when the
    image is smoothed, halved and enlarged again.

    Args:
        epsilon: as in `Charbonnier`.
        centre: the middle weight of the smoothing kernel of 5; the others are 1/4 and 1/4 - centre/2.
    """

    def __init__(self, epsilon: PositiveFloat = 1e-3, centre: FiniteFloat = 0.4) -> None:
        super().__init__()
        self.epsilon = epsilon
        line = torch.tensor([0.25 - centre / 2, 0.25, centre, 0.25, 0.25 - centre / 2])
        self.register_buffer("kernel", torch.outer(line, line).expand(3, 1, 5, 5).clone(), persistent=False)

    def forward(self, step: Step) -> Tensor:
        """The sum over stages of the mean over pixels and channels, in float32."""
        edges = self.edges(step.reference)
        values = [charbonnier(self.edges(image) - edges, self.epsilon) for image in stage_images(step.output)]
        return torch.stack(values).sum()

    def edges(self, image: Tensor) -> Tensor:
        """The edges of `image` `(N, 3, H, W)`, positive and negative, of its shape."""
        with torch.autocast(image.device.type, enabled=False):
            image = image.float()
            every_other = torch.zeros_like(image)
            every_other[..., ::2, ::2] = 4 * self._smooth(image)[..., ::2, ::2]
            return image - self._smooth(every_other)

    def _smooth(self, image: Tensor) -> Tensor:
        padded = F.pad(image, (2, 2, 2, 2), mode="replicate")
        return F.conv2d(padded, self.get_buffer("kernel").to(image), groups=3)
