"""DehazeFlow's training: the likelihood of noisy references, normalisations that begin once, and a run that goes on."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.first_step import assert_first_steps, logged
from tests.models.interruption import interrupted, parts
from tests.specs import config, spec_of
from torch import Tensor, nn

from limpid import checkpoint
from limpid.errors import UserError
from limpid.losses import L1, WeightedLoss
from limpid.losses.likelihood import NegativeLogLikelihood
from limpid.models.conditional_flow import ConditionalFlow
from limpid.networks.dehaze_flow import DehazeFlow
from limpid.runs.runner import perform

ROW = "uni_removal/baselines/dehaze_flow"
SHORT = (
    "trainer.max_steps=4", "trainer.precision=32-true", "log_every=1", "callbacks.checkpoint.every=1", "data.crop=32",
    "trainer.val_check_interval=4", "data.val.clean.count=1", "data.test_images=1", "data.resized_crop=null",
    "metrics=standard", "pictures=0", "data.workers=0", "data.val.clean.height=32", "data.val.clean.width=32",
    "data.test.scenes.clean.height=32", "data.test.scenes.clean.width=32",
)  # fmt: skip
NARROW: dict[str, Any] = {
    "channels": 4, "growth": 3, "blocks": 1, "kept": (0,), "plain_steps": 1, "steps": 1, "hidden": 6, "attention": 2,
}  # fmt: skip


def small(**terms: Any) -> ConditionalFlow:
    torch.manual_seed(0)
    chosen = terms or {"nll": NegativeLogLikelihood()}
    loss = WeightedLoss({name: {"weight": 1.0, "term": term} for name, term in chosen.items()})
    return ConditionalFlow(DehazeFlow(**NARROW), "dehaze_flow", {}, loss, noise_width=0.05)


def batch() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    return {name: torch.rand(2, 3, 16, 16, generator=generator) for name in ("input", "target")}


def test_a_step_follows_the_likelihood_of_noisy_references(tmp_path: Path) -> None:
    """Against the step written out; the normalisations have begun before."""
    seen: dict[str, Any] = {}
    original = ConditionalFlow.training_step

    def spy(self: ConditionalFlow, batch: Any, batch_idx: int) -> Any:
        assert not self.network.initialised
        seen["batch"] = {key: batch[key].clone() for key in ("input", "target")}
        state = torch.get_rng_state()
        seen["noise"] = torch.rand_like(batch["target"]) - 0.5
        torch.set_rng_state(state)
        found = original(self, batch, batch_idx)
        seen["before"] = {"network": copy.deepcopy(self.network)}
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConditionalFlow, "training_step", spy)
        perform(spec_of(ROW, tmp_path, *SHORT, "trainer.max_steps=1", "trainer.val_check_interval=1"))
    network = seen["before"]["network"]
    assert network.initialised
    hazy, clear = seen["batch"].values()
    noisy = clear + seen["noise"] / 20
    pixels = 32 * 32
    nll = -(network(hazy, noisy) - math.log(20) * pixels) / (math.log(2) * pixels)
    total = nll.mean()
    gradients = {"network": torch.autograd.grad(total, list(network.parameters()))}
    state = checkpoint.read(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    assert_first_steps(seen["before"], gradients, state, 2e-4)
    values = logged(tmp_path)
    assert values["train/loss"] == pytest.approx(total.item(), rel=1e-4)
    assert values["train/nll"] == values["train/loss"]
    assert state["network.initialised"] == 1


def test_the_likelihood_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    model, given = small(), batch()
    optimizer = torch.optim.Adam(model.network.parameters(), 5e-3)
    values = []
    for _ in range(15):
        optimizer.zero_grad()
        total, _ = model.loss(model.make_step(given))  # type: ignore[misc, arg-type]
        total.backward()
        optimizer.step()
        values.append(total.item())
    assert values[-1] < values[0] - 0.1


def test_weights_that_were_trained_are_not_begun_anew() -> None:
    first = small()
    first.make_step(batch())  # type: ignore[arg-type]
    state = copy.deepcopy(first.network.state_dict())
    other = small()
    other.network.load_state_dict(state)
    other.make_step({name: 0.1 * value for name, value in batch().items()})  # type: ignore[arg-type]
    assert all(torch.equal(value, state[name]) for name, value in other.network.state_dict().items())


def test_an_image_is_made_only_where_a_term_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    original = DehazeFlow.decode

    def counted(self: DehazeFlow, *arguments: Any) -> Tensor:
        made.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(DehazeFlow, "decode", counted)
    model = small()
    step = model.make_step(batch())  # type: ignore[arg-type]
    model.loss(step)  # type: ignore[misc]
    assert not made
    both = small(nll=NegativeLogLikelihood(), l1=L1())
    _, terms = both.loss(both.make_step(batch()))  # type: ignore[misc, arg-type]
    assert made == [1]
    torch.testing.assert_close(terms["l1"], (both.network(batch()["input"]) - batch()["target"]).abs().mean())
    image_alone = small(l1=L1())
    assert image_alone.make_step(batch()).log_likelihood is None  # type: ignore[arg-type]


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    """It accumulates two batches, keeps an average of the weights, and is cut between both steps."""
    more = ("trainer.accumulate_grad_batches=2", "callbacks=ema")
    states = interrupted(ROW, tmp_path, ConditionalFlow, 2, *SHORT, *more)
    assert parts(states["cut"]) == {"network"}
    assert states["cut"]["state_dict"]["network.initialised"] == 1
    assert states["cut"]["current_model_state"]["network.initialised"] == 1
    bias = states["cut"]["current_model_state"]["network.levels.0.0.norm.bias"]
    assert bias.abs().min() > 1e-3, "begun with the statistics of the first batch"
    assert isinstance(checkpoint.network(states["whole"], tmp_path), DehazeFlow)


def test_the_recipe_is_the_releases() -> None:
    paper = config(ROW, "budget=paper")
    assert (paper["trainer"]["max_steps"], paper["data"]["batch_size"], paper["data"]["crop"]) == (10_000_000, 2, 152)
    assert (paper["optimizer"]["lr"], paper["optimizer"]["betas"]) == (2e-4, [0.9, 0.999])
    assert paper["data"]["resized_crop"] == {"scales": [0.5, 0.7, 1.0]}
    assert paper["data"]["augment"]["_target_"] == "albumentations.D4"
    assert paper["model"]["noise_width"] == 1 / 20
    shape = paper["lr_scheduler"]
    assert (shape["factor"], shape["at"], shape["of"]) == (0.5, [0.5, 0.75, 0.9, 0.95], 1)
    settings = {key: value for key, value in paper["network"].items() if key != "_target_"}
    assert settings == {
        "channels": 64, "growth": 32, "blocks": 23, "kept": [1, 8, 15, 22], "plain_steps": 2, "steps": 16, "hidden": 64,
        "attention": 4, "weight_std": 0.05, "temperature": 0.0, "seed": 0,
    }  # fmt: skip
    tested = config("uni_removal/table1/dehaze_flow", "budget=paper")
    assert (tested["mode"], tested["ckpt"]) == ("test", f"row:{ROW}")
    assert list(tested["data"]["test"]) == ["rtts"]


def test_what_cannot_be_trained_so_is_refused() -> None:
    with pytest.raises(UserError, match="maximises a likelihood, and Conv2d gives none; choose network=dehaze_flow"):
        ConditionalFlow(nn.Conv2d(3, 3, 1), noise_width=0.05)
    with pytest.raises(UserError, match="model.noise_width is 0.0, but it must be above 0"):
        ConditionalFlow(DehazeFlow(**NARROW), noise_width=0.0)
    model = small()
    model._sharded = True
    with pytest.raises(UserError, match="shared out among processes cannot be set by it; train with trainer=ddp"):
        model.make_step(batch())  # type: ignore[arg-type]
