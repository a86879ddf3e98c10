"""DeblurGAN's training: several steps of the discriminator and one of the network on each batch, and a run that goes on."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.first_step import logged
from tests.models.interruption import interrupted, parts
from tests.models.plain import trainer
from tests.specs import config, spec_of
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from limpid import checkpoint, lr_schedulers
from limpid.errors import UserError
from limpid.losses import MSE, WeightedLoss
from limpid.losses.adversarial import Adversarial, Wasserstein
from limpid.models.repeated_discriminator import RepeatedDiscriminator
from limpid.networks.deblurgan import DeblurGAN
from limpid.networks.patchgan import PatchGAN
from limpid.runs.runner import perform

ROW, MODEL = "fdr/table3/deblurgan", "deblurgan"
SHORT = (
    "trainer.max_steps=3", "trainer.precision=32-true", "log_every=1", "callbacks.checkpoint.every=1",
    "data.val=null", "data=scenes_blur", "data.test_images=1",
    "pictures=0",
    "data.test.scenes_blur.clean.height=32", "data.test.scenes_blur.clean.width=32",
)  # fmt: skip


def test_a_step_is_two_of_the_discriminator_and_one_of_the_network(tmp_path: Path) -> None:
    """Against the steps written out, dropout and the penalty's shares drawn alike."""
    seen: dict[str, Any] = {}
    original = RepeatedDiscriminator.training_step

    def spy(self: RepeatedDiscriminator, batch: Any, batch_idx: int) -> Any:
        seen["batch"] = {key: batch[key].clone() for key in ("input", "target")}
        seen["before"] = (copy.deepcopy(self.network), copy.deepcopy(self.discriminator))
        assert self.loss is not None
        seen["vgg"], seen["drawn"] = self.loss.terms["perceptual"].vgg, torch.get_rng_state()
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RepeatedDiscriminator, "training_step", spy)
        perform(spec_of(MODEL, tmp_path, *SHORT, "trainer.max_steps=1"))
    network, judge = seen["before"]
    x, y = seen["batch"]["input"], seen["batch"]["target"]
    players = [torch.optim.Adam(one.parameters(), 1e-4, (0.5, 0.999)) for one in (network, judge)]
    torch.set_rng_state(seen["drawn"])
    restored = network(x.contiguous(memory_format=torch.channels_last))

    def raw(images: Tensor) -> Tensor:
        """The discriminator on images in [-1, 1], which it makes of images in [0, 1] otherwise."""
        scores: Tensor = judge((images + 1) / 2)
        return scores

    for _ in range(2):
        share = torch.rand(2, 1, 1, 1)
        mixed = torch.lerp(2 * restored.detach() - 1, 2 * y - 1, share).requires_grad_()
        (gradient,) = torch.autograd.grad(raw(mixed).sum(), mixed, create_graph=True)
        bound = ((gradient.square().sum(1).sqrt() - 1) ** 2).mean()
        judged = judge(restored.detach()).mean() - judge(y).mean() + 10 * bound
        players[1].zero_grad()
        judged.backward()
        players[1].step()
    features = [seen["vgg"].module.features(2 * images - 1) for images in (restored, y)]
    total = -judge(restored).mean() + 100 * F.mse_loss(*features)
    total.backward()
    players[0].step()
    state = checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    for part, module in (("network", network), ("discriminator", judge)):
        gradients = {name: value.grad for name, value in module.named_parameters() if value.grad is not None}
        greatest = max(float(gradient.abs().max()) for gradient in gradients.values())
        for name, value in module.named_parameters():
            # Adam's steps are the gradient's sign, which rounding decides where there is next to none.
            clearly = gradients[name].abs() > 1e-2 * greatest
            found = state[f"{part}.{name}"]
            torch.testing.assert_close(found[clearly], value.detach()[clearly], rtol=1e-4, atol=1e-5, msg=name)
    values = logged(tmp_path)
    assert values["train/loss"] == pytest.approx(total.item(), rel=1e-3)
    assert values["train/discriminator"] == pytest.approx(judged.item(), rel=1e-3)


