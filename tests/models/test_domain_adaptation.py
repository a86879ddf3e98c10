"""DA-Net's three stages: each step against the step written out, depth where there is some, and runs that go on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.first_step import assert_first_steps, logged
from tests.models.interruption import interrupted, parts
from tests.specs import config, spec_of
from torch import Tensor, nn
from torch.nn import functional as F

from limpid import checkpoint
from limpid.errors import CannotRun, UserError
from limpid.models.da_net import DomainAdaptiveDehazing
from limpid.models.da_net_dehazing import TranslatedDehazing
from limpid.models.da_net_translators import DomainTranslation
from limpid.models.haze_domains import haze_domains, pair_depth
from limpid.models.restorer import Restorer
from limpid.networks.da_net import DANet, DANetTranslators
from limpid.runs.runner import perform

FIRST = "uni_removal/baselines/da_net_translators"
SECOND = ("uni_removal/baselines/da_net_real", "uni_removal/baselines/da_net_synthetic")
LAST = "uni_removal/table1/da_net"
SHORT = (
    "trainer.max_steps=4", "trainer.precision=32-true", "log_every=1", "callbacks.checkpoint.every=1",
    "data.test_images=1", "metrics=standard", "data.test.scenes.clean.height=32", "data.test.scenes.clean.width=32", "pictures=0",
)  # fmt: skip
ONE = ("trainer.max_steps=1",)


def first_step(place: str, folder: Path, model: type[Restorer], *names: str) -> dict[str, Any]:
    """The batch and the parts `names` of a model before its first step, the state and the curves after it."""
    seen: dict[str, Any] = {}
    original = model.training_step

    def spy(self: Any, batch: Any, batch_idx: int) -> Any:
        seen["batch"] = {key: batch[key].clone() for key in ("input", "target", "depth")}
        seen["before"] = {part: copy.deepcopy(getattr(self, part)) for part in names}
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "training_step", spy)
        perform(spec_of(place, folder, *SHORT, *ONE))
    seen["state"] = checkpoint.read(folder / "checkpoints" / "last.ckpt")["state_dict"]
    return seen


def squared(scores: Tensor, to: float) -> Tensor:
    return (scores - to).square().mean()


class Both:
    """The first stage's loss of both sides, written out for images in [-1, 1]."""

    def __init__(self, translators: DANetTranslators, judges: nn.ModuleDict, batch: dict[str, Tensor]) -> None:
        x, d = batch["input"], 2 * batch["depth"] - 1
        real, real_d = x.roll(1, 0), d.roll(1, 0)  # made data has no real images
        g, f = translators.to_real, translators.to_synthetic
        self.x, self.real = x, real
        self.to_real, self.to_synthetic = g(x, d), f(real)

        def l1(a: Tensor, b: Tensor) -> Tensor:
            return F.l1_loss(2 * a - 1, 2 * b - 1)

        of_real, of_synthetic = judges["real_images"], judges["synthetic_images"]
        total = squared(of_real(self.to_real), 1) + squared(of_synthetic(self.to_synthetic), 1)
        total = total + l1(f(self.to_real), x) + l1(g(self.to_synthetic, real_d), real)
        self.total = total + 0.1 * (l1(f(x), x) + l1(g(real, real_d), real))
        judged = squared(of_real(real), 1) + squared(of_real(self.to_real.detach()), 0)
        judged = judged + squared(of_synthetic(x), 1) + squared(of_synthetic(self.to_synthetic.detach()), 0)
        self.judged = 0.5 * judged


def dehazing(output: Any, real_output: Any, target: Tensor, variation: float) -> Tensor:
    """What one of the U-Nets minimises, written out for images in [-1, 1]."""
    total = torch.zeros(())
    for image in output.stages:
        small = F.interpolate(2 * target - 1, image.shape[-2:], mode="bilinear", align_corners=True)
        total = total + 10 * F.mse_loss(2 * image - 1, small)
    clear = 2 * real_output.restored - 1
    total = total + variation * (clear.diff(dim=2).abs().mean() + clear.diff(dim=3).abs().mean())
    dark = -F.max_pool2d(-((clear + 1) / 2).amin(1, keepdim=True), 35, 1, 17)
    return total + 1e-2 * dark.mean()


def test_the_translators_learn_first_then_the_discriminators(tmp_path: Path) -> None:
    seen = first_step(FIRST, tmp_path, DomainTranslation, "network", "discriminator")
    network, judges = seen["before"].values()
    loss = Both(network, judges, seen["batch"])
    gradients = {
        "network": torch.autograd.grad(loss.total, list(network.parameters()), retain_graph=True),
        "discriminator": torch.autograd.grad(loss.judged, list(judges.parameters())),
    }
    assert_first_steps(seen["before"], gradients, seen["state"], 1e-4)
    values = logged(tmp_path)
    assert values["train/loss"] == pytest.approx(loss.total.item(), rel=1e-4)
    assert values["train/discriminator"] == pytest.approx(loss.judged.item(), rel=1e-4)


