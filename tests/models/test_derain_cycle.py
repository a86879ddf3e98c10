"""DerainCycleGAN's training: both generators with one attention, then both discriminators, and a run that goes on."""

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
from limpid.errors import UserError
from limpid.models.derain_cycle import DerainCycle
from limpid.networks.cycle_dehaze import CycleDehaze
from limpid.networks.derain_cycle_gan import DerainCycleGAN, DerainGenerator, MultiScaleDiscriminator
from limpid.networks.patchgan import PatchGAN
from limpid.runs.runner import perform

ROW, MODEL = "uni_removal/table2/derain_cycle_gan", "derain_cycle_gan"
SHORT = (
    "trainer.max_steps=3", "trainer.precision=32-true", "log_every=1", "callbacks.checkpoint.every=1", "model.pool=2",
    "data.val=null", "data=scenes_rain", "data.test_images=1",
    "pictures=0",
    "data.test.scenes_rain.clean.height=32", "data.test.scenes_rain.clean.width=32",
)  # fmt: skip


def test_a_step_is_the_generators_then_the_discriminators(tmp_path: Path) -> None:
    """Against the step written out, as images in [-1, 1] have it."""
    seen: dict[str, Any] = {}
    original = DerainCycle.training_step

    def spy(self: DerainCycle, batch: Any, batch_idx: int) -> Any:
        seen["batch"] = {key: batch[key].clone() for key in ("input", "clear")}
        seen["before"] = {
            part: copy.deepcopy(getattr(self, part)) for part in ("network", "degrading", "discriminator")
        }
        assert self.loss is not None
        seen["vgg"], seen["drawn"] = self.loss.terms["perceptual"].vgg, torch.get_rng_state()
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DerainCycle, "training_step", spy)
        once = ("trainer.max_steps=1", "network.weight_std=0.2")
        perform(spec_of(MODEL, tmp_path, *SHORT, *once))
    network, back, judges = seen["before"].values()
    A, B = (2 * seen["batch"][key] - 1 for key in ("input", "clear"))
    urad, forth = network.attention, network.generator
    m_A, m_B = urad(A), urad(B)
    fA, fB = forth(A, m_A), back(B, m_B)
    rA, rB = back(fA, urad(fA)), forth(fB, urad(fB))
    of_clear, of_rainy = judges["clear_images"], judges["degraded_images"]

    def judged(judge: MultiScaleDiscriminator, images: Tensor) -> list[Tensor]:
        return judge((images + 1) / 2)

    def squared(scores: Tensor, to: float) -> Tensor:
        return (scores - to).square().mean()

    torch.set_rng_state(seen["drawn"])
    noise = torch.rand_like(m_A)
    features = [seen["vgg"].module.features(images) for images in (fA, A)]
    total = squared(judged(of_clear, fA)[0], 1) + squared(judged(of_rainy, fB)[0], 1)
    total = total + 10 * (F.l1_loss(rA, A) + F.l1_loss(rB, B)) + 0.01 * F.mse_loss(*features)
    total = total + 10 * ((m_A + fA - A).square().mean() + m_B.square().mean() + squared(m_A, noise))
    gradients = {"network": torch.autograd.grad(total, list(network.parameters()), retain_graph=True)}
    gradients["degrading"] = torch.autograd.grad(total, list(back.parameters()))
    loss = torch.zeros(())
    for judge, real, made in ((of_clear, B, fA.detach()), (of_rainy, A, fB.detach())):
        scores = zip(judged(judge, real), judged(judge, made), strict=True)
        halves = [squared(one, 1) + squared(other, 0) for one, other in scores]
        loss = loss + 0.5 * sum(halves) / 3
    gradients["discriminator"] = torch.autograd.grad(loss, list(judges.parameters()))
    for part, module in seen["before"].items():  # Adam's own decay is added to the gradient
        gradients[part] = [g + 1e-4 * p.detach() for g, p in zip(gradients[part], module.parameters(), strict=True)]
    values = logged(tmp_path)
    assert values["train/loss"] == pytest.approx(total.item(), rel=1e-4)
    assert values["train/discriminator"] == pytest.approx(loss.item(), rel=1e-4)
    state = checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    assert_first_steps(seen["before"], gradients, state, 1e-4)


@pytest.mark.slow  # test_cycle has one of this kind of training
def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    """The pools are full by then, and the masks are compared with drawn numbers."""
    states = interrupted(MODEL, tmp_path, DerainCycle, 2, *SHORT)
    assert parts(states["cut"]) == {"network", "degrading", "discriminator", "pools"}
    for name in ("clear_images", "degraded_images"):
        assert states["cut"]["state_dict"][f"pools.{name}._extra_state"].shape == (2, 3, 32, 32)
    assert isinstance(checkpoint.network(states["whole"], tmp_path), DerainCycleGAN)


def test_the_recipe_is_the_releases() -> None:
    paper = config(ROW, "budget=paper")
    assert (paper["trainer"]["max_epochs"], paper["data"]["batch_size"], paper["data"]["crop"]) == (400, 1, 216)
    assert paper["data"]["resize"] == {"height": 256, "width": 256}
    assert (paper["optimizer"]["lr"], paper["optimizer"]["betas"]) == (1e-4, [0.5, 0.999])
    assert (paper["optimizer"]["weight_decay"], paper["lr_scheduler"]["constant"]) == (1e-4, 0.5)
    assert (paper["model"]["pool"], paper["model"]["game"]["clear"]) == (50, 1.0)
    terms = paper["loss"]["terms"]
    assert {name: term["weight"] for name, term in terms.items()} == {
        "adversarial": 2.0, "cycle_l1": 20.0, "perceptual": 0.01,
        "mask_and_image": 10.0, "mask_of_clear": 10.0, "mask_noise": 10.0,
    }  # fmt: skip
    vgg = terms["perceptual"]["term"]
    assert (vgg["depth"], vgg["origin"], vgg["layers"], vgg["normalise"]) == (16, "caffe", {"relu3_3": 1.0}, False)


def test_other_networks_and_discriminators_are_refused() -> None:
    network, back = DerainCycleGAN(4, 4, 1, 1), DerainGenerator(4)
    judges = {name: MultiScaleDiscriminator(channels=4) for name in ("clear_images", "degraded_images")}
    with pytest.raises(UserError, match="CycleDehaze does not find that; choose network=derain_cycle_gan"):
        DerainCycle(CycleDehaze(4, 1, 16), degrading=back, discriminators=judges)
    other = {**judges, "degraded_images": PatchGAN(channels=4)}
    with pytest.raises(UserError, match="degraded_images is a PatchGAN, but this training needs a"):
        DerainCycle(network, degrading=back, discriminators=other)
