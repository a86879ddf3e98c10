"""NLCL's terms against direct definitions: places that resemble one another, and the two contrasts."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.losses.steps import step
from torch import Tensor
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.losses.non_local import (
    InputL1,
    LayerContrast,
    LocationContrast,
    Recomposition,
    features_at,
    layer_contrast,
    similar_places,
)


def test_layers_add_up_with_no_rain_at_one_half() -> None:
    image = torch.rand(2, 3, 4, 5)
    rain = torch.full_like(image, 0.75)
    assert float(Recomposition()(step(image - 0.25, {"input": image, "rain": rain}))) == pytest.approx(0, abs=1e-12)
    assert float(Recomposition()(step(image, {"input": image, "rain": rain}))) == pytest.approx(0.0625)
    assert float(InputL1()(step(image - 0.25, {"input": image}))) == pytest.approx(0.25)


def nearest_by_hand(image: Tensor, corner: tuple[int, int], count: int, patch: int, search: int) -> list[Tensor]:
    """Centres of the patches nearest to the one at `corner`; nearest first."""
    _, height, width = image.shape
    drawn = image[:, corner[0] : corner[0] + patch, corner[1] : corner[1] + patch]
    found = []
    for y in range(max(0, corner[0] - search // 2), min(height - patch + 1, corner[0] + search // 2)):
        for x in range(max(0, corner[1] - search // 2), min(width - patch + 1, corner[1] + search // 2)):
            distance = (image[:, y : y + patch, x : x + patch] - drawn).square().sum().item()
            found.append((distance, torch.tensor([y + patch // 2, x + patch // 2])))
    return [place for _, place in sorted(found, key=lambda entry: entry[0])[:count]]


@pytest.mark.parametrize("seed", range(4))
def test_places_are_those_of_the_nearest_patches_around_the_drawn_one(seed: int) -> None:
    images = torch.rand(2, 3, 21, 17, generator=torch.Generator().manual_seed(seed))
    torch.manual_seed(seed)
    corner = (int(torch.randint(21 - 4 + 1, ())), int(torch.randint(17 - 4 + 1, ())))
    torch.manual_seed(seed)
    places = similar_places(images, 9, patch=4, search=10)
    for image, own in zip(images, places, strict=True):
        assert torch.equal(own, torch.stack(nearest_by_hand(image, corner, 9, 4, 10)))


def test_a_window_has_as_many_places_a_side_as_it_says() -> None:
    torch.manual_seed(0)
    places = similar_places(torch.rand(1, 3, 200, 200), 10_000)
    assert places.shape == (1, 1600, 2)
    assert (places.amax(1) - places.amin(1)).tolist() == [[39, 39]]


def test_a_small_window_gives_fewer_places_and_none_a_sentence() -> None:
    assert similar_places(torch.rand(1, 3, 18, 17), 256).shape == (1, 6, 2)
    assert similar_places(torch.rand(1, 3, 16, 18), 256).shape == (1, 3, 2)
    for height, width in ((16, 16), (15, 40)):
        with pytest.raises(UserError, match=rf"Patches of 16 pixels .* one of {width}x{height} has no two of them"):
            similar_places(torch.rand(1, 3, height, width), 8)


def test_features_are_taken_where_the_place_falls_at_any_size() -> None:
    features = torch.arange(24.0).view(1, 1, 4, 6)
    places = torch.tensor([[[0, 0], [4, 6], [7, 11]]])
    assert features_at(features, places, (8, 12)).flatten().tolist() == [0, 15, 23]
    assert features_at(features, places[:, :1] + 3, (4, 6)).flatten().tolist() == [21]
    assert features_at(features.repeat(1, 5, 1, 1)[:, :, :2, :3], places, (8, 12)).shape == (1, 3, 5)
    large = torch.arange(300.0).view(1, 1, 1, 300)
    every = torch.stack([torch.zeros(300, dtype=torch.long), torch.arange(300)], 1)[None]
    assert torch.equal(features_at(large, every, (1, 300)).flatten(), torch.arange(300.0)), "no place is off by one"


def test_the_layers_contrast_by_its_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    background, rain = (torch.randn(n, 5, generator=generator, dtype=torch.float64) for n in (3, 4))
    vectors = F.normalize(torch.cat([background, rain]), dim=1)
    layer = [0, 0, 0, 1, 1, 1, 1]
    expected = 0.0
    for i in range(7):
        others = [j for j in range(7) if j != i]
        total = sum(math.exp(float(vectors[i] @ vectors[j]) / 0.07) for j in others)
        positives = [j for j in others if layer[j] == layer[i]]
        expected -= sum(float(vectors[i] @ vectors[j]) / 0.07 - math.log(total) for j in positives) / len(positives) / 7
    assert float(layer_contrast(background, rain, 0.07)) == pytest.approx(expected, rel=1e-12)


def test_layers_far_apart_cost_what_their_sizes_say() -> None:
    """Equal vectors within a layer, opposite ones across: the logarithm of how many positives an anchor has."""
    towards = torch.eye(4)[0]
    value = layer_contrast(towards.repeat(8, 1), -towards.repeat(128, 1), 0.07)
    assert float(value) == pytest.approx((8 * math.log(7) + 128 * math.log(127)) / 136, rel=1e-5)


def test_location_contrast_is_least_where_places_keep_their_features() -> None:
    torch.manual_seed(0)
    term = LocationContrast({"head": 2}, channels=3, width=8, patches=12, patch=4, search=8)
    image, before = torch.rand(2, 3, 20, 20), {"head": torch.randn(2, 6, 20, 20, requires_grad=True)}
    kept = {"head": before["head"].detach().clone().requires_grad_()}
    shuffled = {"head": kept["head"].detach().flip(3)}
    torch.manual_seed(1)
    same = term(step(None, {"reapplications": [(image, before, kept)]}))
    torch.manual_seed(1)
    assert same < term(step(None, {"reapplications": [(image, before, shuffled)]}))
    same.backward()
    assert before["head"].grad is None, "what went in is not drawn to what came out"
    assert kept["head"].grad is not None
    # By its definition: the cross entropy of finding the own place among all.
    torch.manual_seed(1)
    places = similar_places(image, 12, 4, 8)
    losses = []
    for i in range(2):
        theirs, own = (
            F.normalize(
                term.projections.layers[0](features_at(f["head"][i : i + 1], places[i : i + 1], (20, 20)))[0], dim=1
            )
            for f in (before, kept)
        )
        losses.append(F.cross_entropy(own @ theirs.T / 0.07, torch.arange(12)))
    assert same.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


def test_layer_contrast_asks_few_places_of_the_background_and_many_of_the_rain() -> None:
    torch.manual_seed(0)
    term = LayerContrast({"body.0": 1, "body.2": 2}, channels=4, width=8, background_patches=5, rain_patches=20)
    background, rain = torch.rand(1, 3, 24, 24), torch.rand(1, 3, 24, 24)
    features = [{"body.0": torch.randn(1, 4, 12, 12), "body.2": torch.randn(1, 8, 6, 6)} for _ in range(2)]
    batch = {"rain": rain, "background_features": features[0], "rain_features": features[1]}
    torch.manual_seed(1)
    value = term(step(SimpleNamespace(restored=background), batch))
    torch.manual_seed(1)
    places = similar_places(background, 5), similar_places(rain, 20)
    losses = [
        layer_contrast(
            term.background(name, features[0][name], places[0], (24, 24))[0],
            term.rain(name, features[1][name], places[1], (24, 24))[0],
            0.07,
        )
        for name in ("body.0", "body.2")
    ]
    torch.testing.assert_close(value, torch.stack(losses).mean())
    assert places[0].shape[1] == 5
    assert places[1].shape[1] == 20


@pytest.mark.parametrize(
    "wrong",
    [
        {"features": {}},
        {"temperature": 0.0},
        {"patch": 0},
        {"search": 1},
        {"background_patches": 1},
        {"rain_patches": 1},
    ],
)
def test_what_has_nothing_to_compare_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least one feature|above 0|at least 2 patches of at least 1 pixel"):
        LayerContrast(**{"features": {"body.0": 1}, "channels": 4, **wrong})
    if "background_patches" in wrong:
        with pytest.raises(ValueError, match="but there are 1 of 16 pixels in one of 40"):
            LocationContrast({"head": 1}, channels=4, patches=1)


def test_features_of_another_network_are_named_in_a_sentence() -> None:
    term = LocationContrast({"head": 2}, channels=3, width=8, patches=4)
    features = {"head": torch.rand(1, 5, 20, 20)}
    with pytest.raises(UserError, match="The features head have 5 channels, but the loss expects 6"):
        term(step(None, {"reapplications": [(torch.rand(1, 3, 20, 20), features, features)]}))
