"""RL-Restore: twelve small restorers, and an agent that applies them one after the other.

Yu, Dong, Lin & Loy, "Crafting a toolchain for image restoration by deep reinforcement learning", CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limpid.networks.padding import pad_to_multiple
from limpid.networks.tool_agent import ToolAgent
from limpid.ranges import Channels, FiniteFloat, Layers, NonNegativeFloat, Pixels

SIZES = ("light", "heavy")
_COLOURS = 3
#: How far a tool of either size looks in each direction, in pixels.
_REACH = 8
#: How many pixels a tool is given at once outside of training: it holds 64 channels of them.
_AT_ONCE = 400_000
#: How many patches the agent sees at once.
_PATCHES = 256


class RLRestoreTool(nn.Module):
    """A small restorer that adds a correction to the image: light has 21,827 parameters, heavy 50,851.

    Light: convolutions of side 9, 5 and 5. Heavy: of side 5 and 1, two residual blocks, and of side 1 and 5.

    Args:
        size: ``light`` or ``heavy``.
        channels: of the widest layer of a light tool, which has half as many behind it; a heavy one has twice as many
            in its first layer, and as many inside.
        last_std: deviation of the initial weights of the last layer, so that training begins near the image as it is.

    Raises:
        ValueError: the size is neither.
    """

    def __init__(self, size: str = "light", channels: Channels = 32, last_std: NonNegativeFloat = 0.001) -> None:
        super().__init__()
        if size not in SIZES:
            raise ValueError(f"The size of a tool is {size!r}, but it must be one of {', '.join(SIZES)}.")
        self.layers = _light(channels) if size == "light" else _heavy(channels)
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d)
        nn.init.normal_(last.weight, 0, last_std)
        assert last.bias is not None
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape; it is not clamped."""
        restored: Tensor = x + self.layers(x)
        return restored


