"""SSID's training: pairs and real images, five steps of the discriminator for one of the network, and a run that goes on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.interruption import interrupted, parts
from tests.specs import config
from torch import Tensor, nn
from torch.nn import functional as F

from limpid import checkpoint
from limpid.errors import UserError
from limpid.losses import MSE, WeightedLoss
from limpid.losses.adversarial import Adversarial, Wasserstein, gradient_penalty
from limpid.losses.unlabelled import DarkChannel, TotalVariation
from limpid.models.real_images import real_images
from limpid.models.semi_supervised import SemiSupervised
from limpid.networks.patchgan import PatchGAN
from limpid.networks.ssid import SSIDNet

ROW = "rfd/table5/ssid"
SHORT = (
    "trainer.max_steps=6", "trainer.precision=32-true", "log_every=1", "callbacks.checkpoint.every=1",
    "trainer.val_check_interval=6", "data.val.clean.count=1", "data.test_images=1",
)  # fmt: skip
NAMES = {"adversarial": Adversarial, "mse": MSE, "dark_channel": DarkChannel, "total_variation": TotalVariation}


def small(steps: int = 2, penalty: float = 10.0) -> SemiSupervised:
    torch.manual_seed(0)
    terms = {name: {"weight": 1e-2, "term": make()} for name, make in NAMES.items()}
    terms["adversarial"]["term"] = Adversarial(Wasserstein())
    network, judge = SSIDNet(channels=4, blocks=(1, 1, 1)), PatchGAN(channels=4, padding=2)
    settings = {"discriminator": judge, "discriminator_steps": steps, "penalty": penalty}
    return SemiSupervised(network, "ssid", {}, WeightedLoss(terms), **settings)


def batch(**more: Tensor) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    images = {name: torch.rand(2, 3, 32, 32, generator=generator) for name in ("input", "target")}
    return {**images, **more, "name": ["a", "b"], "domain": ["haze", "haze"], "index": torch.arange(2)}


def turns(model: SemiSupervised, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, turn: bool) -> dict[str, Any]:
    """The loss of each side and its gradients, in one training step; and the step's output."""
    found: dict[str, Any] = {}

    def optimize(player: int, loss: Tensor, batch_idx: int) -> None:
        model.zero_grad()
        loss.backward()
        side = "discriminator" if player else "network"
        gradients = {
            name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None and p.grad.any()
        }
        assert {name.split(".")[0] for name in gradients} == {side}
        found[side] = (loss.item(), gradients)

    monkeypatch.setattr(model, "optimize", optimize)
    monkeypatch.setattr(model, "generators_turn", lambda batch_idx: turn)
    torch.manual_seed(3)
    return found | {"output": model.training_step(asked, 0)}  # type: ignore[arg-type]


