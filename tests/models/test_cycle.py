"""Cycle-Dehaze's training: both generators, then both discriminators, and a run that goes on, pools and all."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.first_step import assert_first_steps, logged
from tests.models.interruption import interrupted, parts
from tests.specs import config, spec_of
from torch import Tensor
from torch.nn import functional as F

from limpid import checkpoint
from limpid.errors import CannotRun, UserError
from limpid.losses import L1, WeightedLoss
from limpid.losses.adversarial import Adversarial, LeastSquares
from limpid.losses.cycle import CycleConsistency
from limpid.losses.perceptual import Perceptual
from limpid.models.cycle import CycleModel
from limpid.networks.cycle_dehaze import CycleDehaze
from limpid.networks.patchgan import PatchGAN
from limpid.runs.runner import perform

ROW = "rfd/table5/cycle_dehaze"
SHORT = (
    "trainer.max_steps=4", "trainer.precision=32-true", "log_every=1", "callbacks.checkpoint.every=1", "model.pool=2",
    "trainer.val_check_interval=4", "data.val.clean.count=1", "data.test_images=1",
)  # fmt: skip


def test_a_step_is_the_generators_then_the_discriminators(tmp_path: Path) -> None:
    """Against the step written out."""
    seen: dict[str, Any] = {}
    original = CycleModel.training_step

    def spy(self: CycleModel, batch: Any, batch_idx: int) -> Any:
        seen["batch"] = {key: batch[key].clone() for key in ("input", "clear")}
        seen["before"] = {
            part: copy.deepcopy(getattr(self, part)) for part in ("network", "degrading", "discriminator")
        }
        assert self.loss is not None
        seen["vgg"] = self.loss.terms["cycle_perceptual"].term
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CycleModel, "training_step", spy)
        perform(spec_of(ROW, tmp_path, *SHORT, "trainer.max_steps=1", "trainer.val_check_interval=1"))
    clear_of, hazy_of, judges = seen["before"].values()
    x, y = seen["batch"]["input"], seen["batch"]["clear"]
    assert x.shape == y.shape
    made_clear, made_hazy = clear_of(x), hazy_of(y)
    back_x, back_y = hazy_of(made_clear), clear_of(made_hazy)
    of_clear, of_hazy = judges["clear_images"], judges["degraded_images"]

    def squared(scores: Tensor, to: float) -> Tensor:
        return (scores - to).square().mean()

    total = squared(of_clear(made_clear), 0.9) + squared(of_hazy(made_hazy), 0.9)
    total = total + 10 * 2 * (F.l1_loss(back_x, x) + F.l1_loss(back_y, y))
    for image, back in ((x, back_x), (y, back_y)):
        a, b = (seen["vgg"].vgg(F.interpolate(i, (32, 32), mode="bilinear")) for i in (back, image))
        total = total + 5e-6 * (F.mse_loss(a["pool2"], b["pool2"]) + F.mse_loss(a["pool5"], b["pool5"]))
    gradients = {"network": torch.autograd.grad(total, list(clear_of.parameters()), retain_graph=True)}
    gradients["degrading"] = torch.autograd.grad(total, list(hazy_of.parameters()))
    judged = 0.5 * (squared(of_clear(y), 0.9) + squared(of_clear(made_clear.detach()), 0))
    judged = judged + 0.5 * (squared(of_hazy(x), 0.9) + squared(of_hazy(made_hazy.detach()), 0))
    gradients["discriminator"] = torch.autograd.grad(judged, list(judges.parameters()))
    state = checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    assert_first_steps(seen["before"], gradients, state, 1e-4)
    values = logged(tmp_path)
    assert values["train/loss"] == pytest.approx(total.item(), rel=1e-4)
    assert values["train/discriminator"] == pytest.approx(judged.item(), rel=1e-4)
    assert values["lr"] == 1e-4


def test_the_recipe_is_the_releases() -> None:
    paper = config(ROW, "budget=paper")
    assert (paper["trainer"]["max_steps"], paper["data"]["batch_size"], paper["network"]["side"]) == (200_000, 1, 256)
    assert paper["data"]["resize"] == {"height": 256, "width": 256}
    assert paper["data"]["unpaired"]
    assert paper["optimizer"]["betas"] == [0.5, 0.999]
    assert paper["lr_scheduler"]["constant"] == 0.5
    vgg = paper["loss"]["terms"]["cycle_perceptual"]["term"]["term"]
    assert (vgg["depth"], vgg["origin"], vgg["side"], vgg["image_range"]) == (16, "caffe", 224, [-1, 1])
    again = config("rfd/retrained/cycle_dehaze", "budget=paper")
    assert (again["trainer"]["max_epochs"], again["data"]["batch_size"], again["data"]["crop"]) == (200, 2, 240)
    assert again["optimizer"]["betas"] == [0.9, 0.999]
    assert again["lr_scheduler"]["_target_"].endswith("constant")
    assert again["loss"]["terms"].keys() == paper["loss"]["terms"].keys()


def small(*names: str) -> CycleModel:
    """Narrow generators and discriminators, with these terms of the loss."""
    torch.manual_seed(0)
    terms: dict[str, Any] = {
        "adversarial": lambda: Adversarial(LeastSquares(0.9)),
        "cycle_l1": lambda: CycleConsistency(L1()),
        "perceptual": lambda: CycleConsistency(Perceptual({"pool2": 1.0}, "l2", "random", depth=16)),
    }
    loss = WeightedLoss({name: {"weight": 1.0, "term": terms[name]()} for name in names})
    judges = {name: PatchGAN(channels=4) for name in ("clear_images", "degraded_images")}
    generators = [CycleDehaze(channels=4, blocks=1, side=16) for _ in range(2)]
    return CycleModel(generators[0], "cycle_dehaze", {}, loss, degrading=generators[1], discriminators=judges, pool=2)


@pytest.mark.parametrize("term", ["adversarial", "cycle_l1", "perceptual"])
def test_every_term_teaches_both_generators(term: str) -> None:
    model = small(term)
    learnt: dict[int, set[str]] = {}

    def optimize(player: int, value: Tensor, batch_idx: int) -> None:
        model.zero_grad()
        value.backward()
        learnt[player] = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}

    model.optimize = optimize  # type: ignore[method-assign]
    images = torch.rand(2, 3, 32, 32)
    out = model.training_step({"input": images, "clear": images.flip(3), "name": ["a", "b"]}, 0)  # type: ignore[typeddict-item]
    assert {name.split(".")[0] for name in learnt[0]} == {"network", "degrading"}
    assert {".".join(name.split(".")[:2]) for name in learnt[1]} == {
        "discriminator.clear_images",
        "discriminator.degraded_images",
    }
    assert set(out["terms"]) == {term}
    assert all(len(pool.get_extra_state()) == 2 for pool in model.pools.values())


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    """The pools are full by then, so that what the discriminators see depends on them and on drawn numbers."""
    states = interrupted(ROW, tmp_path, CycleModel, 3, *SHORT)
    assert parts(states["cut"]) == {"network", "degrading", "discriminator", "pools"}
    for name in ("clear_images", "degraded_images"):
        assert states["cut"]["state_dict"][f"pools.{name}._extra_state"].shape == (2, 3, 32, 32)
    rebuilt = checkpoint.network(states["whole"], tmp_path)
    assert isinstance(rebuilt, CycleDehaze), "what restores is the generator of clear images alone"


def test_the_loss_asks_for_the_authors_vgg_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    spec = spec_of(ROW, tmp_path / "run", *SHORT, "training.smoke.vgg16_weights=null")
    words = r"features of VGG-16, but its weights '\S+vgg16-00b39a1b.pth' are not there.*training\.mini\.vgg16_weights\) to .* random"
    with pytest.raises(CannotRun, match=words):
        perform(spec)


def test_a_discriminator_of_another_name_is_refused() -> None:
    judge = {"clear_images": PatchGAN(channels=4), "hazy": PatchGAN(channels=4)}
    with pytest.raises(UserError, match="model.discriminators names clear_images, hazy, but there must be one of"):
        CycleModel(CycleDehaze(4, 1, 16), degrading=CycleDehaze(4, 1, 16), discriminators=judge)
