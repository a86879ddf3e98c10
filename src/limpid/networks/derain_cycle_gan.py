"""DerainCycleGAN: a recurrent network finds where it rains, and a generator takes the rain away."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.padding import pad_to_multiple
from limpid.networks.patchgan import refuse_small
from limpid.ranges import Channels, Layers, LayersOrNone, NonNegativeFloat

#: The first mask, before anything is known.
_UNKNOWN = 0.5


class Derained(NamedTuple):
    """What DerainCycleGAN finds in rainy images.

    Attributes:
        restored: the image without rain, or of the generator back the image with rain, `(N, 3, H, W)` in [0, 1], not
            clamped.
        mask: where it rains, `(N, 1, H, W)`, of any value.
    """

    restored: Tensor
    mask: Tensor


class RainAttention(nn.Module):
    """The unsupervised rain attention detector (Wei et al., TIP 2021, section III-B): 167,809 parameters.

    The same layers look at the image and at the mask that they found before, several times, and remember by a
    convolutional LSTM.

    Args:
        channels: of its features.
        blocks: residual blocks.
        rounds: how often it looks.

    Raises:
        ValueError: it never looks, or a number of blocks is below 0.
    """

    def __init__(self, channels: int = 32, blocks: int = 5, rounds: int = 6) -> None:
        super().__init__()
        if rounds < 1 or blocks < 0:
            raise ValueError(f"it looks {rounds} times with {blocks} blocks, but at least once, with 0 blocks or more")
        self.rounds = rounds
        self.head = nn.Conv2d(4, channels, 3, padding=1)
        self.input_gate = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.forget_gate = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.cell_gate = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.output_gate = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.blocks = nn.ModuleList([_block(channels) for _ in range(blocks)])
        self.tail = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """The last mask `(N, 1, H, W)` of `x` `(N, 3, H, W)` in [-1, 1]."""
        mask = torch.full_like(x[:, :1], _UNKNOWN)
        for number in range(self.rounds):
            features = self.head(torch.cat([x, mask], 1)).relu()
            if number == 0:
                state, cell = torch.zeros_like(features), torch.zeros_like(features)
            known = torch.cat([features, state], 1)
            forgotten = self.forget_gate(known).sigmoid() * cell
            cell = forgotten + self.input_gate(known).sigmoid() * self.cell_gate(known).tanh()
            state = self.output_gate(known).sigmoid() * cell.tanh()
            found = state
            for block in self.blocks:
                found = (found + block(found)).relu()
            mask = self.tail(found)
        return mask


class Doubling(nn.Module):
    """A transposed convolution of stride 2, the mean of each 2x2 positions, and ReLU.

    Args:
        channels_in: of the input.
        channels_out: of the output.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, channels_out, 2 H, 2 W)`; left and above the image goes on as its mirror image."""
        return F.avg_pool2d(F.pad(self.conv(x), (1, 0, 1, 0), mode="reflect"), 2, stride=1).relu()


class DerainGenerator(nn.Module):
    """Takes the rain out of an image, or puts it in (Wei et al., TIP 2021, section III-C): 6,066,179 parameters.

    The release's two side outputs, 10,374 more, which nothing uses, are left out.

    Args:
        channels: at full size; twice and four times as many at the half and the quarter, and half as many at the end.
        weight_std: deviation of the initial weights; biases are as torch draws them.
    """

    def __init__(self, channels: Channels = 64, weight_std: NonNegativeFloat = 0.02) -> None:
        super().__init__()
        c = channels
        self.at_full = nn.Conv2d(4, c, 5, padding=2)
        self.at_half = nn.ModuleList([nn.Conv2d(c, 2 * c, 3, 2, 1), nn.Conv2d(2 * c, 2 * c, 3, padding=1)])
        first = [nn.Conv2d(2 * c, 4 * c, 3, 2, 1), *(nn.Conv2d(4 * c, 4 * c, 3, padding=1) for _ in range(2))]
        dilated = [nn.Conv2d(4 * c, 4 * c, 3, padding=d, dilation=d) for d in (2, 4, 8, 16)]
        last = [nn.Conv2d(4 * c, 4 * c, 3, padding=1) for _ in range(2)]
        self.at_quarter = nn.ModuleList([*first, *dilated, *last])
        self.up_half = Doubling(4 * c, 2 * c)
        self.merge_half = nn.Conv2d(2 * c, 2 * c, 3, padding=1)
        self.up_full = Doubling(2 * c, c)
        self.merge_full = nn.Conv2d(c, c // 2, 3, padding=1)
        self.tail = nn.Conv2d(c // 2, 3, 3, padding=1)
        gaussian_convolutions(self, weight_std)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """The image `(N, 3, H, W)` made of `x` in [-1, 1] and a `mask` `(N, 1, H, W)`, sides multiples of 4."""
        full = self.at_full(torch.cat([x, mask], 1)).relu()
        half = full
        for conv in self.at_half:
            half = conv(half).relu()
        quarter = half
        for conv in self.at_quarter:
            quarter = conv(quarter).relu()
        half = self.merge_half(self.up_half(quarter) + half).relu()
        full = self.merge_full(self.up_full(half) + full).relu()
        image: Tensor = self.tail(full)
        return image


class DerainCycleGAN(nn.Module):
    """DerainCycleGAN (Wei et al., TIP 2021): 6,233,988 parameters restore, of which 167,809 find the rain.

    Sides are padded to multiples of 4 inside, and cut back.

    Args:
        channels: see `DerainGenerator`.
        attention_channels: see `RainAttention`.
        attention_blocks: see `RainAttention`.
        rounds: see `RainAttention`.
        weight_std: deviation of the initial weights; biases are as torch draws them.
    """

    largest_megapixels = 0.5  # in one pass: a megapixel holds 1.5 GB

    def __init__(
        self,
        channels: Channels = 64,
        attention_channels: Channels = 32,
        attention_blocks: LayersOrNone = 5,
        rounds: Layers = 6,
        weight_std: NonNegativeFloat = 0.02,
    ) -> None:
        super().__init__()
        self.attention = RainAttention(attention_channels, attention_blocks, rounds)
        self.generator = DerainGenerator(channels, weight_std)
        gaussian_convolutions(self.attention, weight_std)

    def forward(self, x: Tensor) -> Tensor | Derained:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], not clamped; in training with the mask of the rain."""
        found = self.changed(x, self.generator)
        return found if self.training else found.restored

    def changed(self, x: Tensor, generator: nn.Module) -> Derained:
        """What `generator`, this network's or that of the way back, makes of `x` `(N, 3, H, W)` in [0, 1]."""
        height, width = x.shape[-2:]
        padded = 2 * pad_to_multiple(x, 4, least=8) - 1
        mask = self.attention(padded)
        image = (generator(padded, mask) + 1) / 2
        return Derained(image[..., :height, :width], mask[..., :height, :width])


class MultiScaleDiscriminator(nn.Module):
    """Judges images at several scales, each half the size of the one before: 8,271,171 parameters with three.

    Args:
        scales: how many there are.
        channels: of the first convolution; they double with each of them.
        layers: convolutions of stride 2.
        weight_std: deviation of the initial weights; biases are as torch draws them.

    Raises:
        ValueError: there is no scale, or no layer.
    """

    def __init__(
        self, scales: Layers = 3, channels: Channels = 64, layers: Layers = 4, weight_std: NonNegativeFloat = 0.02
    ) -> None:
        super().__init__()
        if scales < 1 or layers < 1:
            raise ValueError(f"It has {scales} scales of {layers} layers, but there is at least one of either")
        self.scales = nn.ModuleList([_scale(channels, layers) for _ in range(scales)])
        #: so that the last of its layers sees two positions a side, which a reflection needs
        self.smallest = 2 ** (layers + scales - 1)
        gaussian_convolutions(self, weight_std)

    def forward(self, image: Tensor) -> list[Tensor]:
        """The scores of `image` `(N, 3, H, W)` in [0, 1] at each scale, the finest first; inside it is [-1, 1].

        Raises:
            UserError: a side is below 64 pixels, so that the coarsest scale sees too little.
        """
        refuse_small(image, self.smallest)
        x = 2 * image - 1
        scores: list[Tensor] = []
        for scale in self.scales:
            scores.append(scale(x))
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return scores

    def finest(self, image: Tensor) -> Tensor:
        """The scores of the finest scale alone; see `forward`."""
        refuse_small(image, self.smallest)
        scores: Tensor = self.scales[0](2 * image - 1)
        return scores


def gaussian_convolutions(module: nn.Module, std: float) -> None:
    """Draw the convolutions' weights from N(0, std); their biases stay as they are."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)


def _block(channels: int) -> nn.Sequential:
    """Twice a convolution and ReLU."""
    first = nn.Conv2d(channels, channels, 3, padding=1)
    second = nn.Conv2d(channels, channels, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())


def _scale(channels: int, layers: int) -> nn.Sequential:
    """The discriminator of one scale."""
    before = 3
    body: list[nn.Module] = []
    for number in range(layers):
        after = channels * 2**number
        body += [nn.ReflectionPad2d(1), nn.Conv2d(before, after, 4, stride=2), nn.LeakyReLU(0.01)]
        before = after
    return nn.Sequential(*body, nn.Conv2d(before, 1, 1))
