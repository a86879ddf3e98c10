"""NLCL: two generators and their discriminator in turns, features for the contrasts, and a run that goes on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.systems.interruption import interrupted, parts
from tests.systems.test_restorer import prepared
from tests.test_rows import hydra  # noqa: F401 - the fixture that initialises Hydra
from torch.nn import functional as F

from limpid import checkpoint, worker
from limpid.errors import UserError
from limpid.losses import WeightedLoss
from limpid.losses.adversarial import Adversarial
from limpid.losses.non_local import LayerContrast, LocationContrast, Recomposition
from limpid.networks.nlcl import NLCLGenerator
from limpid.networks.patchgan import PatchGAN
from limpid.systems.layer_separation import LayerSeparation

ROW = "uni_removal/table2/nlcl"
#: Two seconds' worth of the row, in float32.
SHORT = (
    "network.channels=4", "model.discriminator.channels=4", "data.batch_size=2", "data.crop=32", "trainer.max_steps=4",
    "trainer.precision=32-true", "log_every=1", "callbacks.checkpoint.every=1", "trainer.val_check_interval=4",
    "data.val.clean.count=1", "data.test_images=1",
)  # fmt: skip
PLAIN = ("loss.terms.location_contrast.weight=0", "loss.terms.layer_contrast.weight=0")


def test_a_step_is_the_discriminators_then_the_generators(tmp_path: Path) -> None:
    """Against the step written out, with the terms that need no features."""
    seen: dict[str, Any] = {}
    original = LayerSeparation.training_step

    def spy(self: LayerSeparation, batch: Any, batch_idx: int) -> Any:
        seen["batch"] = {key: batch[key].clone() for key in ("input", "target")}
        seen["before"] = [copy.deepcopy(part) for part in (self.network, self.rain, self.discriminator)]
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LayerSeparation, "training_step", spy)
        worker.perform(prepared(ROW, tmp_path, *SHORT, *PLAIN, "trainer.max_steps=1", "trainer.val_check_interval=1"))
    background, rain, judge = seen["before"]
    x, clear = seen["batch"]["input"], seen["batch"]["target"].roll(1, 0)
    made, layer = background(x), rain(x)
    judged = 0.5 * ((judge(clear) - 1).square().mean() + judge(made.detach()).square().mean())
    second = torch.optim.Adam(judge.parameters(), lr=2e-4, betas=(0.5, 0.999))
    judged.backward()
    second.step()
    total = (judge(made) - 1).square().mean() + 4 * F.mse_loss(made + layer - 0.5, x) + 0.2 * F.l1_loss(made, x)
    gradients = torch.autograd.grad(total, list(background.parameters()) + list(rain.parameters()))
    state = checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    named = [(f"network.{n}", p) for n, p in background.named_parameters()]
    named += [(f"rain.{n}", p) for n, p in rain.named_parameters()]
    greatest = max(float(gradient.abs().max()) for gradient in gradients)
    moved = 0
    for (name, parameter), gradient in zip(named, gradients, strict=True):
        # Adam's first step is the gradient's sign, which rounding decides where there is next to none.
        clearly = gradient.abs() > 1e-3 * greatest
        expected = parameter - 2e-4 * gradient.sign()
        torch.testing.assert_close(state[name][clearly], expected[clearly], rtol=1e-4, atol=2e-6, msg=name)
        moved += int(clearly.sum())
    assert moved > 100
    lines = (tmp_path / "curves.csv").read_text().splitlines()[1:]
    values = {line.split(",")[1]: float(line.split(",")[2]) for line in lines}
    assert values["loss/discriminator"] == pytest.approx(judged.item(), rel=1e-4)
    assert values["loss"] == pytest.approx(total.item(), rel=1e-4)


def test_every_term_gives_gradients_to_what_it_teaches_alone() -> None:
    torch.manual_seed(0)
    terms = {
        "adversarial": Adversarial(),
        "recomposition": Recomposition(),
        "location_contrast": LocationContrast({"head": 1, "blocks.1": 1}, channels=4, width=8, patches=16),
        "layer_contrast": LayerContrast({"body.0": 1, "body.8": 8}, channels=4, width=8, rain_patches=16),
    }
    loss = WeightedLoss({name: {"weight": 1.0, "term": term} for name, term in terms.items()})
    small = {"channels": 4, "blocks": 2}
    parts_of = {"rain": NLCLGenerator(**small), "discriminator": PatchGAN(channels=4)}
    system = LayerSeparation(NLCLGenerator(**small), "nlcl", small, loss, log_every=100, **parts_of)
    learnt: dict[int, Any] = {}

    def learn(player: int, value: torch.Tensor, batch_idx: int) -> None:
        system.zero_grad()
        value.backward()
        own = {name: p.grad for name, p in system.named_parameters() if p.grad is not None and p.grad.any()}
        learnt[player] = {name.split(".")[0] for name in own}
        learnt[f"{player} projections"] = [name for name in own if "layers" in name]

    system.learn = learn  # type: ignore[method-assign]
    images = torch.rand(2, 3, 32, 32)
    out = system.training_step({"input": images, "target": images.flip(3), "name": ["a", "b"]}, 0)
    assert learnt[1] == {"discriminator"}
    assert learnt[0] == {"network", "rain", "loss"}
    wanted = [name for name, p in loss.named_parameters() if p.requires_grad and name.endswith("weight")]
    assert {f"loss.{name}" for name in wanted} <= set(learnt["0 projections"]), "every projection learns"
    assert set(out["terms"]) == set(terms)
    assert all(p.requires_grad for p in system.discriminator.parameters())


def test_an_interrupted_separation_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    states = interrupted(ROW, tmp_path, LayerSeparation, 2, *SHORT)
    assert parts(states["cut"]) == {"network", "rain", "discriminator", "loss"}
    generators, discriminator = (len(s["param_groups"][0]["params"]) for s in states["cut"]["optimizer_states"])
    assert generators + discriminator == len(states["cut"]["state_dict"])
    rebuilt = checkpoint.network(states["whole"], tmp_path)
    assert isinstance(rebuilt, NLCLGenerator), "what restores is the background's generator alone"


def test_images_without_clear_ones_are_refused() -> None:
    small = {"channels": 4, "blocks": 1}
    loss = WeightedLoss({"adversarial": {"weight": 1.0, "term": Adversarial()}})
    parts_of = {"rain": NLCLGenerator(**small), "discriminator": PatchGAN(channels=4)}
    system = LayerSeparation(NLCLGenerator(**small), "nlcl", small, loss, **parts_of)
    with pytest.raises(UserError, match="needs clear images beside degraded ones, and x comes without any"):
        system.training_step({"input": torch.rand(1, 3, 32, 32), "name": ["x"]}, 0)
