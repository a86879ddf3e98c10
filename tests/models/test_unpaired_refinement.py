"""RefineDNet's training: both refiners, then the discriminator, and a run that goes on, pool and all."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.first_step import assert_first_steps, logged
from tests.models.interruption import interrupted, parts
from tests.specs import config, spec_of
from torch.nn import functional as F

from limpid import checkpoint
from limpid.errors import UserError
from limpid.models.refinednet import UnpairedRefinement
from limpid.networks.patchgan import PatchGAN
from limpid.networks.refinednet import RefineDNet
from limpid.runs.runner import perform

ROW = "wmcp/table1/refinednet"
SHORT = (
    "trainer.max_steps=4", "trainer.precision=32-true", "log_every=1", "callbacks.checkpoint.every=1", "model.pool=2",
    "trainer.val_check_interval=4", "data.val.clean.count=1", "data.test_images=1", "skip_metrics=[visible_edge_difference]",
)  # fmt: skip


def test_a_step_is_the_refiners_then_the_discriminator(tmp_path: Path) -> None:
    """Against the step written out, in [-1, 1] as the release has it."""
    seen: dict[str, Any] = {}
    original = UnpairedRefinement.training_step

    def spy(self: UnpairedRefinement, batch: Any, batch_idx: int) -> Any:
        seen["batch"] = {key: batch[key].clone() for key in ("input", "clear")}
        seen["before"] = {part: copy.deepcopy(getattr(self, part)) for part in ("network", "discriminator")}
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UnpairedRefinement, "training_step", spy)
        perform(spec_of(ROW, tmp_path, *SHORT, "trainer.max_steps=1", "trainer.val_check_interval=1"))
    network, judge = seen["before"].values()
    x, y = seen["batch"]["input"], seen["batch"]["clear"]
    found = network(x)
    signed_x, signed_y, refined = 2 * x - 1, 2 * y - 1, 2 * found.refined - 1
    light, t, raw = found.airlight[:, :, None, None], found.transmission, found.raw_transmission
    again = refined * t + light * (1 - t)
    total = 0.05 * (judge(found.refined) - 1).square().mean() + F.l1_loss(again, signed_x)
    total = total + F.l1_loss(network.image_refiner(torch.cat([signed_x, signed_y], 1)), signed_y)
    total = total + 0.5 * (raw[..., 1:] - raw[..., :-1]).abs().mean()
    total = total + 0.5 * (raw[..., 1:, :] - raw[..., :-1, :]).abs().mean()
    gradients = {"network": torch.autograd.grad(total, list(network.parameters()))}
    judged = 0.5 * ((judge(y) - 1).square().mean() + judge(found.refined.detach()).square().mean())
    gradients["discriminator"] = torch.autograd.grad(judged, list(judge.parameters()))
    state = checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    assert_first_steps(seen["before"], gradients, state, 2e-4)
    values = logged(tmp_path)
    assert values["train/loss"] == pytest.approx(total.item(), rel=1e-4)
    assert values["train/discriminator"] == pytest.approx(judged.item(), rel=1e-4)


def test_the_recipe_is_the_releases() -> None:
    for place in (ROW, "wmcp/table2/refinednet"):
        paper = config(place, "budget=paper")
        assert (paper["trainer"]["max_epochs"], paper["data"]["batch_size"], paper["data"]["crop"]) == (90, 1, 256)
        assert paper["data"]["resize"] == {"width": 372}
        assert paper["data"]["unpaired"]
        assert (paper["optimizer"]["lr"], paper["optimizer"]["betas"]) == (2e-4, [0.5, 0.999])
        assert paper["lr_scheduler"]["constant"] == pytest.approx(30 / 90, abs=1e-4)


def test_both_refiners_learn_and_the_prior_has_nothing_to_learn() -> None:
    names = {name.split(".")[0] for name, _ in RefineDNet(channels=4, levels=5, blocks=1).named_parameters()}
    assert names == {"transmission_refiner", "image_refiner"}


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    states = interrupted(ROW, tmp_path, UnpairedRefinement, 3, *SHORT)
    assert parts(states["cut"]) == {"network", "discriminator", "pool"}
    assert states["cut"]["state_dict"]["pool._extra_state"].shape == (2, 3, 32, 32)
    assert isinstance(checkpoint.network(states["whole"], tmp_path), RefineDNet)


def test_another_network_is_refused() -> None:
    with pytest.raises(UserError, match="Conv2d has no prior inside; choose network=refinednet"):
        UnpairedRefinement(torch.nn.Conv2d(3, 3, 1), discriminator=PatchGAN(channels=4))
