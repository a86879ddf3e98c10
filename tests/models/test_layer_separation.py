"""NLCL: two generators and their discriminator in turns, features for the contrasts, and a run that goes on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.interruption import interrupted, parts
from tests.specs import spec_of
from torch.nn import functional as F

from limpid import checkpoint
from limpid.errors import UserError
from limpid.losses import WeightedLoss
from limpid.losses.adversarial import Adversarial
from limpid.losses.non_local import LayerContrast, LocationContrast, Recomposition
from limpid.models.layer_separation import LayerSeparation
from limpid.networks.nlcl import NLCLGenerator
from limpid.networks.patchgan import PatchGAN
from limpid.runs.runner import perform

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
        seen["before"] = {part: copy.deepcopy(getattr(self, part)) for part in ("network", "rain", "discriminator")}
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LayerSeparation, "training_step", spy)
        perform(spec_of(ROW, tmp_path, *SHORT, *PLAIN, "trainer.max_steps=1", "trainer.val_check_interval=1"))
    background, rain, judge = seen["before"].values()
    x, clear = seen["batch"]["input"], seen["batch"]["target"].roll(1, 0)
    made = background(x)
    judged = 0.5 * ((judge(clear) - 1).square().mean() + judge(made.detach()).square().mean())
    gradients = {"discriminator": torch.autograd.grad(judged, list(judge.parameters()))}
    with torch.no_grad():
        state = checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
        learnt = copy.deepcopy(judge)
        learnt.load_state_dict({k.removeprefix("discriminator."): v for k, v in state.items() if k[:4] == "disc"})
    total = (learnt(made) - 1).square().mean() + 4 * F.mse_loss(made + rain(x) - 0.5, x) + 0.2 * F.l1_loss(made, x)
    gradients["network"] = torch.autograd.grad(total, list(background.parameters()), retain_graph=True)
    gradients["rain"] = torch.autograd.grad(total, list(rain.parameters()))
    for part, module in seen["before"].items():
        greatest, moved = max(float(gradient.abs().max()) for gradient in gradients[part]), 0
        for (name, parameter), gradient in zip(module.named_parameters(), gradients[part], strict=True):
            # Adam's first step is the gradient's sign, which rounding decides where there is next to none.
            clearly = gradient.abs() > 1e-3 * greatest
            expected = parameter - 2e-4 * gradient.sign()
            after = state[f"{part}.{name}"]
            torch.testing.assert_close(after[clearly], expected[clearly], rtol=1e-4, atol=2e-6, msg=name)
            moved += int(clearly.sum())
        assert moved > 100, part
    lines = (tmp_path / "curves.csv").read_text().splitlines()[1:]
    values = {line.split(",")[1]: float(line.split(",")[2]) for line in lines}
    assert values["train/discriminator"] == pytest.approx(judged.item(), rel=1e-4)
    assert values["train/loss"] == pytest.approx(total.item(), rel=1e-4)
    assert values["lr"] == 2e-4, "that of the step, not of the next"


SMALL = {"channels": 4, "blocks": 2}
TERMS: dict[str, Any] = {
    "adversarial": Adversarial,
    "recomposition": Recomposition,
    "location_contrast": lambda: LocationContrast({"head": 1, "blocks.1": 1}, channels=4, width=8, patches=16),
    "layer_contrast": lambda: LayerContrast({"body.0": 1, "body.8": 8}, channels=4, width=8, rain_patches=16),
}


def separation(*names: str) -> LayerSeparation:
    """Narrow generators and discriminator, with these terms of the loss."""
    torch.manual_seed(0)
    loss = WeightedLoss({name: {"weight": 1.0, "term": TERMS[name]()} for name in names})
    parts_of = {"rain": NLCLGenerator(**SMALL), "discriminator": PatchGAN(channels=4)}
    return LayerSeparation(NLCLGenerator(**SMALL), "nlcl", SMALL, loss, **parts_of)


@pytest.mark.parametrize(
    ("term", "taught"),
    [
        ("adversarial", {"network"}),
        ("recomposition", {"network", "rain"}),
        ("location_contrast", {"network", "loss"}),
        ("layer_contrast", {"network", "rain", "loss"}),
    ],
)
def test_every_term_teaches_its_generators(term: str, taught: set[str]) -> None:
    system = separation(term)
    learnt: dict[int, set[str]] = {}

    def optimize(player: int, value: torch.Tensor, batch_idx: int) -> None:
        system.zero_grad()
        value.backward()
        learnt[player] = {name for name, p in system.named_parameters() if p.grad is not None and p.grad.any()}

    system.optimize = optimize  # type: ignore[method-assign]
    images = torch.rand(2, 3, 32, 32)
    out = system.training_step({"input": images, "clear": images.flip(3), "name": ["a", "b"]}, 0)
    assert {name.split(".")[0] for name in learnt[1]} == {"discriminator"}
    assert {name.split(".")[0] for name in learnt[0]} == taught
    assert system.loss is not None
    projections = {f"loss.{name}" for name, p in system.loss.named_parameters() if name.endswith("weight")}
    assert projections <= learnt[0], "every projection learns"
    assert set(out["terms"]) == {term}
    assert all(p.requires_grad for p in system.discriminator.parameters())


def test_both_generators_are_computed_alike() -> None:
    system = separation("recomposition")
    for name, expected in (("channels_last", True), ("contiguous_format", False)):
        system.configure_network(name)
        for generator in (system.network, system.rain):
            weight = next(generator.parameters())
            assert weight.is_contiguous(memory_format=torch.channels_last) is expected


def test_an_interrupted_separation_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    states = interrupted(ROW, tmp_path, LayerSeparation, 2, *SHORT)
    assert parts(states["cut"]) == {"network", "rain", "discriminator", "loss"}
    generators, discriminator = (len(s["param_groups"][0]["params"]) for s in states["cut"]["optimizer_states"])
    assert generators + discriminator == len(states["cut"]["state_dict"])
    rebuilt = checkpoint.network(states["whole"], tmp_path)
    assert isinstance(rebuilt, NLCLGenerator), "what restores is the background's generator alone"


def test_images_without_clear_ones_are_refused() -> None:
    system = separation("adversarial")
    with pytest.raises(UserError, match="needs clear images beside degraded ones, and x comes without any"):
        system.training_step({"input": torch.rand(1, 3, 32, 32), "name": ["x"]}, 0)
