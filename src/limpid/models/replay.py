"""What Q-learning remembers of its episodes, and how a checkpoint holds it.

An episode is an image and the tools that were applied to it. Tools are frozen, so that its start and its actions say
all of it: a checkpoint holds these alone, a byte a value, and the images between are made again when they are asked
for (docs/decisions/0010-what-a-replay-remembers.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor

#: Applies an action to an image `(1, 3, H, W)`, always with the same bits.
Apply = Callable[[int, Tensor], Tensor]


@dataclass
class Episode:
    """An image, what was done to it, and what came of it.

    Attributes:
        start: the degraded image, uint8 `(3, H, W)`.
        actions: their numbers, one for each move.
        rewards: of the moves, in dB.
        later: the images that the second move and those after it saw, float16 `(3, H, W)`; where some are missing they
            are made again.
    """

    start: Tensor
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    later: list[Tensor] = field(default_factory=list)

    def frames(self, apply: Apply, device: torch.device) -> Tensor:
        """`(moves, 3, H, W)`, float32: what each move saw."""
        missing = len(self.actions) - 1 - len(self.later)
        if missing > 0:
            self.later = []
            image = from_bytes(self.start[None], device)
            for action in self.actions[:-1]:
                image = apply(action, image)
                self.later.append(image[0].half().cpu())
        later = [frame.to(device).float() for frame in self.later[: len(self.actions) - 1]]
        return torch.stack([from_bytes(self.start, device), *later])


def to_bytes(image: Tensor) -> Tensor:
    """An image in [0, 1] at 256 grey levels, uint8 on the CPU, as files hold it."""
    return (image.clamp(0, 1) * 255).round().byte().cpu()


def from_bytes(levels: Tensor, device: torch.device) -> Tensor:
    """Grey levels 0..255 as float32 in [0, 1]."""
    return levels.to(device).float() / 255


class Replay:
    """The episodes of the last so many moves, whole ones alone.

    Args:
        moves: how many are remembered at most.
    """

    def __init__(self, moves: int) -> None:
        self.moves = moves
        self.episodes: list[Episode] = []
        self._held = 0

    def __len__(self) -> int:
        return len(self.episodes)

    def add(self, episode: Episode) -> None:
        """Remember a whole `episode`, and forget the oldest where there are too many moves."""
        self.episodes.append(episode)
        self._held += len(episode.actions)
        while self._held > self.moves and len(self.episodes) > 1:
            self._held -= len(self.episodes.pop(0).actions)

    def sample(self, count: int) -> list[Episode]:
        """`count` episodes, drawn uniformly by PyTorch's generator; one may come twice."""
        return [self.episodes[int(place)] for place in torch.randint(len(self.episodes), (count,))]

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint holds: starts, the number of moves of each episode, and all moves one behind the other."""
        starts = [episode.start for episode in self.episodes]
        actions = list(chain.from_iterable(episode.actions for episode in self.episodes))
        rewards = list(chain.from_iterable(episode.rewards for episode in self.episodes))
        return {
            "starts": torch.stack(starts) if starts else torch.empty(0, dtype=torch.uint8),
            "lengths": torch.tensor([len(episode.actions) for episode in self.episodes], dtype=torch.int64),
            "actions": torch.tensor(actions, dtype=torch.int64),
            "rewards": torch.tensor(rewards, dtype=torch.float64),
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Remember what `state` gave."""
        lengths: Sequence[int] = state["lengths"].tolist()
        actions = state["actions"].split(list(lengths))
        rewards = state["rewards"].split(list(lengths))
        self.episodes = []
        for start, done, got in zip(state["starts"], actions, rewards, strict=True):
            self.episodes.append(Episode(start.clone(), done.tolist(), got.tolist()))
        self._held = sum(lengths)
