"""DID-MDN's training: which of its networks learns, from what loss, and that the others stay as they are."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.interruption import interrupted
from tests.specs import config, spec_of

import limpid
from limpid.errors import CannotRun, UserError
from limpid.models.density_aware import PARTS, DensityAwareDeraining, densities
from limpid.runs.runner import perform

ROWS = {
    "residual": "fdr/baselines/did_mdn_residual",
    "classifier": "fdr/baselines/did_mdn_classifier",
    "derain": "fdr/table4/did_mdn",
}
LEVELS = ["light", "heavy"]
RAIN = ("data=scenes_rain", "data.crop=32", "trainer.max_steps=3", "log_every=1", "data.test_images=1", "data.val=null")


@functools.cache
def composed(part: str, *words: str) -> DensityAwareDeraining:
    torch.manual_seed(0)
    table, row = ROWS[part].rsplit("/", 1)
    model = limpid.model(f"+{table}={row}", "budget=smoke", *words)
    assert isinstance(model, DensityAwareDeraining)
    return model.train()


def made(part: str, *words: str) -> DensityAwareDeraining:
    """A model of its own; composing takes longer than all else here."""
    return copy.deepcopy(composed(part, *words))


def batch() -> Any:
    generator = torch.Generator().manual_seed(2)
    images = {key: torch.rand(2, 3, 32, 40, generator=generator) for key in ("input", "target")}
    return {**images, "rain_level": LEVELS, "name": ["a", "b"], "domain": ["rain"] * 2, "index": torch.arange(2)}


def trained(part: str, folder: Path, *words: str) -> Path:
    """The last checkpoint of a training of three steps."""
    perform(spec_of(ROWS[part], folder / part, *RAIN, *words))
    return folder / part / "checkpoints" / "last.ckpt"


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
    model, given = made("classifier", "network.norm=batch"), batch()
    before = {name: value.clone() for name, value in model.network.density.residual.state_dict().items()}
    model.training_step(given, 0)
    for name, value in model.network.density.residual.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert model.network.density.classifier.norm1.num_batches_tracked == 1  # type: ignore[union-attr]


def test_a_power_cut_in_the_classifiers_training_changes_nothing(tmp_path: Path) -> None:
    states = interrupted(ROWS["classifier"], tmp_path, DensityAwareDeraining, 2, *RAIN)
    names = states["whole"]["state_dict"]
    assert any("derain" in name for name in names), "a checkpoint has all networks, for the next training"


def test_each_training_goes_on_from_the_one_before(tmp_path: Path) -> None:
    first = trained("residual", tmp_path)
    start = f"model.start.ckpt={first}"
    second = trained("classifier", tmp_path, start)
    before, after = (limpid.load(str(path)).density.residual.state_dict() for path in (first, second))
    for name, value in before.items():
        assert torch.equal(value, after[name]), name


def test_a_training_without_those_before_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match=r"\+fdr/baselines=did_mdn_classifier.*model.start.weights=random"):
        perform(spec_of(ROWS["derain"], tmp_path, *RAIN, "model.start.weights=null"))


def test_rain_of_a_density_that_nobody_says_is_refused() -> None:
    given = batch()
    del given["rain_level"]
    with pytest.raises(UserError, match="a comes without; choose data that says it: data=did_mdn"):
        made("classifier", "model.density=null").training_step(given, 0)
    assumed = densities(given, torch.device("cpu"), "medium")
    assert assumed.tolist() == [1, 1]
    with pytest.raises(UserError, match="'sparse' is none of heavy, medium, light"):
        densities({**batch(), "rain_level": ["sparse", "light"]}, torch.device("cpu"))
    with pytest.raises(UserError, match="model.density is 'wet', but it must be null or one of heavy"):
        made("derain", "model.density=wet")
    with pytest.raises(UserError, match="must be one of residual, classifier, derain"):
        made("derain", "model.part=first")


def test_the_recipes_are_the_releases() -> None:
    for part, place in ROWS.items():
        paper = config(place, "budget=paper")
        assert (paper["trainer"]["max_epochs"], paper["data"]["batch_size"], paper["data"]["crop"]) == (400, 1, 512)
        assert (paper["optimizer"]["lr"], paper["optimizer"]["betas"]) == (2e-4, [0.5, 0.999])
        assert paper["optimizer"]["weight_decay"] == 5e-5
        assert paper["model"]["part"] == part
    assert config(ROWS["classifier"], "budget=paper")["data"]["resize"] == {"height": 586, "width": 586}
    assert config(ROWS["residual"], "budget=paper")["data"]["train"]["split"] == "heavy"
