"""4K-Dehazing: a grid of local affine transforms, found in a small image, that three guides read at full size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.padding import any_size
from limpid.ranges import Channels, Count, Pixels

#: Numbers of a local affine transform: three rows of three factors and an offset.
_TRANSFORM = 12
#: Rows of a strip of a large image, and how many around it are seen: more than the 5 that the convolutions look.
_STRIP, _AROUND = 128, 8


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each with batch normalisation and ReLU.

    Args:
        channels_in: of the input.
        channels_out: of the second convolution.
        middle: of the first; None for as many as of the second.
    """

    def __init__(self, channels_in: int, channels_out: int, middle: int | None = None) -> None:
        middle = middle or channels_out
        super().__init__(
            nn.Conv2d(channels_in, middle, 3, padding=1),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Conv2d(middle, channels_out, 3, padding=1),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )


class UNet(nn.Module):
    """A U-Net with five sizes that gives three channels in [0, 1].

    Args:
        channels: of the first level; they double up to eight times as many.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels
        self.inc = DoubleConv(3, c)
        self.down = nn.ModuleList([DoubleConv(c * i, c * o) for i, o in ((1, 2), (2, 4), (4, 8), (8, 8))])
        levels = ((16, 4, 8), (8, 2, 4), (4, 1, 2), (2, 1, 1))
        self.up = nn.ModuleList([DoubleConv(c * i, c * o, c * middle) for i, o, middle in levels])
        self.pre = nn.Conv2d(c, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Three channels `(N, 3, S, S)` in [0, 1], of `x` `(N, 3, S, S)`, S a multiple of 16."""
        features = [self.inc(x)]
        for level in self.down:
            features.append(level(F.max_pool2d(features[-1], 2)))
        y = features.pop()
        for level in self.up:
            larger = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=True)
            y = level(torch.cat([features.pop(), larger], 1))
        return torch.sigmoid(self.pre(y))


