"""EPDN's training: discriminators at two scales judge the translated image, the restored one is compared."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.losses.steps import step
from tests.models.first_step import assert_first_steps, logged
from tests.models.interruption import interrupted, parts
from tests.specs import config, spec_of
from torch import Tensor, nn
from torch.nn import functional as F

from limpid import checkpoint
from limpid.config import instantiate
from limpid.errors import UserError
from limpid.losses.feature_matching import FeatureMatching
from limpid.models.pix2pix import Pix2pix
from limpid.networks.patchgan import PatchGAN
from limpid.runs.runner import perform

ROW = "wmcp/table1/epdn"
SHORT = (
    "trainer.max_steps=3", "trainer.precision=32-true", "log_every=1", "callbacks.checkpoint.every=1", "skip_metrics=[visible_edge_difference]",
    "trainer.val_check_interval=3", "data.val.clean.count=1", "data.test_images=1", "data.batch_size=1",
)  # fmt: skip


def features(judge: PatchGAN, image: Tensor) -> list[Tensor]:
    """What a discriminator finds of an image in [0, 1] after each activation, and its scores at last."""
    found, x = [], 2 * image - 1
    for layer in judge.body:
        x = layer(x)
        if isinstance(layer, nn.LeakyReLU):
            found.append(x)
    return [*found, x]


def two_scales(judges: nn.ModuleList, image: Tensor) -> list[list[Tensor]]:
    """The same at full size and at half of it."""
    half = F.avg_pool2d(image, 3, 2, 1, count_include_pad=False)
    return [features(judges[0], image), features(judges[1], half)]  # type: ignore[arg-type]


def test_a_step_is_the_discriminators_then_the_generators(tmp_path: Path) -> None:
    """Against the step written out."""
    seen: dict[str, Any] = {}
    original = Pix2pix.training_step

    def spy(self: Pix2pix, batch: Any, batch_idx: int) -> Any:
        assert self.loss is not None
        seen["batch"] = {key: batch[key].clone() for key in ("input", "target")}
        seen["before"] = {part: copy.deepcopy(getattr(self, part)) for part in ("network", "discriminator")}
        seen["vgg"] = self.loss.terms["perceptual"].vgg
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pix2pix, "training_step", spy)
        perform(spec_of(ROW, tmp_path, *SHORT, "trainer.max_steps=1", "trainer.val_check_interval=1"))
    network, judge = seen["before"].values()
    x, clear = seen["batch"]["input"], seen["batch"]["target"]
    out, y = network(x)

    def pair(image: Tensor) -> Tensor:
        return torch.cat([x, image], 1)

    real, fake = (two_scales(judge.scales, pair(image)) for image in (clear, y.detach()))
    judged = sum(
        0.5 * ((r[-1] - 1).square().mean() + f[-1].square().mean()) / 2 for r, f in zip(real, fake, strict=True)
    )
    assert isinstance(judged, Tensor)
    gradients = {"discriminator": torch.autograd.grad(judged, list(judge.parameters()))}
    state = checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    learnt = copy.deepcopy(judge)
    learnt.load_state_dict({k.removeprefix("discriminator."): v for k, v in state.items() if k[:4] == "disc"})
    made, reference = (two_scales(learnt.scales, pair(image)) for image in (y, clear))
    total = sum((one[-1] - 1).square().mean() for one in made)
    for one, other in zip(made, reference, strict=True):
        assert len(one) == 5
        total = total + 10 * 0.5 * sum(F.l1_loss(a, b.detach()) for a, b in zip(one[:-1], other[:-1], strict=True))
    total = total + F.mse_loss(2 * out - 1, 2 * clear - 1)
    a, b = seen["vgg"](out), seen["vgg"](clear)
    for weight, layer in zip((1 / 32, 1 / 16, 1 / 8, 1 / 4, 1), range(1, 6), strict=True):
        total = total + 10 * weight * F.l1_loss(a[f"relu{layer}_1"], b[f"relu{layer}_1"])
    gradients["network"] = torch.autograd.grad(total, list(network.parameters()))
    assert_first_steps(seen["before"], gradients, state, 2e-4)
    values = logged(tmp_path)
    assert values["train/loss"] == pytest.approx(float(total.detach()), rel=1e-4)
    assert values["train/discriminator"] == pytest.approx(float(judged.detach()), rel=1e-4)


def test_feature_matching_sums_over_layers_and_leaves_the_references() -> None:
    judged = {name: torch.rand(1, 2, 3, 3, requires_grad=True) for name in ("a", "b", "c")}
    reference = {name: value.detach() + 0.5 for name, value in judged.items()}
    term = FeatureMatching(["a", "c"])
    assert term.discriminator_layers == ("a", "c")
    value = term(step(None, {"judged_features": judged, "reference_features": reference}))
    assert float(value.detach()) == pytest.approx(1.0, rel=1e-5)
    value.backward()
    assert judged["b"].grad is None
    assert (judged["a"].grad < 0).all()  # type: ignore[operator]


def test_the_recipe_is_the_releases() -> None:
    for place in (ROW, "wmcp/table2/epdn"):
        paper = config(place, "budget=paper")
        assert (paper["trainer"]["max_epochs"], paper["data"]["batch_size"], paper["data"]["crop"]) == (200, 1, None)
        assert paper["data"]["resize"] == {"multiple": 32}
        assert (paper["optimizer"]["lr"], paper["optimizer"]["betas"]) == (2e-4, [0.6, 0.999])
        vgg = paper["loss"]["terms"]["perceptual"]["term"]
        assert (vgg["normalise"], vgg["image_range"]) == (False, [-1, 1])
    whole = config(ROW, "budget=paper", "data=scenes")["data"]["train"]["clean"]
    assert whole["height"] is None, "made scenes are whole too"


def test_the_discriminators_pad_by_two() -> None:
    """pix2pixHD's; against both written out, from the row's own settings."""
    for place in (ROW, "wmcp/table2/epdn"):
        judges = instantiate.construct(config(place)["model"]["discriminator"], "model.discriminator")
        image = torch.rand(1, 6, 50, 67)
        with torch.no_grad():
            scores = judges(image)
            for judge, found in zip(judges.scales, scores, strict=True):
                x = 2 * image - 1
                for number, layer in enumerate(part for part in judge.body if isinstance(part, nn.Conv2d)):
                    x = F.leaky_relu(x, 0.2) if number else x
                    x = F.conv2d(x, layer.weight, layer.bias, stride=2 if number < 3 else 1, padding=2)
                    x = F.instance_norm(x) if 0 < number < 4 else x
                torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-4)
                image = F.avg_pool2d(image, 3, 2, 1, count_include_pad=False)
        assert [tuple(one.shape[-2:]) for one in scores] == [(10, 12), (6, 8)]


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    states = interrupted(ROW, tmp_path, Pix2pix, 2, *SHORT)
    assert parts(states["cut"]) == {"network", "discriminator"}


def test_an_image_that_the_network_does_not_return_cannot_be_judged(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model.judged is translate, but EPDN returns no image of that name"):
        perform(spec_of(ROW, tmp_path, *SHORT, "model.judged=translate"))
