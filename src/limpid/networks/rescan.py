"""RESCAN: a stack of recurrent dilated convolutions takes the rain away, a stage at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limpid.networks.ffa_net import ChannelAttention
from limpid.networks.stages import StagedOutput
from limpid.ranges import Channels, Layers


class RecurrentUnit(nn.Module):
    """A convolutional GRU, squeeze-and-excitation, LeakyReLU; its memory is the same layer's output one stage before.

    Convolutions of the input are dilated, those of the memory are not.
    """

    def __init__(self, channels_in: int, channels: int, dilation: int, reduction: int) -> None:
        super().__init__()

        def of_input() -> nn.Conv2d:
            return nn.Conv2d(channels_in, channels, 3, padding=dilation, dilation=dilation)

        def of_memory() -> nn.Conv2d:
            return nn.Conv2d(channels, channels, 3, padding=1)

        self.update_input = of_input()
        self.reset_input = of_input()
        self.new_input = of_input()
        self.update_memory = of_memory()
        self.reset_memory = of_memory()
        self.new_memory = of_memory()
        self.attention = ChannelAttention(channels, reduction)
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor, memory: Tensor | None) -> Tensor:
        """The output `(N, C, H, W)`, which is also the memory for the next stage; there is none at the first."""
        if memory is None:
            state = torch.sigmoid(self.update_input(x)) * torch.tanh(self.new_input(x))
        else:
            update = torch.sigmoid(self.update_input(x) + self.update_memory(memory))
            reset = torch.sigmoid(self.reset_input(x) + self.reset_memory(memory))
            new = torch.tanh(self.new_input(x) + self.new_memory(reset * memory))
            state = (1 - update) * memory + update * new
        out: Tensor = self.activation(self.attention(state))
        return out


class RESCAN(nn.Module):
    """Recurrent squeeze-and-excitation context aggregation net (Li et al., ECCV 2018): 149,823 parameters.

    The variant with GRUs and full prediction: every stage estimates the whole rain layer from the image that the
    stage before left, and all stages are supervised. Dilations are 1, then 1, 2, 4, ...

    Beside its authors' MIT release: `units.i` is `rnns.i`, whose `conv_xz`, `conv_xr`, `conv_xn` are `update_input`,
    `reset_input`, `new_input` here and `conv_hz`, `conv_hr`, `conv_hn` the `_memory` ones; `se.fc.0` and `se.fc.2` are
    `attention.weight.1` and `.3`, 1 x 1 convolutions of the same numbers; `decoder.i` is `dec.i`.

    Args:
        channels: channels throughout.
        depth: number of layers: `depth` - 2 recurrent units and the decoder's two.
        stages: how often the image is treated.
        reduction: how much squeeze-and-excitation narrows inside; 4 gives the release's 6 channels.
    """

    def __init__(self, channels: Channels = 24, depth: Layers = 7, stages: Layers = 4, reduction: Layers = 4) -> None:
        super().__init__()
        self.stages = stages
        self.units = nn.ModuleList([RecurrentUnit(3, channels, 1, reduction)])
        self.units.extend(RecurrentUnit(channels, channels, 2**i, reduction) for i in range(depth - 3))
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            ChannelAttention(channels, reduction),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, 3, 1),
        )

    def forward(self, x: Tensor) -> StagedOutput:
        """The restored images of `x`, `(N, 3, H, W)` in [0, 1], of all stages, each of its size."""
        memories: list[Tensor | None] = [None] * len(self.units)
        image = x
        images: list[Tensor] = []
        for _ in range(self.stages):
            features = image
            for i, unit in enumerate(self.units):
                features = memories[i] = unit(features, memories[i])
            image = x - self.decoder(features)
            images.append(image)
        return StagedOutput(image, tuple(images))
