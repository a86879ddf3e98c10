"""DeblurGAN-v2: a feature pyramid on a backbone of ImageNet finds what is missing to a blurred image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.networks.inception_resnet_v2 import InceptionResNetV2
from limpid.networks.mobilenet_v2 import MobileNetV2
from limpid.networks.padding import pad_to_multiple
from limpid.ranges import Channels, LayersOrNone, NonNegativeFloat

#: What each output of Inception-ResNet-v2, finest first, lacks of its share of the size: left, right, top, bottom.
_INCEPTION_LACKS = ((0, 1, 0, 1), (1, 1, 1, 1), (1, 2, 1, 2), (1, 1, 1, 1), (1, 1, 1, 1))
#: By backbone, the frame that is reflected around each of its outputs; none of them where all have their share.
FRAMES: dict[str, Sequence[tuple[int, int, int, int]] | None] = {
    "inception_resnet_v2": _INCEPTION_LACKS,
    "mobilenet_v2": None,
}


class FeaturePyramid(nn.Module):
    """Features of one width at five sizes: coarse ones are enlarged and added to finer ones.

    Lin et al., CVPR 2017, section 3, with a convolution, instance normalisation and ReLU after each of three sums.

    Args:
        channels_in: of the backbone's outputs, finest first.
        channels: of the pyramid; at half the size it has half of them.
        frames: see `FRAMES`.
    """

    def __init__(
        self, channels_in: Sequence[int], channels: int, frames: Sequence[tuple[int, int, int, int]] | None
    ) -> None:
        super().__init__()
        widths = [channels // 2, *(channels for _ in channels_in[1:])]
        self.lateral = nn.ModuleList([nn.Conv2d(i, o, 1, bias=False) for i, o in zip(channels_in, widths, strict=True)])
        self.smooth = nn.ModuleList([smoothing(channels, channels) for _ in range(3)])
        self.frames = frames

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The maps of the pyramid at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size, from the backbone's `features`."""
        lateral = [layer(one) for layer, one in zip(self.lateral, features, strict=True)]
        if self.frames is not None:
            lateral = [F.pad(one, frame, mode="reflect") for one, frame in zip(lateral, self.frames, strict=True)]
        maps = [lateral[4]]
        for smooth, level in zip(self.smooth, (3, 2, 1), strict=True):
            maps.insert(0, smooth(lateral[level] + enlarged(maps[0], 2)))
        return [lateral[0], *maps]


class DeblurGANv2(nn.Module):
    """DeblurGAN-v2 (Kupyn et al., ICCV 2019, section 3.1): 35,840,099 parameters with Inception-ResNet-v2.

    With MobileNetV2, 128 channels in the pyramid and 64 in the heads it has 2,106,627.

    The authors restore in training mode, which takes the statistics of the image at hand for every normalisation. With
    `norm` ``instance`` so does this, in training too, where the authors' batch of one image makes no difference. With
    ``batch`` the backbone's statistics are those of the batch, and outside of training what was learnt. Sides are
    padded to multiples of 32, at least 128, and cut back.

    Args:
        backbone: ``inception_resnet_v2`` or ``mobilenet_v2``.
        width: share of the backbone's channels; only 1 fits published weights.
        blocks: residual blocks of Inception-ResNet-v2 at 1/8 and 1/16 of the size; only (10, 20) fits published
            weights. MobileNetV2 has none.
        pyramid_channels: of the feature pyramid, an even number.
        head_channels: of what is made of each of its maps, half of `pyramid_channels`.
        norm: of the backbone, ``instance`` or ``batch``; the pyramid's is instance normalisation.

    Raises:
        UserError: there is no such backbone, or a number is none of which it can be made.
        ValueError: there is no such normalisation.
    """

    #: `limpid.inference` lets tiles share so many pixels: the frame that is reflected around the coarsest maps, and the
    #: convolutions behind it, reach five positions of 32 pixels into a tile. A megapixel at once holds 1.3 GB.
    least_overlap = 256

    def __init__(
        self,
        backbone: str = "inception_resnet_v2",
        width: NonNegativeFloat = 1.0,
        blocks: Sequence[LayersOrNone] = (10, 20),
        pyramid_channels: Channels = 256,
        head_channels: Channels = 128,
        norm: str = "instance",
    ) -> None:
        super().__init__()
        if backbone not in FRAMES:
            raise UserError(f"network.backbone is {backbone!r}, but it must be one of {', '.join(FRAMES)}.")
        n, m = pyramid_channels, head_channels
        if m < 2 or m % 2 or n != 2 * m:
            raise UserError(
                f"network.pyramid_channels is {n} and network.head_channels {m}, but the first must be twice the "
                "second, which must be even."
            )
        if not width > 0:
            raise UserError(f"network.width is {width}, but a share of the backbone's channels is above 0.")
        if len(blocks) != 2 or min(blocks) < 0:
            raise UserError(f"network.blocks is {list(blocks)}, but it must be two numbers, each 0 or more.")
        self.backbone_name = backbone
        self.backbone: InceptionResNetV2 | MobileNetV2
        if backbone == "inception_resnet_v2":
            self.backbone = InceptionResNetV2(width, blocks, norm)
        else:
            self.backbone = MobileNetV2(width, norm=norm)
        #: Whether published weights of the backbone fit.
        self.as_published = width == 1 and (backbone == "mobilenet_v2" or tuple(blocks) == (10, 20))
        self.pyramid = FeaturePyramid(self.backbone.channels, n, FRAMES[backbone])
        self.heads = nn.ModuleList([_head(n, m) for _ in range(4)])
        self.smooth = smoothing(4 * m, m)
        self.smooth2 = smoothing(m, m // 2)
        self.tail = nn.Conv2d(m // 2, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape and range."""
        height, width = x.shape[-2:]
        padded = 2 * pad_to_multiple(x, 32, least=self.backbone.smallest) - 1
        finest, *maps = self.pyramid(self.backbone(padded))
        # of maps at 1/4, 1/8, 1/16 and 1/32 of the size, coarsest first
        heads = [enlarged(head(one), 2**k) for k, (head, one) in enumerate(zip(self.heads, maps, strict=True))][::-1]
        features = self.smooth(torch.cat(heads, 1))
        features = self.smooth2(enlarged(features, 2) + finest)
        missing = self.tail(enlarged(features, 2)).tanh()
        restored = ((padded + missing).clamp(-1, 1) + 1) / 2
        return restored[..., :height, :width]


def smoothing(channels_in: int, channels_out: int) -> nn.Sequential:
    """A 3x3 convolution, instance normalisation and ReLU."""
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1)
    return nn.Sequential(convolution, nn.InstanceNorm2d(channels_out), nn.ReLU(inplace=True))


def enlarged(x: Tensor, times: int) -> Tensor:
    """`x` `(N, C, H, W)`, each pixel `times` as wide and high."""
    return x if times == 1 else F.interpolate(x, scale_factor=times, mode="nearest")


def _head(channels_in: int, channels: int) -> nn.Sequential:
    """What is made of one map of the pyramid: twice a 3x3 convolution without bias and ReLU."""
    first = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
    second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))
