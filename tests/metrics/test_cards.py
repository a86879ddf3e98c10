"""The protocols in conf/metrics: one file each, an id means one thing, and every table of the papers has a set."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from limpid.config import instantiate, recipes
from limpid.metrics.protocols import MetricProtocol
from limpid.paths import shipped

METRICS = shipped("conf") / "metrics"
PROTOCOLS = {file.stem: yaml.safe_load(file.read_text()) for file in sorted((METRICS / "protocol").glob("*.yaml"))}
SETS = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(METRICS.glob("*.yaml"))}


@pytest.mark.parametrize(("name", "card"), PROTOCOLS.items(), ids=list(PROTOCOLS))
def test_a_card_says_all_that_decides_its_number(name: str, card: dict[str, Any]) -> None:
    instantiate.check(card, name)
    made = instantiate.construct(card, name)
    assert isinstance(made, MetricProtocol)
    assert made.id == name, "the file is named by the id"
    for said in ("text", "colour_space", "value_range", "rounding", "border", "window", "reduction", "used_by"):
        assert getattr(made, said), f"{name} does not say its {said}"


@pytest.mark.parametrize(("name", "content"), SETS.items(), ids=list(SETS))
def test_a_set_is_a_list_of_protocols(name: str, content: dict[str, Any]) -> None:
    assert set(content) == {"defaults"}
    named = dict(entry for default in content["defaults"] for entry in default.items())
    composed = recipes.option("metrics", name)
    assert list(named) == [f"protocol@{short}" for short in composed], "in the order of the list"
    for short, card in composed.items():
        assert card == PROTOCOLS[named[f"protocol@{short}"]]
        assert short.split("_")[0] == card["metric"].split("_")[0]


def test_an_id_means_one_thing() -> None:
    meanings = [(card["metric"], card["options"]) for card in PROTOCOLS.values()]
    assert len({repr(meaning) for meaning in meanings}) == len(meanings), "and one thing has one id"


def test_every_protocol_stands_in_a_set() -> None:
    used = {card["id"] for name in SETS for card in recipes.option("metrics", name).values()}
    assert used == set(PROTOCOLS)


def test_sets_are_what_the_papers_report() -> None:
    ids = {name: [card["id"] for card in recipes.option("metrics", name).values()] for name in SETS}
    assert ids["rfd"] == ["psnr_rgb_100", "ssim_zero_pad"]
    assert ids["aosr"] == ["psnr_rgb", "ssim_skimage7", "ciede2000", "niqe_live", "sseq_live"]
    assert ids["wmcp"] == ["psnr_rgb_uint8", "ssim_wang", "e_d_per_restored"]