class Guide(nn.Sequential):
    """A plane in [-1, 1] from one channel of the image: where in the grid's depth each pixel reads.

    Args:
        channels: of the layers.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.PReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.PReLU(),
            nn.Conv2d(channels, 1, 1),
            nn.Tanh(),
        )


class Dehazing4K(nn.Module):
    """Multi-guided bilateral learning (Zheng et al., CVPR 2021): 34,547,655 parameters.

    A U-Net sees the image at `grid_side` and fills a grid of affine transforms of colours; another sees it at
    `image_side` and restores it there. At full size three guides, one for each channel of the image, read the grid;
    the transforms act on what the second restored, enlarged, and a few small layers make of the three results the two
    maps of ``J = q I - o + 1``. Large images go through the full-size part in strips, which changes nothing. It sees
    the whole image, however large.

    Args:
        channels: of the U-Nets' first level.
        guide_channels: of the guides' layers.
        grid: side of the grid, in each of its three directions.
        grid_side: side in pixels at which the grid is found.
        image_side: side in pixels at which the image is first restored.

    Raises:
        ValueError: a side is no multiple of 16, or the grid does not divide into rows of `grid_side` numbers.
    """

    sees_whole_image = True

    def __init__(
        self,
        channels: Channels = 64,
        guide_channels: Channels = 16,
        grid: Count = 16,
        grid_side: Pixels = 256,
        image_side: Pixels = 320,
    ) -> None:
        super().__init__()
        if grid_side % 16 or image_side % 16 or grid**3 * _TRANSFORM % (3 * grid_side):
            raise ValueError(
                f"The sides {grid_side} and {image_side} of 4K-Dehazing must be multiples of 16, and 4 x {grid}^3, the "
                f"numbers of its grid for each channel, a multiple of {grid_side}."
            )
        self.grid = grid
        self.grid_side, self.image_side = grid_side, image_side
        self.u_net, self.u_net_mini = UNet(channels), UNet(channels)
        self.guides = nn.ModuleList([Guide(guide_channels) for _ in range(3)])
        self.points = nn.ModuleList([nn.Conv2d(3, 3, 1) for _ in range(3)])
        self.p = nn.PReLU()
        # Of ``J = q I - o + 1``: o, and q from it.
        self.offset = nn.Sequential(nn.Conv2d(9, 16, 3, padding=1), nn.PReLU(), nn.Conv2d(16, 3, 1), nn.PReLU())
        wide, narrow = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)
        self.factor = nn.Sequential(wide, nn.PReLU(), narrow, nn.PReLU())
        self.unused = nn.PReLU()  # of the authors' release, which never applies it
        self.unused.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape; not clamped."""
        height, width = x.shape[-2:]
        grid = self.transforms(_bicubic(x, self.grid_side, self.grid_side))
        first = _bicubic(self.u_net_mini(_bicubic(x, self.image_side, self.image_side)), height, width)
        if self.training or any_size(x) or height <= _STRIP + _AROUND:
            return self._at_full_size(x, first, grid, rows(height, x))
        restored = torch.empty_like(x)
        places = rows(height, x)
        for top in range(0, height, _STRIP):
            seen = slice(max(0, top - _AROUND), top + _STRIP + _AROUND)
            strip = self._at_full_size(x[..., seen, :], first[..., seen, :], grid, places[seen])
            part = restored[..., top : top + _STRIP, :]
            part.copy_(strip[..., top - seen.start : top - seen.start + part.shape[-2], :])
        return restored

    def transforms(self, small: Tensor) -> Tensor:
        """The grid `(N, 12, D, h, w)` of affine transforms, from the image at the grid's side."""
        cells = self.grid**3 * _TRANSFORM // (3 * self.grid_side)
        pooled = F.adaptive_avg_pool2d(self.u_net(small), (cells, self.grid_side))
        return pooled.reshape(-1, _TRANSFORM, self.grid, self.grid, self.grid)

    def _at_full_size(self, x: Tensor, first: Tensor, grid: Tensor, places: Tensor) -> Tensor:
        """The restored image of `x`, whose rows lie at `places` in [-1, 1] of the whole."""
        transformed: list[Tensor] = []
        for channel, guide, point in zip(x.split(1, 1), self.guides, self.points, strict=True):
            coefficients = sliced(grid, guide(channel), places)
            transformed.append(applied(coefficients, self.p(point(first))))
        offset = self.offset(torch.cat(transformed, 1))
        restored: Tensor = self.p(torch.addcmul(1 - offset, self.factor(offset), x))
        return restored


def rows(height: int, like: Tensor) -> Tensor:
    """The places of `height` rows, from -1 to 1."""
    return torch.arange(height, device=like.device, dtype=like.dtype) * (2 / (height - 1)) - 1


def sliced(grid: Tensor, guide: Tensor, places: Tensor) -> Tensor:
    """The numbers of `grid` at each pixel, interpolated in its three directions, `(N, 12, H, W)`.

    Args:
        grid: `(N, 12, D, h, w)`.
        guide: `(N, 1, H, W)` in [-1, 1], the place in the grid's depth.
        places: of the rows in the grid's height, `(H,)` in [-1, 1].
    """
    count, _, height, width = guide.shape
    across = rows(width, guide).expand(count, height, width)
    down = places.to(guide.dtype).view(1, -1, 1).expand(count, height, width)
    where = torch.stack([across, down, guide[:, 0]], -1).unsqueeze(1).float()
    found = F.grid_sample(grid.float(), where, mode="bilinear", padding_mode="zeros", align_corners=True)
    return found[:, :, 0]


def applied(coefficients: Tensor, image: Tensor) -> Tensor:
    """The affine transforms `(N, 12, H, W)` of the colours of `image` `(N, 3, H, W)`."""
    transforms = coefficients.unflatten(1, (3, 4))
    return (transforms[:, :, :3] * image.unsqueeze(1)).sum(2) + transforms[:, :, 3]


def _bicubic(x: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(x, (height, width), mode="bicubic", align_corners=True)
