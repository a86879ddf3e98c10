"""Super-resolution as a system: the pairs it makes, the slower last layer, the facts of tables 1 to 4."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.specs import config, same_run, spec_of

import limpid
from limpid.data.degradations import imresize
from limpid.errors import UserError
from limpid.losses import MSE, WeightedLoss
from limpid.models.super_resolution import SuperResolution, TeacherScores, scaled
from limpid.runs.runner import perform


def system(name: str = "dsc_mc_fsrcnn", scale: int = 2, **settings: Any) -> SuperResolution:
    loss = WeightedLoss({"mse": {"weight": 3.0, "term": MSE()}})
    return SuperResolution(limpid.build(name, scale=scale), name, {"scale": scale}, loss=loss, **settings)


@pytest.mark.parametrize(
    ("scale", "target_scale", "small", "large"),
    [(2, 1, (230, 310), (460, 620)), (4, 1, (115, 155), (460, 620)), (2, 2, (460, 620), (920, 1240)),
     (4, 2, (230, 310), (920, 1240))],
)  # fmt: skip
def test_pairs_have_the_sizes_of_the_tables(scale: int, target_scale: int, small: Any, large: Any) -> None:
    clean = torch.rand(1, 3, 460, 620)
    made = system(scale=scale, target_scale=target_scale)
    low, high = made.pair(clean)
    assert (tuple(low.shape[-2:]), tuple(high.shape[-2:])) == (small, large)
    assert torch.equal(high if target_scale == 1 else low, clean) or scale > target_scale > 1
    odd = made.pair(torch.rand(1, 3, 37, 50))
    assert [side * scale for side in odd[0].shape[-2:]] == list(odd[1].shape[-2:])


@pytest.mark.parametrize("size", [(12, 16), (48, 64)])
def test_bicubic_is_imresize_away_from_the_border(size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, 24, 32)
    ours = scaled(image, size)
    reference = torch.from_numpy(imresize(image[0].permute(1, 2, 0).numpy(), size=size)).permute(2, 0, 1).clamp(0, 1)
    margin = size[0] // 6
    inner = (slice(margin, -margin), slice(margin, -margin))
    torch.testing.assert_close(ours[0][:, *inner], reference[:, *inner], rtol=0, atol=1e-5)
    assert scaled(image, (24, 32)) is image


def test_a_batch_shows_what_interpolation_gives() -> None:
    clean = torch.rand(2, 3, 24, 32)
    batch: dict[str, Any] = {"input": torch.zeros(2, 3, 24, 32), "target": clean, "name": ["a", "b"]}
    made = system()
    assert made.degrade(batch) is batch
    assert torch.equal(batch["target"], clean)
    assert torch.equal(batch["small"], scaled(clean, (12, 16)))
    assert torch.equal(batch["input"], scaled(batch["small"], (24, 32)))
    with pytest.raises(UserError, match="photo comes without one; choose data with references"):
        made.degrade({"input": clean, "name": ["photo"]})


def test_the_loss_is_the_sum_of_the_branches_errors() -> None:
    made = system()
    clean = torch.rand(2, 3, 24, 32)
    total = made.training_step({"input": clean, "target": clean, "name": ["a", "b"]}, 0)["loss"]
    restored = made.network(scaled(clean, (12, 16)))
    expected = torch.stack([(restored[:, c] - clean[:, c]).square().mean() for c in range(3)]).sum()
    torch.testing.assert_close(total, expected)
    # No branch sees another's error.
    (restored[:, 0] - clean[:, 0]).square().sum().backward()
    weight = dict(made.network.named_parameters())["extract.0.weight"].grad
    assert weight is not None
    assert weight[:56].abs().sum() > 0
    assert weight[56:].abs().sum() == 0


def test_teachers_are_trained_in_float32() -> None:
    clean = torch.rand(1, 3, 24, 32)

    def loss(full_precision: bool, dtype: torch.dtype | None) -> torch.Tensor:
        torch.manual_seed(0)
        made = system(full_precision=full_precision)
        torch.nn.init.normal_(made.network.get_parameter("upsample.0.weight"), std=0.05)
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            step: torch.Tensor = made.training_step({"input": clean, "target": clean, "name": ["a"]}, 0)["loss"]
        return step

    exact = loss(True, None)
    assert torch.equal(loss(True, torch.bfloat16), exact)
    assert not torch.equal(loss(False, torch.bfloat16), exact)


def test_the_last_layer_learns_ten_times_more_slowly() -> None:
    adam = functools.partial(torch.optim.Adam, lr=1e-3)
    made = system(optimizer=adam, last_layer="upsample", last_layer_rate=0.1)
    assert made.optimizer is not None
    optimizer = made.optimizer(p for p in made.network.parameters() if p.requires_grad)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-3, 1e-4])
    slow = dict(made.network.named_parameters())
    assert {id(p) for p in optimizer.param_groups[1]["params"]} == {
        id(slow["upsample.0.weight"]), id(slow["upsample.0.bias"]),
    }  # fmt: skip
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(slow)
    alike = system(optimizer=adam)
    assert alike.optimizer is adam


def test_facts_stand_beside_the_scores_of_restored_images_alone() -> None:
    scores = TeacherScores({"psnr": lambda restored, target: torch.zeros(len(restored))})
    scores.start(["a"])
    scores.facts = {"params_k": 26.451}
    image = torch.rand(1, 3, 4, 4)
    scores.add(0, {"index": torch.tensor([0]), "name": ["x"], "target": image, "input": image}, image)
    assert scores.summary()["a"]["params_k"] == {"mean": 26.451, "n": 1, "protocol": "params_k"}
    assert set(scores.summary("input_")["a"]) == {"psnr"}


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(UserError, match="The network rfd_student does not enlarge"):
        SuperResolution(limpid.build("rfd_student", groups=1, blocks=1), "rfd_student", {})
    with pytest.raises(UserError, match="interpolation is 'nearest'"):
        system(interpolation="nearest")


def test_tables_differ_in_the_high_resolution_alone() -> None:
    first, second = config("rfd/table3/dsc_mc_fsrcnn"), config("rfd/table4/dsc_mc_fsrcnn")
    assert (first["model"].pop("target_scale"), second["model"].pop("target_scale")) == (1, 2)
    for part in ("model", "network", "loss", "data", "optimizer", "trainer"):
        assert first[part] == second[part]
    assert config("rfd/table1/fsrcnn_4x")["network"]["scale"] == 4


def test_the_best_epoch_survives_an_interruption(tmp_path: Path) -> None:
    def run(steps: int, **changes: Any) -> dict[str, Any]:
        (tmp_path / "metrics.json").unlink(missing_ok=True)
        settings = (f"trainer.max_steps={steps}", "trainer.val_check_interval=1", "callbacks.checkpoint.every=1")
        spec = spec_of("rfd/table1/mc_fsrcnn", tmp_path, *settings, "optimizer.lr=0.05", *changes.get("more", ()))
        return dict(perform(same_run(spec)).metrics["scenes"])

    first = run(2)
    # A last layer that is thrown far off cannot do better afterwards.
    second = run(3, more=["model.last_layer_rate=1000"])
    assert second["epoch"]["mean"] <= first["epoch"]["mean"] + 1 * 2 / 20000
    assert second["params_k"]["mean"] == pytest.approx(38.427)
