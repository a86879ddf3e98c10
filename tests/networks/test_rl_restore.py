"""RL-Restore: its tools and its agent against their definitions, and how images of any size are restored."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import limpid
from limpid.config import instantiate
from limpid.errors import UserError
from limpid.networks.rl_restore import RLRestore, RLRestoreTool
from limpid.networks.tool_agent import ToolAgent

#: Settings that make the network small.
SMALL = {"tool_channels": 4, "channels": [4, 4], "features": 6, "memory": 5, "patch": 16}


def random(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def small(**settings: object) -> RLRestore:
    """A small restorer whose agent and tools are not near zero, as they are at the start."""
    torch.manual_seed(0)
    made: RLRestore = limpid.build("rl_restore", **{**SMALL, **settings})
    for name, parameter in made.named_parameters():
        torch.nn.init.normal_(parameter, 0, 0.05 if name.startswith("tools") else 0.3)
    torch.nn.init.normal_(made.agent.summary.weight, 0, 2)
    for bias in (made.agent.gates.bias, made.agent.values.bias):
        torch.nn.init.zeros_(bias)
    return made.eval()


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_sizes_are_the_papers() -> None:
    net = limpid.build("rl_restore")
    counts = [parameters(tool) for tool in net.tools]
    assert counts == [21_827, 21_827, 50_851, 50_851] * 3
    assert (sum(counts), parameters(net.agent), parameters(net)) == (436_068, 87_863, 523_931)
    assert parameters(limpid.build("rl_restore_tool", size="heavy")) == 50_851
    assert (net.patch, net.longest_chain, net.agent.stop) == (63, 3, 12)


def conv(x: Tensor, layer: torch.nn.Module) -> Tensor:
    weight: Tensor = layer.weight  # type: ignore[assignment]
    return F.conv2d(x, weight, layer.bias, padding=weight.shape[-1] // 2)  # type: ignore[arg-type]


def test_tools_add_a_correction_to_the_image() -> None:
    torch.manual_seed(0)
    x = random((2, 3, 17, 20))
    light, heavy = RLRestoreTool("light", 8, 0.1), RLRestoreTool("heavy", 8, 0.1)
    first, second, last = light.layers[0], light.layers[2], light.layers[4]
    assert [layer.kernel_size[0] for layer in (first, second, last)] == [9, 5, 5]
    expected = x + conv(conv(conv(x, first).relu(), second).relu(), last)
    torch.testing.assert_close(light(x), expected)
    a = conv(conv(x, heavy.layers[0]).relu(), heavy.layers[2])
    for block in heavy.layers[3:5]:
        a = a + conv(conv(a.relu(), block.conv1).relu(), block.conv2)
    expected = x + conv(conv(a, heavy.layers[5]).relu(), heavy.layers[7])
    torch.testing.assert_close(heavy(x), expected)


def test_a_tool_begins_near_the_image() -> None:
    torch.manual_seed(0)
    x = random((1, 3, 20, 20))
    for size in ("light", "heavy"):
        assert (RLRestoreTool(size)(x) - x).abs().mean().item() < 0.01


def test_the_agent_sees_and_remembers_as_written_out() -> None:
    """TensorFlow's SAME padding, its order of flattening and its LSTM, written down."""
    torch.manual_seed(0)
    agent = ToolAgent(tools=3, patch=17, channels=(4, 5), features=6, memory=7, linear_std=0.5)
    for bias in (agent.summary.bias, agent.gates.bias, agent.values.bias):
        torch.nn.init.normal_(bias)
    image = random((2, 3, 17, 17))
    seen = F.conv2d(F.pad(image, (4, 4, 4, 4)), agent.convs[0].weight, agent.convs[0].bias, 2).relu()  # 17 to 9
    seen = F.conv2d(F.pad(seen, (2, 2, 2, 2)), agent.convs[1].weight, agent.convs[1].bias, 2).relu()  # 9 to 5
    assert seen.shape == (2, 5, 5, 5)
    flat = torch.stack([seen[:, c, i, j] for i in range(5) for j in range(5) for c in range(5)], 1)
    summary = (flat @ agent.summary.weight.T + agent.summary.bias).relu()
    torch.testing.assert_close(agent.look(image), summary)
    before = agent.before([None, 2], image)
    assert before.tolist() == [[0, 0, 0], [0, 0, 1]]
    hidden, cell = random((2, 7), 1), random((2, 7), 2)
    together = torch.cat([summary, before, hidden], 1) @ agent.gates.weight.T + agent.gates.bias
    i, j, f, o = together[:, :7], together[:, 7:14], together[:, 14:21], together[:, 21:]
    new_cell = cell * torch.sigmoid(f + 1) + torch.sigmoid(i) * torch.tanh(j)
    new_hidden = torch.tanh(new_cell) * torch.sigmoid(o)
    values, (after, after_cell) = agent(summary, before, (hidden, cell))
    torch.testing.assert_close(values, new_hidden @ agent.values.weight.T + agent.values.bias)
    torch.testing.assert_close(after, new_hidden)
    torch.testing.assert_close(after_cell, new_cell)


