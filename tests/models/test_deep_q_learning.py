"""RL-Restore's agent: the environment's rewards, the targets of its values, steps by value, and a run that goes on."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.first_step import assert_first_steps, logged
from tests.models.interruption import interrupted, parts
from tests.specs import config, spec_of
from torch import Tensor

import limpid
from limpid import checkpoint
from limpid.config import instantiate
from limpid.errors import CannotRun, UserError
from limpid.losses import Step, WeightedLoss
from limpid.losses.temporal_difference import TemporalDifference
from limpid.models.deep_q_learning import DeepQLearning
from limpid.models.replay import Episode, Replay, from_bytes, to_bytes
from limpid.models.tool_environment import Running, ToolEnvironment, action_values
from limpid.models.tool_training import load_tools
from limpid.networks.rl_restore import RLRestore
from limpid.runs.prerequisites import fulfil
from limpid.runs.resolve import resolve
from limpid.runs.runner import perform

ROW = "fdr/table1/rl_restore"
#: Settings of a small network.
NARROW = {"tool_channels": 4, "channels": [4, 4], "features": 6, "memory": 5, "patch": 16}
SHORT = (
    "trainer.max_steps=5", "trainer.precision=32-true", "log_every=1", "callbacks.checkpoint.every=1", "data.crop=16",
    "data.test_images=1", "data.val.clean.count=1", "trainer.val_check_interval=5", "network.patch=16",
    "network.channels=[4,4]", "network.features=6", "network.memory=5", "network.linear_std=0.5", "optimizer.lr=1e-2",
)  # fmt: skip
CPU = torch.device("cpu")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def lively(**settings: Any) -> RLRestore:
    """A small restorer whose agent and tools are not near zero."""
    torch.manual_seed(3)
    made: RLRestore = limpid.build("rl_restore", **{**NARROW, **settings})
    for name, parameter in made.named_parameters():
        torch.nn.init.normal_(parameter, 0, 0.02 if name.startswith("tools") else 0.3)
    torch.nn.init.normal_(made.agent.summary.weight, 0, 2)
    return made


def learner(**settings: Any) -> DeepQLearning:
    loss = WeightedLoss({"temporal_difference": {"weight": 1.0, "term": TemporalDifference()}})
    return DeepQLearning(lively(), loss=loss, **settings)


def world(network: RLRestore) -> ToolEnvironment:
    return ToolEnvironment(network, 50.0, 1e-10, torch.contiguous_format)


def decibels(one: Tensor, other: Tensor) -> float:
    return -10 * math.log10((one.double() - other.double()).square().mean().item() + 1e-10)


def episode(start: Tensor, actions: list[int], rewards: list[float]) -> Episode:
    return Episode(to_bytes(start), actions, rewards)


# The environment ----------------------------------------------------------------------------------------------------


def test_rewards_are_the_gain_of_each_tool_in_decibels() -> None:
    network = lively()
    target = random(3, 16, 16)
    degraded = (target + 0.3 * (random(3, 16, 16, seed=1) - 0.5)).clamp(0, 1)
    running = world(network).begin(degraded, target)
    assert running is not None
    start = (degraded * 255).round() / 255
    assert running.first == pytest.approx(decibels(start, target), abs=1e-4)
    image, rewards, over = start[None], [], False
    torch.manual_seed(0)
    while not over:
        over = world(network).move(running, exploration=1.0)
        action = running.episode.actions[-1]
        with torch.no_grad():
            after = image if action == 12 else network.tools[action](image)
        rewards.append(decibels(after[0], target) - decibels(image[0], target))
        image = after
        below = decibels(image[0], target) < running.first
        assert over == (action == 12 or len(rewards) == 3 or below)
    assert running.episode.rewards == pytest.approx(rewards, abs=1e-3)


def test_an_episode_ends_with_stopping_with_three_tools_or_below_the_input() -> None:
    ended = set()
    for seed in range(32):
        network, target = lively(), random(3, 16, 16, seed=seed)
        running = world(network).begin((target + 0.4 * random(3, 16, 16, seed=99)).clamp(0, 1), target)
        assert running is not None
        torch.manual_seed(seed)
        while not world(network).move(running, exploration=1.0):
            assert running.now >= running.first
            assert 12 not in running.episode.actions
        done = running.episode.actions
        ended.add("stop" if done[-1] == 12 else "below" if running.now < running.first else len(done))
        if done[-1] == 12:
            assert running.episode.rewards[-1] == 0
    assert ended == {"stop", "below", 3}


def test_images_that_are_nearly_clean_are_passed_over() -> None:
    target = (random(3, 16, 16) * 255).round() / 255
    assert world(lively()).begin(target, target) is None
    noisy = target + 0.01 * (random(3, 16, 16, seed=1) - 0.5)
    assert world(lively()).begin((noisy + 0.01).clamp(0, 1), target) is not None


def test_the_memory_goes_on_in_the_agents_own_moves_alone() -> None:
    network, target = lively(), random(3, 16, 16)
    running = world(network).begin(target * 0.9, target)
    assert running is not None
    before = [part.clone() for part in running.memory]
    world(network).move(running, exploration=1.0)
    assert all(torch.equal(now, then) for now, then in zip(running.memory, before, strict=True))
    agent = network.agent
    with torch.no_grad():
        image = running.image
        values, expected = agent(agent.look(image), agent.before(running.episode.actions, image), agent.start(1, image))
    running.episode.actions = running.episode.actions[:1]
    world(network).move(running, exploration=0.0)
    assert running.episode.actions[-1] == int(values.argmax())
    torch.testing.assert_close(running.memory, expected)


# Values and targets -------------------------------------------------------------------------------------------------


def three_episodes() -> list[Episode]:
    one = episode(random(3, 16, 16), [2, 7, 12], [0.5, -0.25, 0.0])
    two = episode(random(3, 16, 16, seed=1), [5], [-1.5])
    return [one, two, episode(random(3, 16, 16, seed=2), [12], [0.0])]


def walked(network: RLRestore, agent: Any, one: Episode) -> list[Tensor]:
    """The values of all actions at each move, image by image."""
    image, state, found = from_bytes(one.start[None], CPU), agent.start(1, torch.zeros(1)), []
    for move, action in enumerate(one.actions):
        last = one.actions[move - 1] if move else None
        values, state = agent(agent.look(image.half().float() if move else image), agent.before([last], image), state)
        found.append(values[0])
        if action != 12:
            with torch.no_grad():
                image = network.tools[action](image)
    return found


def test_values_are_those_of_each_move_from_an_empty_memory() -> None:
    network, episodes = lively(), three_episodes()
    frames = torch.cat([one.frames(world(network).apply, CPU) for one in episodes])
    values = action_values(network.agent, frames, episodes)
    assert values.shape == (3, 3, 13)
    for row, one in enumerate(episodes):
        for move, expected in enumerate(walked(network, network.agent, one)):
            torch.testing.assert_close(values[row, move], expected, rtol=1e-4, atol=1e-4)


def test_differences_are_values_less_rewards_and_what_follows() -> None:
    made, episodes = learner(), three_episodes()
    torch.nn.init.normal_(made.target.values.weight)  # type: ignore[union-attr, arg-type]
    found = made.differences(episodes)
    for one, differences in zip(episodes, found, strict=True):
        own, later = (walked(made.network, agent, one) for agent in (made.network.agent, made.target))
        for move, action in enumerate(one.actions):
            follows = later[move + 1].max().item() if move + 1 < len(one.actions) else 0.0
            expected = own[move][action].item() - (one.rewards[move] + 0.99 * follows)
            assert differences[move].item() == pytest.approx(expected, abs=1e-3)
    sum(part.sum() for part in found).backward()  # type: ignore[union-attr]
    assert made.network.agent.values.weight.grad is not None
    assert made.target.values.weight.grad is None  # type: ignore[union-attr]


def test_rewards_are_not_rounded_to_the_trainers_precision() -> None:
    made = learner()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        one, other = (made.differences([episode(random(3, 16, 16), [12], [reward])])[0] for reward in (4.0, 4.001))
    assert (one - other).item() == pytest.approx(0.001, rel=1e-2)  # bf16 has steps of 0.03 there


def test_the_loss_is_the_releases_mean_for_each_length_weighted_by_its_share() -> None:
    differences = [torch.tensor(d) for d in ([0.5, -3.0, 0.2], [0.1], [2.0], [-0.4, 0.6])]
    by_length = {1: [0.1, 2.0], 2: [-0.4, 0.6], 3: [0.5, -3.0, 0.2]}
    shares = {1: 2 / 4, 2: 1 / 4, 3: 1 / 4}
    huber = {n: [0.5 * d * d if abs(d) <= 1 else abs(d) - 0.5 for d in values] for n, values in by_length.items()}
    expected = sum(shares[n] * sum(values) / len(values) for n, values in huber.items())
    image = torch.zeros(1, 3, 4, 4)
    step = Step(image, None, image, temporal_differences=differences)
    assert TemporalDifference()(step).item() == pytest.approx(expected, rel=1e-6)


def test_exploration_falls_from_the_first_learning_on() -> None:
    made = learner(learn_from=100, exploration={"start": 1.0, "end": 0.1, "moves": 1000})
    for moves, expected in ((0, 1.0), (100, 1.0), (600, 0.55), (1100, 0.1), (9000, 0.1)):
        made.moves = moves
        assert made.explores == pytest.approx(expected)


def test_the_replay_forgets_the_oldest_and_draws_all_alike() -> None:
    replay = Replay(moves=5)
    for number in range(4):
        replay.add(episode(random(3, 16, 16, seed=number), [number, 12], [float(number), 0.0]))
    assert [one.actions[0] for one in replay.episodes] == [2, 3]
    torch.manual_seed(0)
    drawn = [one.actions[0] for one in replay.sample(2000)]
    assert 900 < drawn.count(2) < 1100
    again = Replay(moves=5)
    again.load(replay.state())
    for one, other in zip(replay.episodes, again.episodes, strict=True):
        assert torch.equal(one.start, other.start)
        assert (one.actions, one.rewards) == (other.actions, other.rewards)
    again.add(episode(random(3, 16, 16), [0, 1, 2], [0.0, 0.0, 0.0]))
    assert [one.actions[0] for one in again.episodes] == [3, 0]
    replay = Replay(moves=5)
    replay.load(Replay(moves=5).state())
    assert len(replay) == 0


def test_images_between_are_made_again_to_the_bit() -> None:
    network, target = lively(), random(3, 16, 16)
    running = world(network).begin(target * 0.8 + 0.1, target)
    assert running is not None
    running.first = -100.0  # so that it ends by its length
    torch.manual_seed(4)
    while not world(network).move(running, exploration=1.0):
        pass
    assert len(running.episode.actions) == 3
    kept = running.episode.frames(world(network).apply, CPU)
    forgotten = Episode(running.episode.start, running.episode.actions, running.episode.rewards)
    assert torch.equal(forgotten.frames(world(network).apply, CPU), kept)
    assert kept.shape == (3, 3, 16, 16)


def test_an_episode_that_is_not_over_goes_on_from_its_state() -> None:
    network, target = lively(), random(3, 16, 16)
    first = world(network).begin(target * 0.8 + 0.1, target)
    assert first is not None
    torch.manual_seed(4)
    world(network).move(first, exploration=1.0)
    second = Running.of(copy.deepcopy(first.state()), CPU)
    for running in (first, second):
        torch.manual_seed(5)
        world(network).move(running, exploration=0.5)
    assert first.episode.actions == second.episode.actions
    assert first.episode.rewards == second.episode.rewards
    assert torch.equal(first.image, second.image)


class Shift(torch.nn.Module):
    """A tool that changes the brightness."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def forward(self, x: Tensor) -> Tensor:
        return x + self.amount