@pytest.mark.parametrize("place", [SECOND[0], pytest.param(SECOND[1], marks=pytest.mark.slow)])
def test_a_u_net_learns_on_what_is_translated_to_its_domain(place: str, tmp_path: Path) -> None:
    seen = first_step(place, tmp_path, TranslatedDehazing, "network", "translators")
    network, translators = seen["before"]["network"], seen["before"].pop("translators").module
    x, d = seen["batch"]["input"], 2 * seen["batch"]["depth"] - 1
    real = x.roll(1, 0)
    with torch.no_grad():
        if place.endswith("real"):
            x = translators.to_real(x, d)
        else:
            real = translators.to_synthetic(real)
    total = dehazing(network(x), network(real), seen["batch"]["target"], 1e-2)
    gradients = {"network": torch.autograd.grad(total, list(network.parameters()))}
    assert_first_steps(seen["before"], gradients, seen["state"], 1e-4)
    assert logged(tmp_path)["train/loss"] == pytest.approx(total.item(), rel=1e-4)
    assert not any(name.startswith("translators") for name in seen["state"]), "they are frozen"


def test_the_last_stage_teaches_all_networks_at_once(tmp_path: Path) -> None:
    seen = first_step(LAST, tmp_path, DomainAdaptiveDehazing, "network", "synthetic", "translators", "discriminator")
    of_real, of_synthetic, translators, judges = seen["before"].values()
    loss, target = Both(translators, judges, seen["batch"]), seen["batch"]["target"]
    pairs, clear = of_real(loss.to_real), of_real(loss.real)
    own, translated = of_synthetic(loss.x), of_synthetic(loss.to_synthetic)
    total = loss.total + dehazing(pairs, clear, target, 1e-3) + dehazing(own, translated, target, 1e-3)
    for one, other in zip(clear.stages, translated.stages, strict=True):
        total = total + 0.1 * F.l1_loss(2 * one - 1, 2 * other - 1)
    total = total + 0.1 * F.l1_loss(clear.features, translated.features)
    seen_real, seen_synthetic = judges["real_features"], judges["synthetic_features"]
    total = total + 0.1 * (squared(seen_real(pairs.features), 1) + squared(seen_synthetic(translated.features), 1))
    judged = squared(seen_real(clear.features.detach()), 1) + squared(seen_real(pairs.features.detach()), 0)
    judged = judged + squared(seen_synthetic(own.features.detach()), 1)
    judged = loss.judged + 0.5 * (judged + squared(seen_synthetic(translated.features.detach()), 0))
    values = logged(tmp_path)
    assert values["train/loss"] == pytest.approx(total.item(), rel=1e-4)
    assert values["train/discriminator"] == pytest.approx(judged.item(), rel=1e-4)
    learnt = {name: list(seen["before"][name].parameters()) for name in ("network", "synthetic", "translators")}
    gradients: dict[str, Any] = {}
    for name, values_of in learnt.items():
        gradients[name] = torch.autograd.grad(total, values_of, retain_graph=True)
    gradients["discriminator"] = torch.autograd.grad(judged, list(judges.parameters()))
    for name, lr in (("network", 1e-4), ("synthetic", 1e-4), ("translators", 5e-5), ("discriminator", 5e-5)):
        assert_first_steps({name: seen["before"][name]}, gradients, seen["state"], lr)


@pytest.mark.slow
def test_runs_that_are_interrupted_end_as_others_do(tmp_path: Path) -> None:
    """The last stage, which has all parts that the others have, accumulating; the pools are full by then."""
    more = ("model.pool=2", "trainer.accumulate_grad_batches=2")
    states = interrupted(LAST, tmp_path, DomainAdaptiveDehazing, 2, *SHORT, *more)
    assert parts(states["cut"]) == {"network", "synthetic", "translators", "discriminator", "pools"}
    for name in ("real_images", "synthetic_images"):
        assert states["cut"]["state_dict"][f"pools.{name}._extra_state"].shape == (2, 3, 32, 32)
    origins = states["cut"]["provenance"]["start"]
    assert {part: origin["random"] for part, origin in origins.items()} == dict.fromkeys(
        ("real", "synthetic", "translators"), True
    )
    assert isinstance(checkpoint.network(states["whole"], tmp_path), DANet), "what restores is that for real haze"


@pytest.mark.slow
def test_the_second_stage_goes_on_too(tmp_path: Path) -> None:
    """With accumulation: it is cut between two steps."""
    states = interrupted(SECOND[0], tmp_path, TranslatedDehazing, 2, *SHORT, "trainer.accumulate_grad_batches=2")
    assert parts(states["cut"]) == {"network"}
    assert states["cut"]["provenance"]["translators"]["random"] is True


def test_a_stage_starts_from_the_weights_of_the_one_before_and_of_no_other(tmp_path: Path) -> None:
    perform(spec_of(FIRST, tmp_path / "first", *SHORT, *ONE))
    file = tmp_path / "first" / "checkpoints" / "last.ckpt"
    left = checkpoint.weights(checkpoint.read(file))
    found: dict[str, Any] = {}
    original = TranslatedDehazing.training_step

    def spy(self: TranslatedDehazing, batch: Any, batch_idx: int) -> Any:
        found["state"] = {name: value.clone() for name, value in self.translators.module.state_dict().items()}
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TranslatedDehazing, "training_step", spy)
        perform(spec_of(SECOND[0], tmp_path / "second", *SHORT, *ONE, f"model.start.translators='{file}'"))
    assert found["state"].keys() == left.keys()
    assert all(torch.equal(value, left[name]) for name, value in found["state"].items())
    with pytest.raises(UserError, match="holds da_net_translators with .*, but what is adapted is da_net;"):
        perform(spec_of(LAST, tmp_path / "last", *SHORT, f"model.start.ckpt='{file}'"))