def test_uneven_padding_has_its_smaller_half_first() -> None:
    agent = ToolAgent(tools=2, patch=32, channels=(1, 1), features=2, memory=2)
    with torch.no_grad():
        agent.convs[0].weight.zero_()
        agent.convs[0].bias.fill_(1)  # the second convolution sees 16x16 ones: 3 zeros around, 1 before and 2 behind
        agent.convs[1].weight.fill_(1)
        agent.convs[1].bias.zero_()
        seen = agent.convs[1](F.pad(torch.ones(1, 1, 16, 16), (1, 2, 1, 2)))[0, 0]
        agent.summary.weight.zero_()
        agent.summary.weight[0, 0] = 1
        agent.summary.weight[1, -1] = 1
        summary = agent.look(torch.zeros(1, 3, 32, 32))[0]
    assert seen.shape == (8, 8)
    assert summary.tolist() == [seen[0, 0].item(), seen[-1, -1].item()] == [16, 9]


def test_first_weights_are_the_releases() -> None:
    torch.manual_seed(0)
    agent = ToolAgent()
    for layer in agent.convs:
        deviation = math.sqrt(2 / (layer.kernel_size[0] ** 2 * layer.out_channels))
        assert layer.weight.abs().max().item() <= 2 * deviation
        assert layer.weight.std().item() == pytest.approx(0.88 * deviation, rel=0.05)  # of a normal cut at two
    assert agent.summary.weight.std().item() == pytest.approx(0.001, rel=0.05)
    assert agent.values.weight.std().item() == pytest.approx(0.001, rel=0.1)
    assert all(not bias.any() for name, bias in agent.named_parameters() if name.endswith("bias"))


def test_first_weights_can_be_of_usual_size() -> None:
    torch.manual_seed(0)
    agent = ToolAgent(linear_std=0.1, conv_fan="fan_in", value_bias=1.2)
    for layer in agent.convs:
        deviation = math.sqrt(2 / (layer.kernel_size[0] ** 2 * layer.in_channels))
        assert layer.weight.std().item() == pytest.approx(0.88 * deviation, rel=0.05)
    assert agent.summary.weight.std().item() == pytest.approx(0.1, rel=0.05)
    assert agent.values.bias.tolist() == pytest.approx([1.2] * 12 + [0.0])  # stopping is worth 0
    with pytest.raises(UserError, match="conv_fan is 'fan', but it must be one of fan_out, fan_in"):
        limpid.build("rl_restore", conv_fan="fan")


def one_by_one(net: RLRestore, image: Tensor) -> tuple[list[int], Tensor]:
    """The chain of one image of the agent's own size, written down."""
    agent, state, applied = net.agent, net.agent.start(1, image), []
    for _ in range(net.longest_chain):
        last = applied[-1] if applied else None
        values, state = agent(agent.look(image), agent.before([last], image), state)
        action = int(values[0].argmax())
        if action == agent.stop:
            break
        image = net.tools[action](image)
        applied.append(action)
    return applied, image