def true_values(error: float, shifts: Sequence[float], first: float, moves: int) -> list[float]:
    """What each tool and stopping are worth to a grey image that is off by `error`, by dynamic programming."""
    found = []
    for shift in shifts:
        after = abs(error + shift)
        over = moves == 1 or after > first
        later = 0.0 if over else max(true_values(error + shift, shifts, first, moves - 1))
        found.append(20 * math.log10(abs(error) / after) + 0.99 * later)
    return [*found, 0.0]


def test_learning_finds_the_true_values_and_the_right_tools() -> None:
    """Dark and bright images, and tools that brighten, darken or do nothing; two moves at most."""
    shifts, target = (0.05, -0.05, 0.0), torch.full((3, 8, 8), 0.6)
    torch.manual_seed(0)
    agent = {"channels": [4], "features": 8, "memory": 8, "linear_std": 0.3}
    network: Any = limpid.build("rl_restore", sizes=["light"] * 3, tool_channels=2, patch=8, longest_chain=2, **agent)
    network.tools = torch.nn.ModuleList(Shift(amount) for amount in shifts)
    loss = WeightedLoss({"temporal_difference": {"weight": 1.0, "term": TemporalDifference()}})
    made = DeepQLearning(network, loss=loss)
    starts, done = [target - 51 / 255, target + 51 / 255], set()
    for image, actions in itertools.product(range(2), itertools.product(range(4), repeat=2)):
        running, moves = world(network).begin(starts[image], target), iter(actions)
        assert running is not None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ToolEnvironment, "_best", lambda *_, moves=moves: next(moves))
            while not world(network).move(running, exploration=0.0):
                pass
        if (image, *running.episode.actions) not in done:
            made.replay.add(running.episode)
            done.add((image, *running.episode.actions))
    optimizer = torch.optim.Adam(network.agent.parameters(), lr=2e-2)
    for number in range(200):
        if number % 25 == 0:
            made.target.load_state_dict(network.agent.state_dict())
        differences = made.differences(made.replay.episodes)
        total, _ = made.loss(Step(target[None], None, target[None], temporal_differences=differences))  # type: ignore[misc]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert torch.cat(differences).abs().max().item() < 0.3
    for start, error, right in zip(starts, (-0.2, 0.2), (0, 1), strict=True):
        begun = world(network).begin(start, target)
        assert begun is not None
        summary = network.agent.look(begun.image)
        values = network.agent(summary, network.agent.before([None], summary), begun.memory)[0][0]
        assert values.tolist() == pytest.approx(true_values(error, shifts, 0.2 + 1e-6, 2), abs=0.3)
        assert network.chain(begun.image) == [right, right]


