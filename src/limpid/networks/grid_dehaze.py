"""GridDehazeNet: a grid of residual dense blocks, rows for scales, whose streams meet with learned weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.padding import any_size
from limpid.ranges import Channels, Layers


class ResidualDenseBlock(nn.Module):
    """3x3 convolutions that each see all before them, a 1x1 that fuses, and a skip (GridDehazeNet, section 3)."""

    def __init__(self, channels: int, layers: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(channels + layer * growth, growth, 3, padding=1) for layer in range(layers)
        )
        self.fusion = nn.Conv2d(channels + layers * growth, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        seen = features
        for layer in self.layers:
            seen = torch.cat([seen, layer(seen).relu()], 1)
        refined: Tensor = self.fusion(seen) + features
        return refined


class Downsample(nn.Module):
    """Half the size, twice the channels: a convolution of stride 2 and one that widens, ReLU after both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(channels, 2 * channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """`(N, C, H, W)` to `(N, 2C, ceil(H / 2), ceil(W / 2))`."""
        halved: Tensor = self.conv2(self.conv1(features).relu()).relu()
        return halved


class Upsample(nn.Module):
    """Twice the size, half the channels: a deconvolution and a convolution that narrows, ReLU after both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1)
        self.conv = nn.Conv2d(channels, channels // 2, 3, padding=1)

    def forward(self, features: Tensor, size: torch.Size) -> Tensor:
        """`(N, C, h, w)` to `(N, C / 2, *size)`; h and w are the halves of `size`, rounded up."""
        if any_size(features):  # what is added at the edge depends on the size, what is cut off again may
            twice = F.conv_transpose2d(features, self.deconv.weight, self.deconv.bias, 2, 1, output_padding=1)
            larger = twice[..., : size[0], : size[1]]
        else:
            larger = self.deconv(features, list(size))
        doubled: Tensor = self.conv(larger.relu()).relu()
        return doubled


class GridDehazeNet(nn.Module):
    """GridDehazeNet (Liu et al., ICCV 2019): 958,051 parameters, 2,304 of them the weights of the fusions.

    Pre-processing (a convolution and a residual dense block), a backbone of `rows` x `columns` positions, and
    post-processing (a residual dense block, a convolution, ReLU). A row is a scale, with twice the channels of the
    one above. Blocks lead along each row; the left half of the columns also leads down a row, the right half up.
    Where two streams meet, each of their channels has its own weight, at first 1 (channel attention, section 3
    there).

    rfd tables 5 and 9 print 0.956M: 955,747, without the weights of the fusions. They are stored as in the
    authors' release, for every position and at the width of the widest row; 672 of the 2,304 are ever used.

    The network sees ``2 x - 1``, as in the authors' training.

    Parts in order, and their names in the release: `attention` (row, column, stream along the row or across, channel;
    coefficient), `along.i_j` (the block that leads from position (i, j) to (i, j + 1); rdb_module.i_j), `across.i_j`
    (what leads in column j between the rows i and i + 1; downsample_module.i_j, upsample_module.i_j), `head`
    (conv_in), `tail` (conv_out), `pre` (rdb_in), `post` (rdb_out). Of a block, `layers.k` is
    residual_dense_layers.k.conv and `fusion` conv_1x1.

    Args:
        channels: of the finest row.
        rows: scales of the grid.
        columns: positions of a row; even, half on the way down and half on the way up.
        layers: dense layers of a block.
        growth: channels that each of them adds.
        attention: whether the weights of the fusions are learned; otherwise they stay 1.
    """

    def __init__(
        self,
        channels: Channels = 16,
        rows: Layers = 3,
        columns: Layers = 6,
        layers: Layers = 4,
        growth: Channels = 16,
        attention: bool = True,
    ) -> None:
        super().__init__()
        self.downward = columns // 2
        width = [channels * 2**row for row in range(rows)]
        self.attention = nn.Parameter(torch.ones(rows, columns, 2, width[-1]), requires_grad=attention)
        self.along, self.across = nn.ModuleDict(), nn.ModuleDict()
        for row in range(rows):
            for column in range(columns - 1):
                self.along[f"{row}_{column}"] = ResidualDenseBlock(width[row], layers, growth)
        for row in range(rows - 1):
            for column in range(columns):
                down = column < self.downward
                self.across[f"{row}_{column}"] = Downsample(width[row]) if down else Upsample(width[row + 1])
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.tail = nn.Conv2d(channels, 3, 3, padding=1)
        self.pre = ResidualDenseBlock(channels, layers, growth)
        self.post = ResidualDenseBlock(channels, layers, growth)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape, not negative, not bounded above."""
        rows, columns = self.attention.shape[:2]
        streams = [self.pre(self.head(2 * x - 1))]
        for row in range(1, rows):
            streams.append(self.across[f"{row - 1}_0"](streams[-1]))
        for column in range(1, columns):
            along = [self.along[f"{row}_{column - 1}"](stream) for row, stream in enumerate(streams)]
            if column < self.downward:
                for row in range(1, rows):
                    from_above = self.across[f"{row - 1}_{column}"](along[row - 1])
                    along[row] = self.fuse(row, column, along[row], from_above)
            else:
                for row in reversed(range(rows - 1)):
                    from_below = self.across[f"{row}_{column}"](along[row + 1], along[row].shape[-2:])
                    along[row] = self.fuse(row, column, along[row], from_below)
            streams = along
        restored: Tensor = self.tail(self.post(streams[0])).relu()
        return restored

    def fuse(self, row: int, column: int, along: Tensor, across: Tensor) -> Tensor:
        """The weighted sum of the two streams `(N, C, H, W)` that meet at a position."""
        weights = self.attention[row, column, :, : along.shape[1], None, None]
        return weights[0] * along + weights[1] * across
