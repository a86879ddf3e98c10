"""GCANet: smoothed dilated convolutions at half resolution, and gates that mix three depths of features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.padding import pad_to_multiple
from limpid.ranges import Channels, Layers, LayersOrNone


class SharedConvolution(nn.Module):
    """One `kernel_size` x `kernel_size` filter for all channels, at first the identity (GCANet, section 3).

    Before a convolution with dilation r it is 2r - 1 wide, so that neighbours of the output, which the dilated taps
    would leave without a common input, share some.
    """

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, kernel_size, kernel_size))
        with torch.no_grad():
            self.weight[0, 0, kernel_size // 2, kernel_size // 2] = 1.0

    def forward(self, features: Tensor) -> Tensor:
        """Filter each channel of `features` `(N, C, H, W)`."""
        # Channels as images of a batch: one filter needs no copies, as a grouped convolution would.
        planes = features.reshape(-1, 1, *features.shape[-2:])
        return F.conv2d(planes, self.weight, padding=self.weight.shape[-1] // 2).view_as(features)


class ResidualBlock(nn.Module):
    """Twice (shared filter, 3x3 convolution, instance normalisation), ReLU between, skip, ReLU (GCANet, section 3).

    Args:
        channels: channels throughout.
        dilation: of both convolutions; without dilation there is nothing to smooth, and no shared filter.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()

        def smoothing() -> nn.Module:
            return SharedConvolution(2 * dilation - 1) if dilation > 1 else nn.Identity()

        def convolution() -> nn.Conv2d:
            return nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)

        self.smooth1, self.conv1 = smoothing(), convolution()
        self.norm1 = nn.InstanceNorm2d(channels, affine=True)
        self.smooth2, self.conv2 = smoothing(), convolution()
        self.norm2 = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`; the result is not negative."""
        inner = self.norm1(self.conv1(self.smooth1(features))).relu()
        refined: Tensor = (self.norm2(self.conv2(self.smooth2(inner))) + features).relu()
        return refined


def edges(image: Tensor) -> Tensor:
    """The mean absolute difference of each pixel to its four neighbours and over the channels.

    Args:
        image: `(N, C, H, W)`, any range.

    Returns:
        `(N, 1, H, W)`; a neighbour outside the image counts as equal.
    """
    down = (image[..., 1:, :] - image[..., :-1, :]).abs()
    right = (image[..., 1:] - image[..., :-1]).abs()
    total = F.pad(down, (0, 0, 0, 1)) + F.pad(down, (0, 0, 1, 0)) + F.pad(right, (0, 1)) + F.pad(right, (1, 0))
    return total.mean(1, keepdim=True) / 4


class GCANet(nn.Module):
    """Gated Context Aggregation Network (Chen et al., WACV 2019): 702,818 parameters.

    It sees the image and its edges, 0 to 255 minus 128 as in the authors' release, and estimates what is to be added
    to the image, or without `residual` the image itself, which is then not negative. Three convolutions, the last of
    stride 2, encode; residual blocks dilated by 2, 2, 2, 4, 4, 4 and one undilated follow; three gates, one map each
    and not normalised, weight the encoder's output, that of the fourth block and that of the last, and the sum is
    decoded.

    Parts in order, and their names in the release: `encoder` (three times convolution, normalisation, ReLU; conv1,
    norm1 ... norm3), `blocks` (res1 ... res7; smooth1 is pre_conv1), `gate`, `decoder` (deconvolution, normalisation,
    ReLU, convolution, normalisation, ReLU, 1x1 convolution; deconv3, norm4, deconv2, norm5, deconv1).

    Which blocks' outputs are gated (the fourth and the last) is the release's; the paper says "different levels".
    The release takes only even sides; here odd ones are padded by reflection. Its weights for haze are residual, those
    for rain are not.

    Args:
        channels: channels throughout.
        dilations: of the residual blocks.
        gated: positions, from 0, of the blocks whose outputs are gated beside the encoder's.
        residual: whether what is decoded is added to the image.
    """

    def __init__(
        self,
        channels: Channels = 64,
        dilations: tuple[Layers, ...] | list[Layers] = (2, 2, 2, 4, 4, 4, 1),
        gated: tuple[LayersOrNone, ...] | list[LayersOrNone] = (3, 6),
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.residual = residual

        def normalised(*convolution: nn.Module) -> list[nn.Module]:
            return [*convolution, nn.InstanceNorm2d(channels, affine=True), nn.ReLU()]

        self.encoder = nn.Sequential(
            *normalised(nn.Conv2d(4, channels, 3, padding=1, bias=False)),
            *normalised(nn.Conv2d(channels, channels, 3, padding=1, bias=False)),
            *normalised(nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False)),
        )
        self.blocks = nn.ModuleList(ResidualBlock(channels, dilation) for dilation in dilations)
        self.gated = frozenset(gated)
        levels = 1 + len(self.gated)
        self.gate = nn.Conv2d(levels * channels, levels, 3, padding=1)
        self.decoder = nn.Sequential(
            *normalised(nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)),
            *normalised(nn.Conv2d(channels, channels, 3, padding=1)),
            nn.Conv2d(channels, 3, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape; it is not clamped."""
        height, width = x.shape[-2:]
        image = 255 * pad_to_multiple(x, 2)
        features = self.encoder(torch.cat([image, edges(image)], 1) - 128)
        levels = [features]
        for position, block in enumerate(self.blocks):
            features = block(features)
            if position in self.gated:
                levels.append(features)
        gates = self.gate(torch.cat(levels, 1)).split(1, 1)
        mixed = torch.stack([gate * level for gate, level in zip(gates, levels, strict=True)]).sum(0)
        decoded = self.decoder(mixed)[..., :height, :width] / 255
        return x + decoded if self.residual else decoded.relu()