# Steps and runs -----------------------------------------------------------------------------------------------------


def test_a_step_is_adams_along_the_differences(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}
    original = DeepQLearning.differences

    def spy(self: DeepQLearning, episodes: list[Episode]) -> list[Tensor]:
        seen.setdefault("before", copy.deepcopy(self.network))
        seen.setdefault("tools", copy.deepcopy(self.network.tools.state_dict()))
        seen.setdefault("episodes", episodes)
        return original(self, episodes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DeepQLearning, "differences", spy)
        perform(spec_of(ROW, tmp_path, *SHORT, "trainer.max_steps=1", "trainer.val_check_interval=1"))
    network = seen["before"].float()
    total = 0.0
    for one in seen["episodes"]:  # of one move each: the chain is one tool long
        values = walked(network, network.agent, one)[0]
        difference = values[one.actions[0]] - one.rewards[0]
        total = total + torch.nn.functional.huber_loss(difference, torch.zeros(()))
    total = total / len(seen["episodes"])
    gradients = torch.autograd.grad(total, list(network.agent.parameters()))
    state = checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    state = {name.removeprefix("network."): value for name, value in state.items()}
    assert_first_steps({"agent": network.agent}, {"agent": gradients}, state, 1e-2)
    assert all(torch.equal(state[f"tools.{name}"], value) for name, value in seen["tools"].items())
    assert logged(tmp_path)["train/loss"] == pytest.approx(total.item(), rel=1e-4)
    assert logged(tmp_path)["train/exploration"] == 1.0


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    longer = ("network.longest_chain=3", "model.copy_every=5", "model.exploration.moves=8", "model.replay=6")
    states = interrupted(ROW, tmp_path, DeepQLearning, 3, *SHORT, *longer)
    assert parts(states["cut"]) == {"network", "target"}
    assert any(states["cut"]["deep_q_learning"]["running"]), "no episode was in progress, so nothing is tested"
    ends = [states[run]["deep_q_learning"] for run in ("whole", "killed")]
    assert ends[0]["moves"] == ends[1]["moves"] == 10
    for key, value in ends[0]["replay"].items():
        assert torch.equal(value, ends[1]["replay"][key]), key
    assert isinstance(checkpoint.network(states["whole"], tmp_path), RLRestore)
    agent, copied = (
        {k.removeprefix(start): v for k, v in states["whole"]["state_dict"].items() if k.startswith(start)}
        for start in ("network.agent.", "target.")
    )
    assert any(not torch.equal(agent[name], copied[name]) for name in agent)  # the last copy is two moves old


