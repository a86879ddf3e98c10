"""RL-Restore's training: an agent learns by deep Q-learning which of its tools to apply."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from limpid.errors import UserError
from limpid.losses import Step
from limpid.models.batches import Batch, known_of
from limpid.models.replay import Episode, Replay
from limpid.models.restorer import Restorer, StepOutput
from limpid.models.teachers import refuse_another
from limpid.models.tool_environment import Running, ToolEnvironment, action_values
from limpid.models.tool_training import load_tools, refuse_others
from limpid.networks.rl_restore import RLRestore
from limpid.ranges import Count, NonNegativeInt, PositiveFloat, PositiveInt, Share

#: The key of a checkpoint under which the replay and the episodes lie.
_STATE = "deep_q_learning"


class Exploration(TypedDict):
    """How often a random action is taken: linearly from `start` to `end` over `moves`, from the first learning on."""

    start: float
    end: float
    moves: int


class DeepQLearning(Restorer):
    """Deep Q-learning of RL-Restore's agent (Yu et al., CVPR 2018), whose tools are frozen.

    Each image of a batch is one of so many environments. In a step each of them makes one move, where its episode is
    over with the batch's image; then the agent learns once from episodes of the replay. So the batch size is the number
    of moves for each step of the optimizer, and moves are what `learn_from`, `copy_every`, `exploration` and `replay`
    count. The step's images where an episode goes on are not looked at.

    The network that is copied now and then, the replay, the episodes and the number of moves are part of a checkpoint.

    Args:
        arguments: see `Restorer`; the network is an `RLRestore`.
        tools: `ckpt`, a checkpoint whose network has the tools, such as one of `limpid.models.tool_training`; without
            one `weights`: None refuses, ``random`` acts with tools that learnt nothing, which is recorded.
        replay: how many moves are remembered.
        episodes: how many of them a step learns from.
        learn_from: how many moves there are before the first step.
        copy_every: moves between two copies of the agent, which gives the values of what comes next.
        discount: what a value counts one move earlier.
        exploration: see `Exploration`.
        nearly_clean: degraded images of a higher PSNR in dB are passed over.
        psnr_eps: added to the squared error of a PSNR.
        settings: see `Restorer`.

    Raises:
        UserError: the network is another, or a number is out of bounds; (when training begins) a tool's checkpoint does
            not fit, or there are several processes.
        CannotRun: (likewise) a tool has no weights.
    """

    PROVIDES = Restorer.PROVIDES | {"temporal_differences"}

    network: RLRestore

    def __init__(
        self,
        *arguments: Any,
        tools: Mapping[str, str | None] | None = None,
        replay: PositiveInt = 500_000,
        episodes: Count = 32,
        learn_from: NonNegativeInt = 5000,
        copy_every: PositiveInt = 10_000,
        discount: Share = 0.99,
        exploration: Exploration | None = None,
        nearly_clean: PositiveFloat = 50.0,
        psnr_eps: PositiveFloat = 1e-10,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        refuse_others(self)
        if min(replay, episodes, copy_every) < 1 or learn_from < 0 or not 0 <= discount <= 1:
            raise UserError(
                f"model.replay is {replay}, episodes {episodes}, copy_every {copy_every}, learn_from {learn_from} and "
                f"discount {discount}, but the first three must be at least 1, the next 0 or more, the last in [0, 1]."
            )
        self.tools = dict(tools or {})
        self.exploration = _checked(exploration or {"start": 1.0, "end": 0.1, "moves": 1_000_000})
        self.episodes = episodes
        self.learn_from = learn_from
        self.copy_every = copy_every
        self.discount = discount
        self.nearly_clean = nearly_clean
        self.psnr_eps = psnr_eps
        self.replay = Replay(replay)
        self.running: list[Running | None] = []
        self.moves = 0
        self._learnt = False
        self._resumed: list[Mapping[str, Any] | None] = []
        self.network.tools.requires_grad_(False)
        self.target: nn.Module = copy.deepcopy(self.network.agent).requires_grad_(False)

    # Beginning --------------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Load the tools that the agent chooses among."""
        if stage != "fit" or "tools" in self.provenance:
            return
        if self.trainer.world_size > 1:
            raise UserError(
                f"Deep Q-learning remembers its episodes in one process, and there are {self.trainer.world_size}; set "
                "trainer.devices=1."
            )
        self.provenance["tools"] = load_tools(self.network, self.tools.get("ckpt"), self.tools.get("weights"))

    def on_train_start(self) -> None:
        """Copy the agent where training begins, and go on with the episodes of a checkpoint."""
        if not self.moves:
            self.target.load_state_dict(self.network.agent.state_dict())
        self.running = [None if state is None else Running.of(state, self.device) for state in self._resumed]
        self._resumed = []

    # Steps ------------------------------------------------------------------------------------------------------

    @property
    def explores(self) -> float:
        """The probability that the next move is random."""
        start, end = self.exploration["start"], self.exploration["end"]
        moves = self.exploration["moves"]
        done = max(0, self.moves - self.learn_from) / max(1, moves)
        return end + max(0.0, (start - end) * (1 - done))

    def environment(self) -> ToolEnvironment:
        """What the agent acts in."""
        return ToolEnvironment(self.network, self.nearly_clean, self.psnr_eps, self.memory_format)

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The loss of episodes of the replay, after a move of each environment; 0 where there is nothing to learn yet.

        Raises:
            UserError: the images have no references, or not the size that the agent sees.
        """
        assert self.loss is not None
        before = self.moves
        explored = self.explores
        rewards = self.play(batch)
        more = {"train/reward": sum(rewards) / max(1, len(rewards)), "train/exploration": explored}
        logged = {key: torch.tensor(value, dtype=torch.float64) for key, value in more.items()}
        if self.moves <= self.learn_from or not len(self.replay):
            learnable = (p for p in self.network.parameters() if p.requires_grad)
            return self.log_losses(torch.stack([0 * p.sum() for p in learnable]).sum(), {}, logged)
        self._learnt = True
        differences = self.differences(self.replay.sample(self.episodes))
        step = Step(**known_of(batch), output=batch["input"], temporal_differences=differences)
        total, terms = self.loss(step)
        if before // self.copy_every != self.moves // self.copy_every:
            self.target.load_state_dict(self.network.agent.state_dict())
        return self.log_losses(total, terms, logged)

    def play(self, batch: Batch) -> list[float]:
        """The rewards of one move of each environment, in dB; episodes that are over go to the replay."""
        inputs, targets = batch["input"], _references(batch, self.network.patch)
        self.running += [None] * (len(inputs) - len(self.running))
        environment = self.environment()
        rewards = []
        for place in range(len(inputs)):
            running = self.running[place] or environment.begin(inputs[place], targets[place])
            if running is None:
                continue
            over = environment.move(running, self.explores)
            self.moves += 1
            rewards.append(running.episode.rewards[-1])
            if over:
                self.replay.add(running.episode)
            self.running[place] = None if over else running
        return rewards

    def differences(self, episodes: Sequence[Episode]) -> list[Tensor]:
        """Of each episode the values of its actions less their targets, `(moves,)`."""
        apply = self.environment().apply
        frames = torch.cat([episode.frames(apply, self.device) for episode in episodes])
        frames = frames.contiguous(memory_format=self.memory_format)
        # In float32, whatever the trainer's precision: bf16 has steps of 0.03 dB at 4 dB.
        values = action_values(self.network.agent, frames, episodes).float()
        with torch.no_grad():
            next_values = action_values(self.target, frames, episodes).float().amax(-1)  # type: ignore[arg-type]
        found = []
        for row, episode in enumerate(episodes):
            moves = len(episode.actions)
            chosen = values[row, torch.arange(moves), episode.actions]
            rewards = chosen.new_tensor(episode.rewards)
            after = torch.cat([next_values[row, 1:moves], next_values.new_zeros(1)])  # nothing comes after the last
            found.append(chosen - (rewards + self.discount * after))
        return found

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Leave the agent as it is where no batch of this step taught anything."""
        if not self._learnt:
            optimizer.zero_grad()
        self._learnt = False

    # Checkpoints ------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Add what a training needs to go on: the replay, the episodes and the number of moves."""
        super().on_save_checkpoint(checkpoint)
        running = [None if one is None else one.state() for one in self.running]
        checkpoint[_STATE] = {"moves": self.moves, "replay": self.replay.state(), "running": running}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on where the checkpoint was written.

        Raises:
            UserError: the run began with other tools.
        """
        refuse_another(
            "set of tools", "model.tools.ckpt", checkpoint["provenance"].get("tools"), self.provenance.get("tools")
        )
        state = checkpoint.get(_STATE)
        if state is None:  # of another model
            return
        self.moves = state["moves"]
        self.replay.load(state["replay"])
        self._resumed = list(state["running"])


def _references(batch: Batch, patch: int) -> Tensor:
    """The references of a batch, once its images have the agent's size."""
    sides = batch["input"].shape[-2:]
    if tuple(sides) != (patch, patch):
        raise UserError(
            f"RL-Restore's agent sees images of {patch}x{patch}, and those to learn from have {sides[1]}x{sides[0]}; "
            f"set data.crop={patch}, or network.patch to their side."
        )
    if batch.get("target") is None:
        raise UserError(
            f"The agent is rewarded for what comes closer to a reference, and {batch['name'][0]} comes without one; "
            "choose data with references, such as data=scenes_hybrid."
        )
    return batch["target"]


def _checked(exploration: Exploration) -> Exploration:
    start, end = exploration["start"], exploration["end"]
    moves = exploration["moves"]
    if not 0 <= end <= start <= 1 or moves < 0:
        raise UserError(
            f"model.exploration goes from {start} to {end} over {moves} moves, but these are probabilities, the first "
            "not the smaller, and moves are 0 or more."
        )
    return exploration
