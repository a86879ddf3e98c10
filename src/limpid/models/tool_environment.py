"""The environment that RL-Restore's agent acts in: images, tools, and rewards in decibels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limpid.metrics import psnr
from limpid.models.replay import Episode, from_bytes, to_bytes
from limpid.networks.rl_restore import RLRestore
from limpid.networks.tool_agent import ToolAgent

#: The two states `(1, memory)` of an LSTM.
Memory = tuple[Tensor, Tensor]


@dataclass
class Running:
    """An episode that is not over.

    Attributes:
        episode: what was done so far.
        image: as it is now, `(1, 3, H, W)`.
        target: its reference, of the same shape.
        first: the PSNR of the degraded image, in dB.
        now: the PSNR of `image`, in dB.
        memory: of the agent.
    """

    episode: Episode
    image: Tensor
    target: Tensor
    first: float
    now: float
    memory: Memory

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it: tensors and plain values."""
        episode = self.episode
        return {
            "start": episode.start,
            "actions": list(episode.actions),
            "rewards": list(episode.rewards),
            "later": list(episode.later),
            "image": self.image,
            "target": self.target,
            "first": self.first,
            "now": self.now,
            "memory": list(self.memory),
        }

    @classmethod
    def of(cls, state: Mapping[str, Any], device: torch.device) -> Running:
        """The episode whose `state` a checkpoint held, to go on with on `device`."""
        episode = Episode(state["start"], state["actions"], state["rewards"], state["later"])
        hidden, cell = (part.to(device) for part in state["memory"])
        image, target = state["image"].to(device), state["target"].to(device)
        return cls(episode, image, target, state["first"], state["now"], (hidden, cell))


class ToolEnvironment:
    """Images that the tools of a network are applied to, one tool a move.

    A move's reward is the PSNR behind it less that before it (of unclamped images, with `eps` added to the squared
    error). An episode ends with the action that stops, with the longest chain, or where the PSNR falls below that of
    the degraded image. The agent's memory goes on in its own moves alone, not in random ones.

    An episode starts from the image at 256 grey levels, as files hold it.

    Args:
        network: holds the tools and the agent.
        nearly_clean: images of a higher PSNR in dB are passed over.
        eps: see above.
        memory_format: that the tools and the agent compute in.
    """

    def __init__(self, network: RLRestore, nearly_clean: float, eps: float, memory_format: torch.memory_format) -> None:
        self.network = network
        self.nearly_clean = nearly_clean
        self.eps = eps
        self.memory_format = memory_format

    def apply(self, action: int, image: Tensor) -> Tensor:
        """The `image` `(1, 3, H, W)` behind the tool `action`, with the same bits whenever it is asked."""
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            return self.network.apply_tool(action, image.contiguous(memory_format=self.memory_format))

    def begin(self, degraded: Tensor, target: Tensor) -> Running | None:
        """An episode of the image `degraded` `(3, H, W)`; None of one that is nearly clean."""
        start = to_bytes(degraded)
        image = from_bytes(start[None], degraded.device)
        reference = target[None].float()
        quality = self._psnr(image, reference)
        if quality > self.nearly_clean:
            return None
        memory = self.network.agent.start(1, image)
        return Running(Episode(start), image, reference, quality, quality, memory)

    def move(self, running: Running, exploration: float) -> bool:
        """Make one move, and say whether the episode is over.

        Args:
            running: the episode, which goes on.
            exploration: the probability of a random action.
        """
        stop = self.network.agent.stop
        episode = running.episode
        if episode.actions:
            episode.later.append(running.image[0].half().cpu())
        is_random = bool(torch.rand(()) < exploration)
        action = int(torch.randint(stop + 1, ())) if is_random else self._best(running)
        before = running.now
        if action != stop:
            running.image = self.apply(action, running.image)
            running.now = self._psnr(running.image, running.target)
        episode.actions.append(action)
        episode.rewards.append(running.now - before)
        ended = action == stop or len(episode.actions) == self.network.longest_chain
        return ended or running.now < running.first

    def _best(self, running: Running) -> int:
        """The action that the agent values most; its memory goes on."""
        agent = self.network.agent
        last = running.episode.actions[-1] if running.episode.actions else None
        with torch.no_grad(), torch.autocast(running.image.device.type, enabled=False):
            summary = agent.look(running.image.contiguous(memory_format=self.memory_format))
            values, running.memory = agent(summary, agent.before([last], summary), running.memory)
        return int(values.argmax())

    def _psnr(self, image: Tensor, reference: Tensor) -> float:
        return float(psnr(image.contiguous(), reference.contiguous(), eps=self.eps, clamp=False))


def action_values(agent: ToolAgent, frames: Tensor, episodes: Sequence[Episode]) -> Tensor:
    """`(episodes, longest, actions)`: the values at each move of whole episodes, each from an empty memory.

    Args:
        agent: that is asked.
        frames: `(moves, 3, H, W)`: what the moves of all episodes saw, one episode behind the other.
        episodes: what was done; behind the end of a shorter one stand values of no meaning.
    """
    lengths = [len(episode.actions) for episode in episodes]
    longest = max(lengths)
    summary = agent.look(frames)
    rows = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    columns = torch.cat([torch.arange(length) for length in lengths])
    seen = summary.new_zeros(len(lengths), longest, summary.shape[1])
    seen[rows, columns] = summary
    state = agent.start(len(lengths), summary)
    values = []
    for move in range(longest):
        last = [episode.actions[move - 1] if 0 < move < len(episode.actions) else None for episode in episodes]
        at_move, state = agent(seen[:, move], agent.before(last, summary), state)
        values.append(at_move)
    return torch.stack(values, 1)