def small(steps: int = 2, penalty: float = 10.0) -> RepeatedDiscriminator:
    torch.manual_seed(0)
    terms = {
        "adversarial": {"weight": 1.0, "term": Adversarial(Wasserstein())},
        "mse": {"weight": 1.0, "term": MSE()},
    }
    network, judge = DeblurGAN(4, 1, dropout=0.0), PatchGAN(channels=4, layers=2, padding=2)
    return RepeatedDiscriminator(
        network,
        loss=WeightedLoss(terms),
        optimizer=functools.partial(torch.optim.SGD, lr=0.1),
        lr_scheduler=functools.partial(lr_schedulers.constant_then_linear, constant=0.0),
        discriminator=judge,
        discriminator_steps=steps,
        penalty=penalty,
    )


def pairs(count: int, batch_size: int) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, count, 3, 16, 16, generator=generator)
    return DataLoader(list(zip(images[0], images[1], strict=True)), batch_size=batch_size)


def test_batches_that_accumulate_are_one_larger_batch(tmp_path: Path) -> None:
    """Of shares there are none: they are drawn in another order."""
    whole, halves = small(penalty=0.0), small(penalty=0.0)
    trainer(tmp_path, max_epochs=1).fit(whole, pairs(4, 2))
    own = trainer(tmp_path, max_epochs=1, accumulate_grad_batches=2)
    own.fit(halves, pairs(4, 1))
    assert own.global_step == 2 * 2 + 2
    for (name, expected), (_, found) in zip(whole.state_dict().items(), halves.state_dict().items(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, msg=name)
    before = small().state_dict()["discriminator.body.0.weight"]
    assert not torch.allclose(before, whole.state_dict()["discriminator.body.0.weight"], atol=1e-4)


def test_each_learning_rate_ends_with_its_last_step(tmp_path: Path) -> None:
    model, own = small(3), trainer(tmp_path, max_epochs=1)
    own.fit(model, pairs(4, 1))
    network, judge = (entry.scheduler for entry in own.lr_scheduler_configs)
    assert (network.last_epoch, judge.last_epoch) == (4, 12)
    assert [optimizer.param_groups[0]["lr"] for optimizer in own.optimizers] == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.slow
def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    states = interrupted(MODEL, tmp_path, RepeatedDiscriminator, 2, *SHORT)
    assert parts(states["cut"]) == {"network", "discriminator"}
    assert isinstance(checkpoint.network(states["whole"], tmp_path), DeblurGAN)


def test_the_recipe_is_the_releases() -> None:
    paper = config(ROW, "budget=paper")
    assert (paper["trainer"]["max_epochs"], paper["data"]["batch_size"], paper["data"]["crop"]) == (300, 1, 256)
    assert paper["data"]["resize"] == {"height": 360, "width": 640}
    assert paper["data"]["augment"] == {"_target_": "albumentations.HorizontalFlip", "p": 0.5}
    assert (paper["optimizer"]["lr"], paper["optimizer"]["betas"]) == (1e-4, [0.5, 0.999])
    assert paper["lr_scheduler"]["constant"] == 0.5
    model, terms = paper["model"], paper["loss"]["terms"]
    assert (model["discriminator_steps"], model["penalty"], model["penalty_per_pixel"]) == (5, 10, True)
    assert (model["discriminator"]["layers"], model["discriminator"]["padding"]) == (3, 2)
    assert {name: term["weight"] for name, term in terms.items()} == {"adversarial": 1.0, "perceptual": 100.0}
    vgg = terms["perceptual"]["term"]
    assert (vgg["layers"], vgg["normalise"], vgg["image_range"]) == ({"conv3_3": 1.0}, False, [-1, 1])


@pytest.mark.parametrize("settings", [{"discriminator_steps": 0}, {"penalty": -1.0}])
def test_steps_and_penalties_that_are_none_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UserError, match="at least 1 step on each batch, with a penalty of 0 or more"):
        RepeatedDiscriminator(nn.Conv2d(3, 3, 1), discriminator=nn.Conv2d(3, 1, 1), **settings)  # type: ignore[arg-type]