def test_a_turn_is_the_discriminators_step_and_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against both losses written out, as images in [-1, 1] have them."""
    model, real = small(), torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    network, judge = copy.deepcopy(model.network), copy.deepcopy(model.discriminator)
    asked = batch(real=real)
    found = turns(model, asked, monkeypatch, turn=True)
    x, y = asked["input"], asked["target"]
    restored = network(x)

    def raw(images: Tensor) -> Tensor:
        """The discriminator on images in [-1, 1], which it makes of images in [0, 1] otherwise."""
        scores: Tensor = judge((images + 1) / 2)
        return scores

    torch.manual_seed(3)
    share = torch.rand(2, 1, 1, 1)
    mixed = torch.lerp(2 * restored.detach() - 1, 2 * y - 1, share).requires_grad_()
    (gradient,) = torch.autograd.grad(raw(mixed).sum(), mixed, create_graph=True)
    bound = ((gradient.square().sum(1).sqrt() - 1) ** 2).mean()
    judged = judge(restored.detach()).mean() - judge(y).mean() + 10 * bound
    assert found["discriminator"][0] == pytest.approx(judged.item(), rel=1e-4)
    expected = torch.autograd.grad(judged, list(judge.parameters()))
    for (name, _), value in zip(judge.named_parameters(), expected, strict=True):
        given = found["discriminator"][1].get(f"discriminator.{name}", torch.zeros_like(value))
        torch.testing.assert_close(given, value, atol=1e-5, rtol=1e-3)
    out = network(real)
    brightness = out.amin(1, keepdim=True)
    dark = -F.max_pool2d(-brightness, 7, 1, 3)
    signed = F.pad(2 * out - 1, (1, 0, 1, 0))
    variation = signed.diff(dim=2)[..., 1:].abs().sum() + signed.diff(dim=3)[..., 1:, :].abs().sum()
    total = -judge(restored).mean() + F.mse_loss(restored, y) + (variation - (1 - dark).sum()) / len(real)
    assert found["network"][0] == pytest.approx(1e-2 * total.item(), rel=1e-4)
    assert set(found["output"]["terms"]) == set(NAMES)


def test_between_turns_the_discriminator_learns_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = turns(small(), batch(), monkeypatch, turn=False)
    assert set(found) == {"discriminator", "output"}
    assert found["output"]["terms"] == {}


def test_without_a_penalty_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(penalty=0.0)
    asked = batch()
    found = turns(model, asked, monkeypatch, turn=False)
    with torch.no_grad():
        plain = model.discriminator(model.network(asked["input"])).mean() - model.discriminator(asked["target"]).mean()
    assert found["discriminator"][0] == pytest.approx(plain.item(), abs=1e-6)


def test_the_penalty_is_of_images_in_minus_one_to_one() -> None:
    """With scores of slope one there, nothing is left to punish."""
    clear, restored = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    direction = F.normalize(torch.rand(1, 3, 1, 1), dim=1)
    bound = gradient_penalty(lambda images: ((2 * images - 1) * direction).sum(1), clear, restored, True, unit=2.0)
    assert bound.item() == pytest.approx(0, abs=1e-6)


def test_other_pairs_stand_for_real_images_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, asked = small(), batch()
    turns(model, asked, monkeypatch, turn=True)
    assert "no real degraded images beside its pairs (such as a)" in capsys.readouterr().err
    assert torch.equal(real_images(model, asked), asked["input"].roll(1, 0))  # type: ignore[arg-type]
    assert not capsys.readouterr().err
    assert "stood for them" in model.provenance["real_images"]
    real = torch.rand(2, 3, 32, 32)
    assert real_images(small(), batch(real=real)) is real  # type: ignore[arg-type]
    assert not capsys.readouterr().err


def test_the_recipe_is_the_releases() -> None:
    paper = config(ROW, "budget=paper")
    assert (paper["trainer"]["max_epochs"], paper["data"]["batch_size"], paper["data"]["crop"]) == (90, 2, 256)
    assert paper["data"]["augment"] is None
    assert paper["data"]["train"]["real"]["name"] == "urhi"
    assert (paper["optimizer"]["lr"], paper["optimizer"]["betas"]) == (1e-4, [0.5, 0.999])
    assert paper["lr_scheduler"]["_target_"].endswith("constant")
    terms = paper["loss"]["terms"]
    assert {name: term["weight"] for name, term in terms.items()} == {
        "adversarial": 1.0, "mse": 4000.0, "perceptual": 10.0, "dark_channel": 2e-4, "total_variation": 2e-4,
    }  # fmt: skip
    assert terms["perceptual"]["term"]["layers"] == {"conv3_3": 1.0}
    assert paper["model"]["discriminator_steps"] == 5
    again = config("rfd/retrained/ssid", "budget=paper")
    assert (again["trainer"]["max_epochs"], again["data"]["batch_size"], again["data"]["crop"]) == (200, 2, 240)
    assert again["optimizer"]["betas"] == [0.9, 0.999]
    assert again["loss"]["terms"].keys() == terms.keys()


def test_the_weights_of_the_real_images_terms_decay_from_epoch_to_epoch() -> None:
    model = small()
    model.decay = {"dark_channel": {"factor": 0.99, "of": 90}}
    for done, factor in ((0, 0), (99, 0), (100, 1), (8999, 89)):
        model.update_loss_weights(done, 9000)
        assert model.loss is not None
        assert model.loss.weights["dark_channel"] == pytest.approx(1e-2 * 0.99**factor)
        assert model.loss.weights["total_variation"] == 1e-2


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    states = interrupted(ROW, tmp_path, SemiSupervised, 3, *SHORT, "training.smoke.discriminator_steps=3")
    assert parts(states["cut"]) == {"network", "discriminator"}
    assert states["cut"]["provenance"]["real_images"].startswith("none")
    assert isinstance(checkpoint.network(states["whole"], tmp_path), SSIDNet)
    lines = (tmp_path / "whole" / "curves.csv").read_text().splitlines()[1:]
    judged = [line.split(",")[0] for line in lines if ",train/discriminator," in line]
    learnt = [line.split(",")[0] for line in lines if ",train/loss," in line]
    assert (judged, learnt) == (["1", "2", "3", "4", "5", "6"], ["3", "6"])


@pytest.mark.parametrize("settings", [{"discriminator_steps": 0}, {"discriminator_steps": -1}, {"penalty": -1.0}])
def test_steps_and_penalties_that_are_none_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UserError, match="at least 1 step for each of the network, with a penalty of 0 or more"):
        SemiSupervised(nn.Conv2d(3, 3, 1), discriminator=nn.Conv2d(3, 1, 1), **settings)  # type: ignore[arg-type]
