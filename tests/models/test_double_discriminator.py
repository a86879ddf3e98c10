"""DeblurGAN-v2's training: two discriminators, a relativistic game, a backbone that is frozen first, a run that goes on."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.first_step import assert_first_steps, logged
from tests.models.interruption import interrupted, parts
from tests.models.plain import loader, trainer
from tests.specs import config, spec_of
from torch import Tensor, nn
from torch.nn import functional as F

from limpid import checkpoint
from limpid.errors import UserError
from limpid.losses import MSE, WeightedLoss
from limpid.losses.relativistic import RelativisticAdversarial
from limpid.models.double_discriminator import DoubleDiscriminator
from limpid.networks.deblurgan_v2 import DeblurGANv2
from limpid.networks.patchgan import PatchGAN
from limpid.networks.vgg import IMAGENET_MEAN, IMAGENET_STD
from limpid.runs.runner import perform

ROW, MODEL = "fdr/table3/inception_resnet", "deblurgan_v2"
SHORT = (
    "trainer.max_steps=3", "trainer.precision=32-true", "log_every=1", "callbacks.checkpoint.every=1",
    "data.val=null", "data=scenes_blur", "data.test_images=1",
    "pictures=0",
    "data.test.scenes_blur.clean.height=32", "data.test.scenes_blur.clean.width=32",
)  # fmt: skip


def test_a_step_is_the_discriminators_then_the_networks(tmp_path: Path) -> None:
    """Against the step written out: in the first one, the means are those of its own score maps."""
    seen: dict[str, Any] = {}
    original = DoubleDiscriminator.training_step

    def spy(self: DoubleDiscriminator, batch: Any, batch_idx: int) -> Any:
        seen["batch"] = {key: batch[key].clone() for key in ("input", "target")}
        seen["before"] = {part: copy.deepcopy(getattr(self, part)) for part in ("network", "discriminator")}
        assert self.loss is not None
        seen["vgg"] = self.loss.terms["perceptual"].vgg
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DoubleDiscriminator, "training_step", spy)
        perform(spec_of(MODEL, tmp_path, *SHORT, "trainer.max_steps=1"))
    network, judges = seen["before"].values()
    x, y = seen["batch"]["input"], seen["batch"]["target"]
    restored = network(x)

    def towards(scores: Tensor, means: list[Tensor], to: int) -> Tensor:
        return (scores - means[0].mean() - to).square().mean()

    judged, means = torch.zeros(()), {}
    for name, judge in judges.items():
        real, made = judge(y), judge(restored.detach())
        means[name] = [real.detach(), made.detach()]
        judged = judged + (towards(real, means[name][1:], 1) + towards(made, means[name], -1)) / 2 / 2
    judged = 0.01 * judged
    gradients = {"discriminator": torch.autograd.grad(judged, list(judges.parameters()))}
    values = logged(tmp_path)
    assert values["train/discriminator"] == pytest.approx(judged.item(), rel=1e-4)
    state = checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    assert_first_steps({"discriminator": judges}, gradients, state, 1e-4)
    for name, value in judges.state_dict().items():
        value.copy_(state[f"discriminator.{name}"])  # the network answers to the discriminators after their step
    fooled = torch.zeros(())
    for name, judge in judges.items():
        fooled = fooled + towards(judge(y), means[name][1:], -1) / 4 + towards(judge(restored), means[name], 1) / 4
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (IMAGENET_MEAN, IMAGENET_STD))
    images = [(one - mean) / std for one in (restored, y)]
    features = [seen["vgg"].module.features(one) for one in images]
    total = 0.5 * F.mse_loss(*images) + 0.006 * F.mse_loss(*features) + 0.01 * fooled
    gradients = {"network": torch.autograd.grad(total, list(network.parameters()))}
    assert values["train/loss"] == pytest.approx(total.item(), rel=1e-4)
    assert_first_steps({"network": network}, gradients, state, 1e-4)


def small(**settings: Any) -> DoubleDiscriminator:
    torch.manual_seed(0)
    terms = {"mse": {"weight": 1.0, "term": MSE()}, "adversarial": {"weight": 0.1, "term": RelativisticAdversarial()}}
    network = DeblurGANv2("mobilenet_v2", 0.0625, pyramid_channels=4, head_channels=2)
    judges = {"patch": PatchGAN(channels=4, layers=1, padding=2), "full": PatchGAN(channels=4, layers=2, padding=2)}
    sgd = functools.partial(torch.optim.SGD, lr=0.1)
    given = {"discriminators": judges, "backbone_weights": "random", **settings}
    return DoubleDiscriminator(network, loss=WeightedLoss(terms), optimizer=sgd, **given)


def test_the_backbone_learns_after_its_epochs(tmp_path: Path) -> None:
    model = small(frozen={"epochs": 1, "of": 4})
    assert model.depends_on_length
    assert [model.backbone_learns(done, 300) for done in (0, 74, 75, 299)] == [False, False, True, True]
    first = copy.deepcopy(model.network.state_dict())
    frozen = small(frozen={"epochs": 4, "of": 4})
    trainer(tmp_path, max_epochs=1).fit(frozen, loader(4))
    moved = {name for name, value in frozen.network.state_dict().items() if not torch.equal(value, first[name])}
    assert moved
    assert not any(name.startswith("backbone") for name in moved)
    assert all(p.requires_grad for p in frozen.network.parameters()), "another training begins with all of it"
    learning = small(frozen={"epochs": 1, "of": 4})
    trainer(tmp_path, max_epochs=1).fit(learning, loader(8))
    assert not torch.equal(
        learning.network.state_dict()["backbone.features.0.0.weight"], first["backbone.features.0.0.weight"]
    )
    assert not small().depends_on_length


def test_accumulated_batches_make_one_step_of_either_side(tmp_path: Path) -> None:
    own = trainer(tmp_path, max_epochs=1, accumulate_grad_batches=2)
    model = small()
    own.fit(model, loader(8))
    assert own.global_step == 2 * 2
    assert len(model.memory.clear[0].get_extra_state()) == 8  # type: ignore[operator]


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    """Interrupted while the backbone is frozen; the memory is full by then."""
    states = interrupted(
        MODEL, tmp_path, DoubleDiscriminator, 2, *SHORT, "training.smoke.frozen_epochs=150", "model.pool=3"
    )
    assert parts(states["cut"]) == {"network", "discriminator", "memory"}
    for kind in ("clear", "restored"):
        assert len(states["cut"]["state_dict"][f"memory.{kind}.1._extra_state"]) == 3
    assert isinstance(checkpoint.network(states["whole"], tmp_path), DeblurGANv2)


def test_the_recipe_is_the_papers() -> None:
    paper = config(ROW, "budget=paper")
    assert (paper["trainer"]["max_epochs"], paper["data"]["batch_size"], paper["data"]["crop"]) == (300, 1, 256)
    assert (paper["optimizer"]["lr"], paper["optimizer"]["betas"]) == (1e-4, [0.9, 0.999])
    assert (paper["lr_scheduler"]["constant"], paper["lr_scheduler"]["floor"]) == (0.5, 1e-3)
    assert paper["model"]["frozen"] == {"epochs": 3, "of": 300}
    assert paper["model"]["backbone_weights"] == "imagenet"
    assert (paper["model"]["pool"], paper["model"]["discriminator_weight"]) == (50, 0.01)
    judges = paper["model"]["discriminators"]
    assert {name: (judge["layers"], judge["padding"]) for name, judge in judges.items()} == {
        "patch": (3, 2), "full": (5, 2),
    }  # fmt: skip
    weights = {name: term["weight"] for name, term in paper["loss"]["terms"].items()}
    assert weights == {"mse": 0.5, "perceptual": 0.006, "adversarial": 0.01}
    of_pair, of_input = paper["data"]["augment"], paper["data"]["input_noise"]["transform"]
    assert (of_pair["p"], len(of_pair["transforms"])) == (0.5, 5)
    assert (of_input["p"], len(of_input["transforms"])) == (0.5, 7)
    assert config("uni_removal/table3/deblurgan_v2")["ckpt"] == "row:uni_removal/baselines/deblurgan_v2"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pool": 0}, "the mean of 0 maps before"),
        ({"discriminators": {}}, "the scores of 0 discriminators"),
        ({"frozen": {"epochs": 4, "of": 3}}, "frozen for 0 or more of all epochs"),
        ({"frozen": {"epochs": 1}}, "frozen for 0 or more of all epochs"),
        ({"frozen": {"epochs": 0, "of": 0}}, "frozen for 0 or more of all epochs"),
    ],
)
def test_settings_of_which_nothing_can_be_made_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        small(**settings)


def test_another_network_is_refused() -> None:
    with pytest.raises(UserError, match="Conv2d has none; choose network=deblurgan_v2"):
        DoubleDiscriminator(nn.Conv2d(3, 3, 1), discriminators={"patch": PatchGAN(channels=4)})
