"""SRN: one encoder-decoder applied at three scales, from coarse to fine."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.padding import pad_to_multiple
from limpid.networks.residual import ResBlock
from limpid.networks.stages import StagedOutput
from limpid.ranges import Channels, Layers


def _double_size(x: Tensor) -> Tensor:
    """Bilinear, with every second pixel an old one: pixel 2 i of the result is pixel i of `x` `(N, C, H, W)`."""
    height, width = x.shape[-2:]
    x = F.pad(x, (0, 1, 0, 1), mode="replicate")
    larger = F.interpolate(x, size=(2 * height + 1, 2 * width + 1), mode="bilinear", align_corners=True)
    return larger[..., :-1, :-1]


class SRN(nn.Module):
    """Scale-recurrent network (Tao et al., CVPR 2018), without the recurrent cell: 6,881,251 parameters.

    This is the colour model that its authors released and report; the paper's convolutional LSTM between encoder and
    decoder is optional there. Three levels of residual blocks, 5 x 5 convolutions, sums as skips. All scales share the
    weights. Each takes the blurred image and what the coarser scale restored (at the coarsest, the blurred image
    twice), through which no gradient flows. The blurred image is made smaller by taking every second or fourth
    pixel, and the restored one larger by bilinear interpolation between pixels, as TensorFlow 1's resizing does.

    Beside its authors' MIT release: `encoder.l.0` is `enc(l+1)_1` and `encoder.l.k` is `enc(l+1)_(k+1)`, the stride
    padded 1 before and 2 after as TensorFlow pads; `decoder.0` holds `dec3_3`, `dec3_2`, `dec3_1`; `enlarge.0` is
    `dec2_4` and `decoder.1` the `dec2_*`; `enlarge.1` is `dec1_4` and `decoder.2` the `dec1_*`; `tail` is `dec1_0`.
    Kernels are `(height, width, in, out)` there, for the transposed ones `(height, width, out, in)`. Weights start as
    Glorot and Bengio draw them, and biases at 0, as there.

    Args:
        channels: of the finest level; each coarser level has twice as many.
        blocks: residual blocks at each level, in the encoder and again in the decoder.
        levels: levels of the encoder and the decoder.
        scales: how often the network is applied.
    """

    def __init__(self, channels: Channels = 32, blocks: Layers = 3, levels: Layers = 3, scales: Layers = 3) -> None:
        super().__init__()
        self.levels, self.scales = levels, scales
        widths = [channels * 2**level for level in range(levels)]

        def refine(width: int) -> list[nn.Module]:
            return [ResBlock(width, kernel_size=5) for _ in range(blocks)]

        first = [nn.Conv2d(6, channels, 5, padding=2)]
        first += [nn.Conv2d(width // 2, width, 5, stride=2) for width in widths[1:]]
        self.encoder = nn.ModuleList(
            nn.Sequential(conv, nn.ReLU(), *refine(width)) for conv, width in zip(first, widths, strict=True)
        )
        self.decoder = nn.ModuleList(nn.Sequential(*refine(width)) for width in reversed(widths))
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1) for width in reversed(widths[1:])
        )
        self.tail = nn.Conv2d(channels, 3, 5, padding=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> StagedOutput:
        """The restored images of `x`, `(N, 3, H, W)` in [0, 1], at every scale, the coarsest first."""
        height, width = x.shape[-2:]
        whole = pad_to_multiple(x, 2 ** (self.scales + self.levels - 2))
        stages: list[Tensor] = []
        for scale in reversed(range(self.scales)):
            blurred = whole[..., :: 2**scale, :: 2**scale]
            coarser = _double_size(stages[-1].detach()) if stages else blurred
            stages.append(self._restore(torch.cat([blurred, coarser], 1)))
        cut = [
            stage[..., : -(-height // 2**scale), : -(-width // 2**scale)]
            for scale, stage in zip(reversed(range(self.scales)), stages, strict=True)
        ]
        return StagedOutput(cut[-1], tuple(cut))

    def _restore(self, x: Tensor) -> Tensor:
        """The shared network: `(N, 6, H, W)` to `(N, 3, H, W)`."""
        skips: list[Tensor] = []
        for level, encode in enumerate(self.encoder):
            x = encode(F.pad(x, (1, 2, 1, 2)) if level else x)
            skips.append(x)
        x = self.decoder[0](skips.pop())
        for enlarge, decode in zip(self.enlarge, list(self.decoder)[1:], strict=True):
            x = decode(enlarge(x).relu() + skips.pop())
        restored: Tensor = self.tail(x)
        return restored
