"""DeblurGAN: CycleGAN's generator with dropout adds what is missing to a blurred image."""

from __future__ import annotations

from torch import Tensor, nn

from limpid.networks.padding import pad_to_multiple
from limpid.networks.resnet_generator import ResnetGenerator
from limpid.ranges import Channels, Layers, NonNegativeFloat, Share


class DeblurGAN(nn.Module):
    """DeblurGAN (Kupyn et al., CVPR 2018, section 3.2): 11,378,179 parameters.

    The authors restore in training mode, so that dropout draws and no picture comes out twice. Here dropout is off
    outside of training; instance normalisation takes the image's own statistics in either case. Sides are padded to
    multiples of 4 and cut back.

    Args:
        channels: of the first layer; a quarter of the size has four times as many.
        blocks: residual blocks.
        dropout: share of the activations inside the blocks that is dropped in training.
        weight_std: deviation of the initial weights.
    """

    largest_megapixels = 0.5  # in one pass: a megapixel holds 1.3 GB

    def __init__(
        self, channels: Channels = 64, blocks: Layers = 9, dropout: Share = 0.5, weight_std: NonNegativeFloat = 0.02
    ) -> None:
        super().__init__()
        self.generator = ResnetGenerator(3, 3, channels, 2, blocks, weight_std, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape and range."""
        height, width = x.shape[-2:]
        padded = pad_to_multiple(x, self.generator.multiple, least=2 * self.generator.multiple)
        missing = self.generator(2 * padded - 1)[..., :height, :width]
        return ((2 * x - 1 + missing).clamp(-1, 1) + 1) / 2
