"""Cycle-Dehaze: a small image is dehazed, and a Laplacian pyramid of the hazy image enlarges it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.networks.resnet_generator import ResnetGenerator
from limpid.ranges import Channels, Layers, NonNegativeFloat, Pixels

#: The filter of the Gaussian pyramid along either axis (Burt and Adelson, 1983, with a = 3/8).
BINOMIAL = (1 / 16, 1 / 4, 3 / 8, 1 / 4, 1 / 16)


class CycleDehaze(nn.Module):
    """The generator from hazy to clear of Cycle-Dehaze (Engin et al., CVPRW 2018): 7,837,699 parameters.

    In evaluation an image of any size is brought to `side` x `side` pixels, dehazed there, and enlarged with the
    details of the hazy image (section 3.3). In training it is dehazed as it comes; see `data.resize`.

    Args:
        channels: of the first layer.
        blocks: residual blocks.
        side: of the square that is dehazed, in pixels, a multiple of 4.
        levels: of the Laplacian pyramid.
        weight_std: deviation of the initial weights.

    Raises:
        UserError: there is no square of that side.
    """

    sees_whole_image = True  # `limpid.inference` does not cut its images: a part would be brought to the same square

    def __init__(
        self,
        channels: Channels = 64,
        blocks: Layers = 6,
        side: Pixels = 256,
        levels: Layers = 4,
        weight_std: NonNegativeFloat = 0.02,
    ) -> None:
        super().__init__()
        if side < 16 or side % 4:
            raise UserError(f"network.side is {side}, but it must be a multiple of 4, from 16 on.")
        self.generator = ResnetGenerator(3, 3, channels, halvings=2, blocks=blocks, weight_std=weight_std)
        self.side, self.levels = side, levels

    def forward(self, x: Tensor) -> Tensor:
        """The dehazed image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape.

        In evaluation edges may leave [0, 1].
        """
        if self.training:
            return self.generate(x)
        square = bicubic(x, (self.side, self.side))
        return enlarged(self.generate(square).to(x.dtype), x, self.levels)

    def generate(self, x: Tensor) -> Tensor:
        """What the generator makes of `x` `(N, 3, H, W)` in [0, 1] at its own size, in [0, 1]; sides multiples of 4."""
        image: Tensor = (self.generator(2 * x - 1) + 1) / 2
        return image


def enlarged(small: Tensor, guide: Tensor, levels: int) -> Tensor:
    """`small` `(N, 3, h, w)` at the size of `guide` `(N, 3, H, W)`, with the details of the guide.

    The guide is halved `levels` times. From the smallest of these on, the image is enlarged bicubically to the next and
    gets what that one has and its own half lacks (Cycle-Dehaze, section 3.3).
    """
    pyramid = [guide]
    for _ in range(levels):
        pyramid.append(halved(pyramid[-1]))
    image = small
    for coarse, fine in zip(pyramid[:0:-1], pyramid[-2::-1], strict=True):
        size = (fine.shape[-2], fine.shape[-1])
        image = bicubic(image, size).add_(fine).sub_(bicubic(coarse, size))
    return image


def halved(x: Tensor) -> Tensor:
    """Every second pixel of `x` `(N, C, H, W)`, from the first on, smoothed; the image goes on as its mirror image."""
    for dim in (-2, -1):
        length = x.shape[dim]
        middle = torch.arange(0, length, 2, device=x.device)
        total = torch.zeros_like(x.narrow(dim, 0, (length + 1) // 2))
        for offset, weight in zip(range(-2, 3), BINOMIAL, strict=True):
            place = middle + offset
            place = torch.where(place < 0, -1 - place, place)
            place = torch.where(place < length, place, 2 * length - 1 - place).clamp(min=0)
            total = total + weight * x.index_select(dim, place)
        x = total
    return x


def bicubic(x: Tensor, size: tuple[int, int]) -> Tensor:
    """`x` `(N, C, H, W)` resampled bicubically to `size`, with antialiasing where it becomes smaller."""
    return F.interpolate(x, size, mode="bicubic", antialias=True)
