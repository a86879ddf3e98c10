"""DeepDeblur: residual networks at three scales, each given what the coarser one restored."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.padding import pad_to_multiple
from limpid.networks.residual import ResBlock
from limpid.networks.stages import StagedOutput
from limpid.ranges import Channels, Layers, Pixels


def _symmetric(length: int, margin: int, device: torch.device) -> Tensor:
    """Indices of `length` places and a `margin` before and after that mirrors them, border included."""
    index = torch.arange(-margin, length + margin, device=device)
    index = torch.where(index < 0, -1 - index, index)
    return torch.where(index >= length, 2 * length - 1 - index, index)


def half_size(x: Tensor) -> Tensor:
    """One level of a Gaussian pyramid: `(N, C, H, W)` with even H and W to `(N, C, H / 2, W / 2)`.

    A Gaussian of sigma 2/3 over 7 x 7 pixels, then the mean of each 2 x 2.
    """
    taps = torch.exp(-0.5 * (torch.arange(-3.0, 4.0, device=x.device) / (2 / 3)) ** 2).to(x.dtype)
    taps = F.pad(taps, (0, 1)) + F.pad(taps, (1, 0))  # the Gaussian and the mean of two, in one
    taps = (taps / taps.sum()).expand(x.shape[1], 1, 1, -1)
    rows, columns = (_symmetric(length, 3, x.device) for length in x.shape[-2:])
    x = F.conv2d(x[..., columns], taps, stride=(1, 2), groups=x.shape[1])
    return F.conv2d(x[..., rows, :], taps.mT, stride=(2, 1), groups=x.shape[1])


class DeepDeblur(nn.Module):
    """Multi-scale deblurring network (Nah et al., CVPR 2017, section 3): 11,721,321 parameters.

    Each scale is a convolution, residual blocks without normalisation, and a convolution to the image, without a skip
    from the input; the image of one scale goes through a convolution and pixel shuffle, and joins the blurred image
    of the next. Values are centred on 0 inside. The blurred pyramid is Gaussian.

    Beside its authors' MIT PyTorch release: `scales.i` (coarsest first) is `body_models.(2-i).body`, with the same
    numbers inside; a block's `conv1` and `conv2` are `body.0` and `body.2` there; `enlarge.i.0` is
    `conv_end_models.(2-i).uppath.0`. Its images range to 255, so that imported biases are divided by 255.

    Args:
        channels: channels throughout.
        blocks: residual blocks at each scale.
        kernel_size: side of all convolutions.
        scales: number of scales, each half as large as the next.
    """

    def __init__(
        self, channels: Channels = 64, blocks: Layers = 19, kernel_size: Pixels = 5, scales: Layers = 3
    ) -> None:
        super().__init__()

        def conv(channels_in: int, channels_out: int) -> nn.Conv2d:
            return nn.Conv2d(channels_in, channels_out, kernel_size, padding=kernel_size // 2)

        def repeated(count: int) -> list[nn.Module]:
            return [ResBlock(channels, kernel_size) for _ in range(count)]

        self.scales = nn.ModuleList(
            nn.Sequential(
                conv(6 if i else 3, channels),
                *repeated(blocks),
                conv(channels, 3),
            )
            for i in range(scales)
        )
        self.enlarge = nn.ModuleList(nn.Sequential(conv(3, 12), nn.PixelShuffle(2)) for _ in range(scales - 1))

    def forward(self, x: Tensor) -> StagedOutput:
        """The restored images of `x`, `(N, 3, H, W)` in [0, 1], at every scale, the coarsest first."""
        height, width = x.shape[-2:]
        last = len(self.scales) - 1
        pyramid = [pad_to_multiple(x, 2**last) - 0.5]
        for _ in range(last):
            pyramid.insert(0, half_size(pyramid[0]))
        stages: list[Tensor] = []
        coarser: Tensor | None = None
        for i, scale in enumerate(self.scales):
            blurred = pyramid[i] if coarser is None else torch.cat([pyramid[i], self.enlarge[i - 1](coarser)], 1)
            coarser = scale(blurred)
            stages.append(coarser + 0.5)
        cut = [
            stage[..., : -(-height // 2 ** (last - i)), : -(-width // 2 ** (last - i))]
            for i, stage in enumerate(stages)
        ]
        return StagedOutput(cut[-1], tuple(cut))
