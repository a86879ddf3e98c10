"""DID-MDN's training: which of its networks learns, from what loss, and that the others stay as they are."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.interruption import interrupted
from tests.specs import config

import limpid
from limpid.errors import CannotRun, UserError
from limpid.losses import MSE, WeightedLoss
from limpid.losses.rain_density import RainDensity
from limpid.models.density_aware import PARTS, DensityAwareDeraining, densities

ROWS = {
    "residual": "fdr/baselines/did_mdn_residual",
    "classifier": "fdr/baselines/did_mdn_classifier",
    "derain": "fdr/table4/did_mdn",
}
LEVELS = ["light", "heavy"]
MODELS = {"residual": "did_mdn_residual", "classifier": "did_mdn_classifier", "derain": "did_mdn"}
RAIN = ("data=scenes_rain", "data.crop=32", "trainer.max_steps=3", "log_every=1", "data.test_images=1", "data.val=null",
        "data.test.scenes_rain.clean.height=32", "data.test.scenes_rain.clean.width=32", "pictures=0")  # fmt: skip


@functools.cache
def composed(part: str) -> DensityAwareDeraining:
    torch.manual_seed(0)
    model = limpid.model(f"model={MODELS[part]}", "budget=smoke")
    assert isinstance(model, DensityAwareDeraining)
    return model.train()


def made(part: str) -> DensityAwareDeraining:
    """A model of its own; composing takes longer than all else here."""
    return copy.deepcopy(composed(part))


def batch() -> Any:
    generator = torch.Generator().manual_seed(2)
    images = {key: torch.rand(2, 3, 32, 40, generator=generator) for key in ("input", "target")}
    return {**images, "rain_level": LEVELS, "name": ["a", "b"], "domain": ["rain"] * 2, "index": torch.arange(2)}


def learning(model: DensityAwareDeraining) -> set[str]:
    return {name.rsplit(".", 1)[0] for name, p in model.network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("part", PARTS)
def test_one_network_learns(part: str) -> None:
    model, given = made(part), batch()
    model.training_step(given, 0)["loss"].backward()
    places = {"residual": "density.residual", "classifier": "density.classifier", "derain": "derain"}
    assert learning(model)
    assert all(name.startswith(places[part]) for name in learning(model))


def test_the_residual_network_takes_all_rain_for_heavy() -> None:
    model, given = made("residual"), batch()
    out = model.training_step(given, 0)
    x = given["input"]
    rain = model.network.density.residual(2 * x - 1, torch.zeros(2, dtype=torch.long))
    expected = (x - rain / 2 - given["target"]).abs().mean()
    torch.testing.assert_close(out["loss"], expected)


def test_the_classifier_is_scored_by_cross_entropy_on_what_the_residual_network_leaves() -> None:
    model, given = made("classifier"), batch()
    out = model.training_step(given, 0)
    scores = model.network.density(2 * given["input"] - 1).flatten(1)
    labels = torch.tensor([2, 0])  # heavy 0, medium 1, light 2
    expected = (scores.exp().sum(1).log() - scores[torch.arange(2), labels]).mean()
    torch.testing.assert_close(out["loss"], expected)
    torch.testing.assert_close(out["log"]["train/accuracy"], (scores.argmax(1) == labels).float().mean())


def test_the_third_network_is_told_the_density_and_compared_in_vgg_16() -> None:
    model, given = made("derain"), batch()
    out = model.training_step(given, 0)
    restored = model.network.without_rain(given["input"], torch.tensor([2, 0])).restored
    assert model.loss is not None
    vgg = model.loss.named_terms()["perceptual"].vgg
    found, true = vgg(restored), vgg(given["target"])
    distances = [(found[name] - true[name]).abs().mean() for name in ("relu1_2", "relu2_2")]
    pixels = ((2 * restored - 1) - (2 * given["target"] - 1)).abs().mean()
    torch.testing.assert_close(out["loss"], pixels + 1.8 * (distances[0] + distances[1]))


def test_what_does_not_learn_keeps_its_statistics() -> None:
    loss = WeightedLoss({"density": {"weight": 1.0, "term": RainDensity()}})
    network = limpid.build("did_mdn", side=32, hidden=8, norm="batch")
    model, given = DensityAwareDeraining(network, part="classifier", loss=loss).train(), batch()
    model.log = lambda *arguments, **settings: None  # type: ignore[method-assign]
    before = {name: value.clone() for name, value in model.network.density.residual.state_dict().items()}
    model.training_step(given, 0)
    for name, value in model.network.density.residual.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert model.network.density.classifier.norm1.num_batches_tracked == 1  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_power_cut_changes_nothing_and_the_next_training_goes_on_from_there(tmp_path: Path) -> None:
    states = interrupted(MODELS["classifier"], tmp_path, DensityAwareDeraining, 2, *RAIN)
    learnt = {name: value for name, value in states["whole"]["state_dict"].items() if ".density." in name}
    model = made("derain")
    model.start = {"ckpt": str(tmp_path / "whole" / "checkpoints" / "last.ckpt"), "weights": None}
    before = {name: value.clone() for name, value in model.state_dict().items() if name in learnt}
    model.setup("fit")
    assert any(not torch.equal(value, before[name]) for name, value in learnt.items())
    for name, value in learnt.items():
        assert torch.equal(value, model.state_dict()[name]), name
    assert model.provenance["start"]["trained"], "the origin of what it starts from is kept"


def test_a_training_without_those_before_it_is_refused() -> None:
    model = made("derain")
    model.start = {"ckpt": None, "weights": None}
    with pytest.raises(CannotRun, match=r"\+fdr/baselines=did_mdn_classifier.*model.start.weights=random"):
        model.setup("fit")


def test_rain_of_a_density_that_nobody_says_is_refused() -> None:
    given = batch()
    del given["rain_level"]
    with pytest.raises(UserError, match="a comes without; choose data that says it: data=did_mdn"):
        densities(given, torch.device("cpu"))
    assumed = densities(given, torch.device("cpu"), "medium")
    assert assumed.tolist() == [1, 1]
    with pytest.raises(UserError, match="'sparse' is none of heavy, medium, light"):
        densities({**batch(), "rain_level": ["sparse", "light"]}, torch.device("cpu"))
    with pytest.raises(UserError, match="model.density is 'wet', but it must be null or one of heavy"):
        DensityAwareDeraining(made("derain").network, part="derain", density="wet")
    with pytest.raises(UserError, match="must be one of residual, classifier, derain"):
        DensityAwareDeraining(made("derain").network, part="first")


def test_a_loss_that_does_not_reach_the_part_is_refused() -> None:
    network, density = made("derain").network, {"density": {"weight": 1.0, "term": RainDensity()}}
    with pytest.raises(UserError, match="density_scores, which DensityAwareDeraining with model.part=derain does not"):
        DensityAwareDeraining(network, part="derain", loss=WeightedLoss(density))
    both = {**density, "mse": {"weight": 1.0, "term": MSE()}}
    with pytest.raises(UserError, match="mse of the loss compares images.*choose loss=rain_density"):
        DensityAwareDeraining(network, part="classifier", loss=WeightedLoss(both))


def test_the_recipes_are_the_releases() -> None:
    for part, place in ROWS.items():
        paper = config(place, "budget=paper")
        assert (paper["trainer"]["max_epochs"], paper["data"]["batch_size"], paper["data"]["crop"]) == (400, 1, 512)
        assert (paper["optimizer"]["lr"], paper["optimizer"]["betas"]) == (2e-4, [0.5, 0.999])
        assert paper["optimizer"]["weight_decay"] == 5e-5
        assert paper["model"]["part"] == part
    assert config(ROWS["classifier"], "budget=paper")["data"]["resize"] == {"height": 586, "width": 586}
    assert config(ROWS["residual"], "budget=paper")["data"]["train"]["split"] == "heavy"
