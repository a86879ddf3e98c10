"""AOSR-Net's rows: its loss without VGG-19's file, its arms; pix2pix's turns against a step written out; a crash resumed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from tests.losses.steps import step
from tests.models.interruption import interrupted, parts
from tests.specs import config, spec_of, terms
from tests.test_rows import ROWS
from torch import nn
from torch.nn import functional as F

import limpid
from limpid import checkpoint
from limpid.config import instantiate
from limpid.data.degradations import Sand
from limpid.data.scenes import Scenes
from limpid.errors import CannotRun, UserError
from limpid.losses import L1, WeightedLoss
from limpid.losses.integrated_variable import IntegratedVariableL1
from limpid.losses.pix2pix import CrossEntropyAdversarial, discriminator_loss, generator_loss
from limpid.lr_schedulers import constant_then_linear
from limpid.metrics import ciede2000, psnr
from limpid.models.build import model
from limpid.models.pix2pix import Pix2pix
from limpid.networks.aosr import AOSRNet
from limpid.networks.patchgan import PatchGAN
from limpid.runs.runner import perform
from limpid.store.fingerprint import scored_metrics

OURS = "aosr/table1/ours"
ARMS = {place: row for place, row in ROWS.items() if place.startswith("aosr/ablations/")}


# The loss and the file it needs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", ["paper", "mini"])
def test_the_papers_loss_asks_for_vgg19s_weights_in_one_sentence(
    budget: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    loss = config(OURS, f"budget={budget}")["loss"]
    assert loss["terms"]["contrast"]["term"]["weights"] is None
    with pytest.raises(CannotRun, match=r"vgg19-dcbb9e9d.pth' are not there; download https://\S+ to that place"):
        instantiate.construct(loss, "loss")


def test_smoke_draws_vgg19s_weights_and_the_configuration_says_so() -> None:
    plain = config(OURS, "budget=smoke", "data=scenes_sand")
    assert plain["loss"]["terms"]["contrast"]["term"]["weights"] == "random"
    assert config(OURS, "budget=mini", "training.mini.vgg19_weights=random")["loss"] == plain["loss"]
    by_hand = config(OURS, "budget=smoke", "loss.terms.contrast.term.weights=vgg.pth")
    assert by_hand["loss"]["terms"]["contrast"]["term"]["weights"] == "vgg.pth"


@pytest.mark.parametrize("typed", ["loss.terms.contrast=null", "loss.terms.contrast.weight=0", "~loss.terms.contrast"])
def test_a_term_that_is_switched_off_is_not_made(typed: str) -> None:
    assert list(terms(OURS, typed)) == ["l1_phi", "l1"]
    made = model("+aosr/table1=ours", typed)
    assert made.loss is not None
    assert list(made.loss.terms) == ["l1_phi", "l1"]


def test_null_stands_for_no_term_and_none_at_all_is_refused() -> None:
    loss = WeightedLoss({"l1": {"weight": 1.0, "term": L1()}, "contrast": None})
    assert list(loss.terms) == ["l1"]
    with pytest.raises(UserError, match="no term"):
        WeightedLoss({"contrast": None})


def test_smoke_needs_no_parameter_files_and_scores_what_it_can() -> None:
    def scored(*overrides: str) -> list[str]:
        return list(scored_metrics(config(OURS, *overrides)))

    assert scored() == ["psnr", "ssim", "ciede2000", "niqe", "sseq"]
    assert scored("budget=smoke") == ["psnr", "ssim", "ciede2000"]
    assert scored("budget=mini", "skip_metrics=[niqe]") == ["psnr", "ssim", "ciede2000", "sseq"]


# The rows ------------------------------------------------------------------------------------------------------------


def test_the_printed_training() -> None:
    plain = config(OURS)
    assert (plain["trainer"]["max_epochs"], plain["optimizer"]["lr"], plain["data"]["crop"]) == (100, 1e-3, 256)
    assert {name: term["weight"] for name, term in plain["loss"]["terms"].items()} == {
        "l1_phi": 0.25, "l1": 0.25, "contrast": 0.5,
    }  # fmt: skip
    assert (plain["network"]["control_alpha"], plain["network"]["control_beta"]) == (1.6, 1.0)
    assert list(plain["data"]["test"]) == ["sand_synthetic"]


def test_the_arms_differ_from_the_first_in_what_they_name() -> None:
    base = config("aosr/ablations/l1", "budget=mini")
    both = terms("aosr/ablations/l1", "budget=mini")
    assert list(both) == ["l1_phi", "l1"]
    network: dict[str, Any] = {
        "l1_image": {}, "direct": {"estimates": "restored"}, "direct_weighted": {"estimates": "restored"},
        "without_mixup": {"mixup": None}, "contrast_random": {}, "l1": {},
    }  # fmt: skip
    assert {place.rsplit("/", 1)[1] for place in ARMS} == set(network)
    for name, change in network.items():
        arm = config(f"aosr/ablations/{name}", "budget=mini")
        assert arm["network"] == base["network"] | change, name
        own = terms(f"aosr/ablations/{name}", "budget=mini")
        if name == "contrast_random":
            assert own.pop("contrast")["term"]["weights"] == "random"
        assert own == ({"l1": both["l1"]} if name in ("l1_image", "direct") else both), name
        for part in ("model", "optimizer", "lr_scheduler", "trainer", "data", "metrics"):
            assert arm[part] == base[part], name


def test_the_direct_arm_with_both_terms_weighs_its_error_as_phi_does() -> None:
    network = AOSRNet(channels=4, estimates="restored")
    batch = {"input": torch.rand(2, 3, 12, 16), "target": torch.rand(2, 3, 12, 16)}
    output = network(batch["input"])
    both = IntegratedVariableL1()(step(output, batch)) + L1()(step(output, batch))
    error = (output.restored - batch["target"]).abs()
    torch.testing.assert_close(both, (error * (1 + 1 / (1.6 - batch["input"]))).mean())


def test_the_integrated_variable_is_asked_of_a_network_that_returns_it() -> None:
    image = torch.rand(1, 3, 16, 16)
    with pytest.raises(UserError, match=r"needs a network that returns `\.phi`, as aosr does; choose network=aosr"):
        IntegratedVariableL1()(step(image, {"input": image, "target": image}))


@pytest.mark.parametrize("kind", ["rest of the sand", "cast", "noise"])
def test_the_printed_ciede2000_does_not_belong_to_the_printed_psnr(kind: str) -> None:
    printed = ROWS[OURS].printed["sand_synthetic"]
    clean, sand, rng = (
        Scenes(split="test", count=6, height=96, width=128),
        Sand(depth="sample"),
        np.random.default_rng(0),
    )
    found = []
    for i in range(6):
        sample = sand(clean.load(i), rng)
        clear, rest = (
            torch.from_numpy(a).permute(2, 0, 1) for a in (sample["target"], sample["input"] - sample["target"])
        )
        cast = rest.mean((1, 2), keepdim=True).expand_as(rest)
        error = {"rest of the sand": rest, "cast": cast, "noise": torch.randn(rest.shape)}[kind]
        low, high = 0.0, 16.0
        for _ in range(30):  # clipping takes some of the error away, so its size is sought
            size = (low + high) / 2
            restored = (clear + size * error).clamp(0, 1)
            low, high = (size, high) if psnr(restored[None], clear[None]) > printed["psnr"] else (low, size)
        assert float(psnr(restored[None], clear[None])) == pytest.approx(printed["psnr"], abs=0.01)
        found.append(float(ciede2000(restored[None], clear[None])))
    assert sum(found) / len(found) < 0.8 * printed["ciede2000"], found


# pix2pix -------------------------------------------------------------------------------------------------------------


def test_cross_entropies_are_torchs() -> None:
    clear, restored = 3 * torch.randn(2, 1, 5, 6), 3 * torch.randn(2, 1, 5, 6)
    real = F.binary_cross_entropy_with_logits(clear, torch.ones_like(clear))
    made = F.binary_cross_entropy_with_logits(restored, torch.zeros_like(restored))
    torch.testing.assert_close(discriminator_loss(clear, restored), (real + made) / 2)
    wanted = F.binary_cross_entropy_with_logits(restored, torch.ones_like(restored))
    torch.testing.assert_close(generator_loss(restored), wanted)
    torch.testing.assert_close(CrossEntropyAdversarial()(step(None, {"scores": restored})), wanted)
    assert torch.isfinite(generator_loss(torch.tensor([-1e4])))


def test_the_rate_is_constant_and_then_falls_to_0() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    shape = constant_then_linear(optimizer, steps=200, constant=0.5).lr_lambdas[0]
    assert [shape(i) for i in (0, 100, 150, 199, 200)] == pytest.approx([1, 1, 0.5, 0.01, 0])


class _Given(torch.utils.data.Dataset):
    """The same two pairs again and again."""

    def __init__(self, steps: int) -> None:
        generator = torch.Generator().manual_seed(1)
        pairs = torch.rand(2, 2, 3, 24, 28, generator=generator)
        self.batch = {"input": pairs[0], "target": pairs[1], "name": ["a", "b"]}
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.batch


def test_the_two_take_turns(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 3, 3, padding=1)
    discriminator = PatchGAN(image_channels=6, channels=4, norm="none")
    plain = copy.deepcopy(network), copy.deepcopy(discriminator)
    loss = WeightedLoss(
        {"adversarial": {"weight": 1.0, "term": CrossEntropyAdversarial()}, "l1": {"weight": 2.0, "term": L1()}}
    )
    clip, rate = 0.01, 0.5
    system = Pix2pix(
        network, "none", {}, loss,
        lambda parameters: torch.optim.SGD(parameters, lr=rate),
        lambda optimizer, steps: constant_then_linear(optimizer, steps, constant=0.0),
        discriminator=discriminator,
    )  # fmt: skip
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False, default_root_dir=tmp_path, gradient_clip_val=clip,
    )  # fmt: skip
    trainer.fit(system, torch.utils.data.DataLoader(_Given(2), batch_size=None))

    # The same two steps, written out.
    g, d = plain
    batch = _Given(1)[0]
    x, y = batch["input"], batch["target"]
    for done in range(2):
        lr = rate * (2 - done) / 2

        def move(module: nn.Module, value: torch.Tensor, lr: float = lr) -> None:
            gradients = torch.autograd.grad(value, list(module.parameters()))
            size = torch.sqrt(sum(gradient.square().sum() for gradient in gradients))
            with torch.no_grad():
                for parameter, gradient in zip(module.parameters(), gradients, strict=True):
                    parameter -= lr * gradient * min(1.0, clip / float(size))

        real, made = (d(torch.cat([x, image], 1)) for image in (y, g(x).detach()))
        move(d, 0.5 * (-real.sigmoid().log().mean() - (1 - made.sigmoid()).log().mean()))
        move(g, -d(torch.cat([x, g(x)], 1)).sigmoid().log().mean() + 2 * (g(x) - y).abs().mean())
    for own, expected in ((system.network, g), (system.discriminator, d)):
        for a, b in zip(own.parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert all(p.requires_grad for p in system.discriminator.parameters())


SMALL = ["network.channels=4", "network.levels=5", "model.discriminator.channels=4", "trainer.max_steps=4"]


def test_a_training_of_pix2pix_that_was_stopped_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    states = interrupted("aosr/table1/pix2pix_h", tmp_path, Pix2pix, 2, *SMALL)
    assert "discriminator" in parts(states["cut"]), "the discriminator is kept to go on"
    rebuilt = checkpoint.network(states["whole"], tmp_path)
    assert isinstance(rebuilt, type(limpid.build("pix2pix_h", channels=4, levels=5)))


def test_an_infinite_loss_stops_pix2pix_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CrossEntropyAdversarial, "forward", lambda self, step: step.scores.sum() / 0)
    with pytest.raises(UserError, match="The loss is .*inf|nan"):
        perform(spec_of("aosr/table1/pix2pix_h", tmp_path, *SMALL))