def test_before_it_learns_the_agent_and_adam_stay_as_they_are(tmp_path: Path) -> None:
    perform(spec_of(ROW, tmp_path, *SHORT, "model.learn_from=100", "trainer.max_steps=2"))
    last = checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")
    state = last["state_dict"]
    for name, value in state.items():
        if name.startswith("target."):
            assert torch.equal(value, state["network.agent." + name.removeprefix("target.")])
    assert last["optimizer_states"][0]["state"] == {}  # type: ignore[typeddict-item]
    assert logged(tmp_path)["train/loss"] == 0


def test_batches_that_accumulate_are_one_step(tmp_path: Path) -> None:
    perform(spec_of(ROW, tmp_path, *SHORT, "trainer.accumulate_grad_batches=2", "trainer.max_steps=3"))
    last = checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")
    steps = {int(entry["step"]) for entry in last["optimizer_states"][0]["state"].values()}  # type: ignore[typeddict-item]
    assert steps == {2}  # three batches: two, and one that is left
    assert last["deep_q_learning"]["moves"] == 6  # type: ignore[typeddict-item]


def test_the_recipe_is_the_releases() -> None:
    paper = config(ROW, "budget=paper")
    assert paper["trainer"]["max_steps"] * paper["data"]["batch_size"] == 2_000_000
    model = paper["model"]
    assert [model[key] for key in ("replay", "episodes", "learn_from", "copy_every")] == [500_000, 32, 5000, 10_000]
    assert model["exploration"] == {"start": 1.0, "end": 0.1, "moves": 1_000_000}
    assert (model["discount"], model["nearly_clean"], model["psnr_eps"]) == (0.99, 50.0, 1e-10)
    assert (paper["optimizer"]["lr"], paper["optimizer"]["eps"], paper["network"]["longest_chain"]) == (1e-4, 1e-8, 3)
    first_weights = [paper["network"][key] for key in ("conv_fan", "linear_std", "value_bias")]
    assert first_weights == ["fan_out", 0.001, 0.0]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-4)
    shape = instantiate.construct(paper["lr_scheduler"], "lr_scheduler")(optimizer, steps=500_000)
    rates = [1e-4 * shape.lr_lambdas[0](step) for step in (0, 125_000, 250_000, 500_000)]
    assert rates == pytest.approx([1e-4, 1e-4 * 0.5**0.5, 5e-5, 2.5e-5])


