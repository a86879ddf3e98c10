"""The training of RL-Restore's tools: each on its own images, and a run that goes on."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.first_step import assert_first_steps
from tests.models.interruption import interrupted, parts
from tests.specs import config, spec_of

import limpid
from limpid import checkpoint
from limpid.data.degradations import ToolDistortion, distort
from limpid.errors import UserError
from limpid.models.tool_training import ToolTraining
from limpid.runs.runner import perform

ROW = "fdr/baselines/rl_restore_tools"
SHORT = (
    "data=scenes_toolbox", "trainer.max_steps=3", "trainer.precision=32-true", "log_every=1", "data.crop=16",
    "callbacks.checkpoint.every=1", "data.test_images=1", "data.val.clean.count=1", "trainer.val_check_interval=3",
    "network.patch=16", "network.channels=[4,4]", "network.features=6", "network.memory=5", "data.batch_size=4",
    "network.tool_last_std=0.1",
)  # fmt: skip


def small() -> ToolTraining:
    torch.manual_seed(0)
    return ToolTraining(limpid.build("rl_restore", tool_channels=4, tool_last_std=0.1, patch=16, channels=[4]))


def test_each_image_goes_through_its_own_tool() -> None:
    made = small()
    x = torch.rand(5, 3, 16, 18, generator=torch.Generator().manual_seed(0))
    tools = [7, 0, 11, 7, 3]
    batch: Any = {"input": x, "target": x, "tool": torch.tensor(tools), "index": torch.arange(5)}
    expected = torch.cat([made.network.tools[tool](image[None]) for tool, image in zip(tools, x, strict=True)])
    torch.testing.assert_close(made.make_step(batch).restored, expected)
    torch.testing.assert_close(made.restore_batch(batch), expected.clamp(0, 1))
    del batch["tool"]  # the tools take turns
    batch["index"] = torch.tensor([12, 13, 26, 3, 4])
    expected = torch.cat(
        [made.network.tools[tool](image[None]) for tool, image in zip([0, 1, 2, 3, 4], x, strict=True)]
    )
    torch.testing.assert_close(made.make_step(batch).restored, expected)


def test_a_step_is_adams_for_each_tool_along_its_own_error(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}
    original = ToolTraining.training_step

    def spy(self: ToolTraining, batch: Any, batch_idx: int) -> Any:
        seen["batch"] = {key: batch[key].clone() for key in ("input", "target", "tool")}
        seen["before"] = copy.deepcopy(self.network)
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ToolTraining, "training_step", spy)
        one = ("trainer.max_steps=1", "trainer.val_check_interval=1", "+optimizer.eps=1e-14")  # gradients are small
        perform(spec_of(ROW, tmp_path, *SHORT, *one))
    batch, network = seen["batch"], seen["before"]
    state = checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    after = {name.removeprefix("network.tools."): value for name, value in state.items() if ".tools." in name}
    asked = set(batch["tool"].tolist())
    for number, tool in enumerate(network.tools):
        mine = batch["tool"] == number
        if number in asked:
            error = (tool(batch["input"][mine]) - batch["target"][mine]).square().sum() / batch["target"].numel()
            gradients = torch.autograd.grad(error, list(tool.parameters()))
            assert_first_steps({str(number): tool}, {str(number): gradients}, after, 1e-3)
        else:
            assert all(torch.equal(after[f"{number}.{name}"], value) for name, value in tool.state_dict().items())


@pytest.mark.slow
def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    states = interrupted(ROW, tmp_path, ToolTraining, 2, *SHORT)
    assert parts(states["cut"]) == {"network"}


def test_the_tools_are_trained_on_their_ranges() -> None:
    expected: list[dict[str, list[float]]] = []
    for kind, edges in {"blur": [0, 1.25, 2.5, 3.75, 5], "noise": [0, 12.5, 25, 37.5, 50]}.items():
        expected += [{kind: list(ends)} for ends in itertools.pairwise(edges)]
    expected += [{"quality": list(ends)} for ends in ((60, 100), (35, 60), (20, 35), (10, 20))]
    row = config(ROW, "budget=paper")
    for part in (row["data"]["train"], row["data"]["val"], row["data"]["test"]["div2k_toolbox"]):
        assert part["degradation"]["tools"] == expected
        assert (part["degradation"]["patch"], part["scales"]) == (63, pytest.approx([1 / 2, 1 / 3, 1 / 4]))
    assert row["network"]["sizes"] == ["light", "light", "heavy", "heavy"] * 3
    assert list(row["loss"]["terms"]) == ["mse"]


def test_a_distortion_is_of_one_tool_and_a_little_of_the_rest() -> None:
    image = np.random.default_rng(0).random((24, 32, 3), dtype=np.float32)
    operator = ToolDistortion([{"blur": [1, 2]}, {"noise": [30, 40]}, {"quality": [10, 20]}])
    seen = set()
    for seed in range(60):
        found = operator({"target": image}, np.random.default_rng(seed))
        blur, noise, quality = found["blur_sigma"], found["noise_sigma"], found["jpeg_quality"]
        low, high = ((1, 2), (30, 40), (10, 20))[found["tool"]]
        assert low <= (blur, noise, quality)[found["tool"]] <= high
        assert found["tool"] == 0 or blur == 0
        assert found["tool"] == 1 or 0 <= noise <= 5
        assert found["tool"] == 2 or 80 <= quality <= 100
        seen.add(found["tool"])
    assert seen == {0, 1, 2}
    rng = np.random.default_rng(5)
    found = operator({"target": image}, rng)
    again = np.random.default_rng(5)
    again.random()  # the scale
    drawn = operator.strengths(again)
    expected = distort(image, drawn["blur_sigma"], drawn["noise_sigma"], drawn["jpeg_quality"], again)
    np.testing.assert_array_equal(found["input"], expected)


def test_what_cannot_be_is_one_sentence() -> None:
    with pytest.raises(UserError, match="A distortion for tools names none"):
        ToolDistortion([])
    with pytest.raises(UserError, match="Tool 2 has a range of 'rain', but a range is of blur, noise, quality"):
        ToolDistortion([{}, {"rain": [0, 1]}])
    with pytest.raises(UserError, match="Tool 1's quality is .* must lie within 1 and 100"):
        ToolDistortion([{"quality": [0, 10]}])
    with pytest.raises(UserError, match="tool 1's noise is .* the lower first"):
        ToolDistortion([{"noise": [3, 1]}])
    with pytest.raises(UserError, match="Conv2d has no tools, which is what ToolTraining"):
        ToolTraining(torch.nn.Conv2d(3, 3, 1))
    x = torch.rand(1, 3, 16, 16)
    with pytest.raises(UserError, match="images for tool 13, and the network has 12"):
        small().make_step({"input": x, "target": x, "tool": torch.tensor([12])})  # type: ignore[typeddict-item]