def test_weights_that_are_missing_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match=r"train them \(`limpid train \+uni_removal/baselines=da_net_translators`"):
        perform(spec_of(SECOND[0], tmp_path / "a", *SHORT, "training.smoke.start_weights=null"))
    with pytest.raises(
        CannotRun, match=r"for real haze; train it \(`limpid train \+uni_removal/baselines=da_net_real`"
    ):
        perform(spec_of(LAST, tmp_path / "b", *SHORT, "training.smoke.start_weights=null"))


def test_depth_is_given_or_follows_from_the_transmission() -> None:
    depth = torch.rand(2, 1, 8, 8)
    depth = depth / depth.amax((1, 2, 3), keepdim=True)
    given: Any = {"input": torch.rand(2, 3, 8, 8), "name": ["a", "b"]}
    torch.testing.assert_close(pair_depth({**given, "depth": depth}), 2 * depth - 1)
    torch.testing.assert_close(pair_depth({**given, "transmission": torch.exp(-1.4 * depth)}), 2 * depth - 1)
    with pytest.raises(UserError, match=r"a batch \(with a\) has none; give data.train.depth=stand_in"):
        pair_depth(given)
    real = torch.rand(2, 3, 8, 8)
    model = Restorer(nn.Conv2d(3, 3, 1))
    domains = haze_domains(model, {**given, "depth": depth, "real": real, "real_depth": depth.flip(3)})
    assert domains.real is real
    torch.testing.assert_close(domains.real_depth, 2 * depth.flip(3) - 1)
    with pytest.raises(UserError, match="give data.train.depth=stand_in"):
        haze_domains(model, {**given, "depth": depth, "real": real})
    beside = haze_domains(model, {**given, "depth": depth})
    assert torch.equal(beside.real, given["input"].roll(1, 0))
    torch.testing.assert_close(beside.real_depth, (2 * depth - 1).roll(1, 0))


def test_the_recipes_are_the_releases() -> None:
    first, last = config(FIRST, "budget=paper"), config(LAST, "budget=paper")
    seconds = [config(place, "budget=paper") for place in SECOND]
    lengths = [
        (first, 90, [0.5, 0.999]),
        *((second, 90, [0.9, 0.999]) for second in seconds),
        (last, 50, [0.95, 0.999]),
    ]
    for plain, epochs, betas in lengths:
        assert (plain["trainer"]["max_epochs"], plain["data"]["batch_size"], plain["data"]["crop"]) == (epochs, 2, 256)
        assert (plain["optimizer"]["lr"], plain["optimizer"]["betas"]) == (1e-4, betas)
        assert plain["lr_scheduler"]["_target_"].endswith("constant")
        assert plain["data"]["augment"]["_target_"].endswith("HorizontalFlip")
        assert plain["data"]["val"] is None, "the last checkpoint counts"
        assert plain["data"]["train"]["depth"] == "sample", "a guess has to be asked for"
        assert list(plain["data"]["test"]) == ["rtts"]
    assert last["model"]["adversarial"] == {"lr": 5e-5, "betas": [0.5, 0.9]}
    assert [plain["model"]["translate"] for plain in seconds] == ["pairs", "real"]
    assert last["model"]["pool"] == first["model"]["pool"] == 50
    features = last["model"]["discriminators"]["synthetic_features"]
    assert (features["channels"], features["side"], features["hidden"]) == (64, 256, 512)
    weights = {name: term["weight"] for name, term in last["loss"]["terms"].items()}
    assert weights == {
        "adversarial": 2.0, "cycle_l1": 2.0, "identity_l1": 0.2, "mse": 40.0, "total_variation": 0.002,
        "dark_channel": 0.01, "consistency": 0.1, "feature_adversarial": 0.2,
    }  # fmt: skip
    assert seconds[0]["loss"]["terms"]["total_variation"]["weight"] == 0.02


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DomainTranslation(nn.Conv2d(3, 3, 1), discriminators={}), "learns to translate haze both ways"),
        (
            lambda: DomainTranslation(DANetTranslators(4, 1), discriminators={"real_images": nn.Conv2d(3, 1, 1)}),
            "names real_images, but there must be real_images, synthetic_images",
        ),
        (
            lambda: DomainAdaptiveDehazing(
                nn.Conv2d(3, 3, 1), translators={}, discriminators={}, adversarial={}, start={}
            ),
            "all that two of DA-Net's networks return, and Conv2d is none",
        ),
        (
            lambda: TranslatedDehazing(DANet(2), translate="both", translators={}, start={}),
            "model.translate is 'both', but it must be pairs or real",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(make: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        make()