# What is refused ----------------------------------------------------------------------------------------------------


def test_other_networks_and_numbers_are_one_sentence() -> None:
    with pytest.raises(
        UserError, match="Conv2d has no tools, which is what DeepQLearning .*; choose network=rl_restore"
    ):
        DeepQLearning(torch.nn.Conv2d(3, 3, 1))
    for wrong in ({"replay": 0}, {"episodes": 0}, {"copy_every": 0}, {"learn_from": -1}, {"discount": 1.5}):
        with pytest.raises(UserError, match=f"{next(iter(wrong))} "):
            DeepQLearning(lively(), **wrong)
    with pytest.raises(UserError, match=r"exploration goes from 0.1 to 0.5"):
        DeepQLearning(lively(), exploration={"start": 0.1, "end": 0.5, "moves": 3})
    with pytest.raises(UserError, match="leave it false"):
        DeepQLearning(lively(transposed=True), loss=learner().loss)


def test_batches_that_teach_nothing_are_one_sentence() -> None:
    made = learner()
    batch: Any = {"input": random(1, 3, 16, 20), "target": random(1, 3, 16, 20), "name": ["a"]}
    with pytest.raises(UserError, match=r"sees images of 16x16, and those to learn from have 20x16; set data.crop=16"):
        made.play(batch)
    with pytest.raises(UserError, match="a comes without one; choose data with references"):
        made.play({"input": random(1, 3, 16, 16), "name": ["a"]})  # type: ignore[typeddict-item]


