"""The agent of RL-Restore: it sees an image, remembers what it did, and values the tools.

Yu, Dong, Lin & Loy, "Crafting a toolchain for image restoration by deep reinforcement learning", CVPR 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_COLOURS = 3
FANS = ("fan_out", "fan_in")


class ToolAgent(nn.Module):
    """The agent that values the tools for an image: 87,863 parameters.

    Four convolutions of stride 2 and a linear layer see the image; an LSTM remembers what was seen and done. The last
    action is stopping.

    Args:
        tools: how many there are to choose from.
        patch: side of the image in pixels.
        channels: of each convolution.
        features: what the image is summarised in.
        memory: size of the LSTM's state.
        forget_bias: what is added to the LSTM's forget gate.
        linear_std: deviation of the initial weights of the linear layers.
        conv_fan: the initial weights of the convolutions have the deviation sqrt(2 / (k^2 c)), with c the channels
            behind a layer (``fan_out``, as the release has it) or before it (``fan_in``).
        value_bias: what each action is worth at the start, in dB, that of stopping excepted, which is worth 0.

    Raises:
        ValueError: `conv_fan` is another word.
    """

    def __init__(
        self,
        tools: int = 12,
        patch: int = 63,
        channels: Sequence[int] = (32, 24, 24, 24),
        features: int = 32,
        memory: int = 50,
        forget_bias: float = 1.0,
        linear_std: float = 0.001,
        conv_fan: str = "fan_out",
        value_bias: float = 0.0,
    ) -> None:
        super().__init__()
        if conv_fan not in FANS:
            raise ValueError(f"The agent's conv_fan is {conv_fan!r}, but it must be one of {', '.join(FANS)}.")
        self.tools = tools
        self.forget_bias = forget_bias
        before = [_COLOURS, *channels[:-1]]
        sides = [9, *[5] * (len(channels) - 1)]
        self.convs = nn.ModuleList(
            nn.Conv2d(*of_layer, stride=2) for of_layer in zip(before, channels, sides, strict=True)
        )
        side = patch
        for _ in channels:
            side = math.ceil(side / 2)
        self.summary = nn.Linear(channels[-1] * side**2, features)
        self.gates = nn.Linear(features + tools + memory, 4 * memory)
        self.values = nn.Linear(memory, tools + 1)
        self._initialise(linear_std, conv_fan, value_bias)

    def _initialise(self, linear_std: float, conv_fan: str, value_bias: float) -> None:
        """As the release draws weights; those of the gates as TensorFlow does where nothing is said."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
        for conv in self._layers():
            channels = conv.out_channels if conv_fan == "fan_out" else conv.in_channels
            deviation = math.sqrt(2 / (conv.kernel_size[0] ** 2 * channels))
            nn.init.trunc_normal_(conv.weight, 0, deviation, -2 * deviation, 2 * deviation)
        for linear in (self.summary, self.values):
            nn.init.normal_(linear.weight, 0, linear_std)
        nn.init.xavier_uniform_(self.gates.weight)
        nn.init.constant_(self.values.bias[: self.tools], value_bias)

    def _layers(self) -> list[nn.Conv2d]:
        return [layer for layer in self.convs if isinstance(layer, nn.Conv2d)]

    @property
    def stop(self) -> int:
        """The number of the action that ends the chain."""
        return self.tools

    def start(self, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """The LSTM's two states `(count, memory)` before anything was seen: zeros, on the device of `like`."""
        zeros = like.new_zeros(count, self.values.in_features)
        return zeros, zeros

    def before(self, actions: Sequence[int | None], like: Tensor) -> Tensor:
        """`(len(actions), tools)`: a one at the action that each image saw last; zeros where there was none."""
        ones = like.new_zeros(len(actions), self.tools)
        for row, action in enumerate(actions):
            if action is not None:
                ones[row, action] = 1
        return ones

    def look(self, images: Tensor) -> Tensor:
        """`(N, features)`: a summary of each of the `images` `(N, 3, patch, patch)`."""
        seen = images
        for conv in self._layers():
            seen = conv(_same(seen, conv.kernel_size[0], conv.stride[0])).relu()
        # The release flattens height, width and channels in this order.
        summary: Tensor = self.summary(seen.permute(0, 2, 3, 1).flatten(1)).relu()
        return summary

    def forward(
        self, summary: Tensor, before: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The values `(N, tools + 1)` of the actions, and the LSTM's states behind them.

        Args:
            summary: of the images, as `look` gives it.
            before: see there.
            state: see `start`.
        """
        hidden, cell = state
        i, j, f, o = self.gates(torch.cat([summary, before, hidden], 1)).chunk(4, 1)
        cell = cell * (f + self.forget_bias).sigmoid() + i.sigmoid() * j.tanh()
        hidden = cell.tanh() * o.sigmoid()
        return self.values(hidden), (hidden, cell)


def _same(x: Tensor, side: int, stride: int) -> Tensor:
    """`x` with zeros around it as TensorFlow's padding ``SAME`` has it: the smaller half first."""
    before = []
    for length in (x.shape[-1], x.shape[-2]):
        total = max((math.ceil(length / stride) - 1) * stride + side - length, 0)
        before += [total // 2, total - total // 2]
    return F.pad(x, before)