class _Residual(nn.Module):
    """A ReLU before each of two convolutions of side 3, added to what they are given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels, channels, 3)
        self.conv2 = _conv(channels, channels, 3)

    def forward(self, features: Tensor) -> Tensor:
        added: Tensor = features + self.conv2(self.conv1(features.relu()).relu())
        return added


def _conv(channels_in: int, channels_out: int, side: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, side, padding=side // 2)


def _light(channels: int) -> nn.Sequential:
    first = _conv(_COLOURS, channels, 9)
    second = _conv(channels, channels // 2, 5)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), _conv(channels // 2, _COLOURS, 5))


def _heavy(channels: int) -> nn.Sequential:
    wide = 2 * channels
    entry = (_conv(_COLOURS, wide, 5), nn.ReLU(), _conv(wide, channels, 1))
    blocks = (_Residual(channels), _Residual(channels))
    return nn.Sequential(*entry, *blocks, _conv(channels, wide, 1), nn.ReLU(), _conv(wide, _COLOURS, 5))


class RLRestore(nn.Module):
    """Tools and the agent that chooses among them: twelve of 436,068 parameters and an agent of 87,863.

    An image of the agent's own size is restored by a chain of at most three tools. Of a larger one the patches that lie
    side by side vote, each with a memory of its own, and the tool that most of them want is applied to the whole. One
    that is smaller is continued by reflection for the agent's eyes.

    Args:
        sizes: of the tools: ``light`` or ``heavy``.
        tool_channels: see `RLRestoreTool`.
        tool_last_std: see `RLRestoreTool`.
        patch: side of what the agent sees, in pixels.
        longest_chain: how many tools are applied at most.
        transposed: whether height and width change places before all else, and again at the end: the published weights
            were trained on images that lay so.
        channels: see `ToolAgent`.
        features: see `ToolAgent`.
        memory: see `ToolAgent`.
        linear_std: see `ToolAgent`.
        conv_fan: see `ToolAgent`.
        value_bias: see `ToolAgent`.

    Raises:
        ValueError: a size is none, or a number is below 1.
    """

    #: The agent looks at the whole image; a tool takes a large one strip by strip.
    sees_whole_image = True

    def __init__(
        self,
        sizes: Sequence[str] = ("light", "light", "heavy", "heavy") * 3,
        tool_channels: Channels = 32,
        tool_last_std: NonNegativeFloat = 0.001,
        patch: Pixels = 63,
        longest_chain: Layers = 3,
        transposed: bool = False,
        channels: Sequence[Channels] = (32, 24, 24, 24),
        features: Channels = 32,
        memory: Channels = 50,
        linear_std: NonNegativeFloat = 0.001,
        conv_fan: str = "fan_out",
        value_bias: FiniteFloat = 0.0,
    ) -> None:
        super().__init__()
        if not sizes or not channels or min(patch, longest_chain, features, memory, *channels) < 1:
            raise ValueError(
                f"RL-Restore is to have {len(sizes)} tools, {longest_chain} of them in a chain, patches of {patch} and "
                f"widths of {list(channels)}, {features} and {memory}, but each must be at least 1."
            )
        self.patch = patch
        self.longest_chain = longest_chain
        self.transposed = transposed
        self.tools = nn.ModuleList(RLRestoreTool(size, tool_channels, tool_last_std) for size in sizes)
        self.agent = ToolAgent(
            len(sizes),
            patch,
            channels,
            features,
            memory,
            linear_std=linear_std,
            conv_fan=conv_fan,
            value_bias=value_bias,
        )

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape; it is not clamped."""
        if self.transposed:
            x = x.transpose(-2, -1)
        restored = torch.cat([self._restored(image) for image in x.split(1)])
        return restored.transpose(-2, -1) if self.transposed else restored

    def chain(self, image: Tensor) -> list[int]:
        """The numbers from 0 of the tools that are applied to `image` `(1, 3, H, W)`, in their order."""
        return self._chain(image.transpose(-2, -1) if self.transposed else image)[0]

    def apply_tool(self, number: int, image: Tensor) -> Tensor:
        """The `image` `(1, 3, H, W)` after the tool `number`, from 0; a large one goes through it in strips."""
        tool = self.tools[number]
        height, width = image.shape[-2:]
        rows = max(1, _AT_ONCE // width)
        if rows >= height:
            restored: Tensor = tool(image)
            return restored
        strips = []
        for top in range(0, height, rows):
            first = max(0, top - _REACH)
            strip = tool(image[..., first : top + rows + _REACH, :])
            strips.append(strip[..., top - first : top - first + rows, :])
        return torch.cat(strips, -2)

    def _restored(self, image: Tensor) -> Tensor:
        return self._chain(image)[1]

    def _chain(self, image: Tensor) -> tuple[list[int], Tensor]:
        """The tools that are applied to `image`, and what comes of it."""
        applied: list[int] = []
        state = None
        for _ in range(self.longest_chain):
            patches = self._patches(image)
            values, state = self._valued(patches, applied, state)
            votes = values.argmax(1).bincount(minlength=self.agent.stop + 1)
            action = int(votes.argmax())
            if action == self.agent.stop:
                break
            image = self.apply_tool(action, image)
            applied.append(action)
        return applied, image

    def _patches(self, image: Tensor) -> Tensor:
        """`(P, 3, patch, patch)`: the patches side by side in `image` `(1, 3, H, W)`, from its first corner."""
        side = self.patch
        if min(image.shape[-2:]) < side:
            image = pad_to_multiple(image, 1, least=side)
        rows, columns = (length // side for length in image.shape[-2:])
        image = image[0, :, : rows * side, : columns * side]
        return image.unflatten(2, (columns, side)).unflatten(1, (rows, side)).permute(1, 3, 0, 2, 4).flatten(0, 1)

    def _valued(
        self, patches: Tensor, applied: Sequence[int], state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The values of all actions for the `patches`, and the memories behind them."""
        summary = torch.cat([self.agent.look(some) for some in patches.split(_PATCHES)])
        last = applied[-1] if applied else None
        before = self.agent.before([last], summary).expand(len(patches), -1)
        values, after = self.agent(summary, before, state or self.agent.start(len(patches), summary))
        return values, after