def test_tools_come_from_a_checkpoint_or_are_refused(tmp_path: Path) -> None:
    network, other = lively(), lively(longest_chain=1)
    torch.nn.init.ones_(other.tools[3].layers[0].bias)
    content = {"limpid": 1, "network": "rl_restore", "network_config": NARROW, "provenance": {"row": "a row"}}
    weights = {f"network.{name}": value for name, value in other.state_dict().items()}
    checkpoint.save({**content, "state_dict": weights}, tmp_path / "tools.ckpt")
    agent = copy.deepcopy(network.agent.state_dict())
    origin = load_tools(network, tmp_path / "tools.ckpt", None)
    assert origin["trained"] == {"row": "a row"}
    assert origin["weights"] == checkpoint.weights_fingerprint(other.tools.state_dict())
    assert all(torch.equal(value, other.tools.state_dict()[n]) for n, value in network.tools.state_dict().items())
    assert all(torch.equal(value, agent[n]) for n, value in network.agent.state_dict().items())
    assert load_tools(network, None, "random")["random"] is True
    with pytest.raises(CannotRun, match=r"train them \(`limpid train \+fdr/baselines=rl_restore_tools`\)"):
        load_tools(network, None, None)
    with pytest.raises(UserError, match="weights is 'some', but it must be null or random"):
        load_tools(network, None, "some")
    with pytest.raises(UserError, match="do not fit the network they name"):
        load_tools(lively(tool_channels=8), tmp_path / "tools.ckpt", None)
    checkpoint.save({**content, "network": "dncnn", "state_dict": weights}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="holds the network dncnn, which has no tools"):
        load_tools(network, tmp_path / "other.ckpt", None)


def test_the_row_asks_for_its_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path))
    spec = resolve(["+fdr/table1=rl_restore", "data=scenes_hybrid", "budget=mini"])
    assert list(spec.prerequisites) == ["row:fdr/baselines/rl_restore_tools"]
    needed = spec.prerequisites["row:fdr/baselines/rl_restore_tools"]
    assert needed.choices["data"] == "scenes_toolbox"  # of the scenes that were asked for
    with pytest.raises(UserError, match=r"limpid train \+fdr/baselines=rl_restore_tools"):
        fulfil(spec, lambda needed: None)


def test_a_run_does_not_go_on_with_other_tools() -> None:
    made = learner()
    made.provenance["tools"] = {"weights": "another"}
    with pytest.raises(UserError, match="This run began with another set of tools"):
        made.on_load_checkpoint({"provenance": {"tools": {"weights": "one"}}})