@torch.no_grad()
def test_images_of_the_agents_size_are_restored_by_chains_of_their_own() -> None:
    net, x = small(), random((6, 3, 16, 16))
    found = [one_by_one(net, image[None]) for image in x]
    torch.testing.assert_close(net(x), torch.cat([image for _, image in found]))
    assert [net.chain(image[None]) for image in x] == [applied for applied, _ in found]
    assert max(len(applied) for applied, _ in found) == 3
    shorter = small(longest_chain=1)
    torch.testing.assert_close(shorter(x[:1]), net.tools[found[0][0][0]](x[:1]))


@torch.no_grad()
def test_stopping_at_once_leaves_the_image() -> None:
    net, x = small(), random((2, 3, 16, 16))
    net.agent.values.bias[-1] = 100
    assert torch.equal(net(x), x)
    assert net.chain(x[:1]) == []


@torch.no_grad()
def test_patches_vote_and_the_tool_acts_on_the_whole() -> None:
    net = small(longest_chain=1)
    x = random((1, 3, 16 * 3 + 5, 16 * 2 + 7))
    x[..., :28, :] *= torch.linspace(0, 1, 39)
    x[..., 30:, :20] = 1
    votes = [one_by_one(net, x[..., i : i + 16, j : j + 16])[0] for i in (0, 16, 32) for j in (0, 16)]
    numbers = [vote[0] if vote else net.agent.stop for vote in votes]
    most = max(range(13), key=lambda action: (numbers.count(action), -action))
    assert len(set(numbers)) > 1, "all want the same tool, so nothing is tested"
    assert most != net.agent.stop
    torch.testing.assert_close(net(x), net.tools[most](x))


@torch.no_grad()
def test_a_small_image_is_continued_for_the_agents_eyes_alone() -> None:
    net = small(longest_chain=1)
    x = random((1, 3, 12, 14))
    chosen = one_by_one(net, F.pad(x, (0, 2, 0, 4), mode="reflect"))[0]
    torch.testing.assert_close(net(x), net.tools[chosen[0]](x))


@torch.no_grad()
def test_a_large_image_goes_through_a_tool_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = small(), random((1, 3, 70, 40))
    whole = [net.apply_tool(number, x) for number in (0, 2)]
    monkeypatch.setattr("limpid.networks.rl_restore._AT_ONCE", 40 * 9)
    monkeypatch.setattr("limpid.networks.rl_restore._PATCHES", 3)
    for number, expected in zip((0, 2), whole, strict=True):
        torch.testing.assert_close(net.apply_tool(number, x), expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_transposed_weights_see_height_and_width_exchanged() -> None:
    net, x = small(), random((2, 3, 16, 16))
    other = small(transposed=True)
    torch.testing.assert_close(other(x), net(x.mT).mT)
    assert other.chain(x[:1]) == net.chain(x[:1].mT)


@pytest.mark.parametrize("settings", [{"size": "middling"}, {"channels": 0}, {"channels": 1}])
def test_a_tool_that_cannot_be_is_one_sentence(settings: dict[str, object]) -> None:
    with pytest.raises(UserError, match="network cannot be made"):
        instantiate.construct({"_target_": "limpid.networks.rl_restore.RLRestoreTool", **settings}, "network")


@pytest.mark.parametrize(
    "settings", [{"sizes": []}, {"patch": 0}, {"longest_chain": 0}, {"channels": []}, {"memory": 0}]
)
def test_a_restorer_that_cannot_be_is_one_sentence(settings: dict[str, object]) -> None:
    with pytest.raises(UserError, match="network cannot be made"):
        instantiate.construct({"_target_": "limpid.networks.rl_restore.RLRestore", **settings}, "network")
