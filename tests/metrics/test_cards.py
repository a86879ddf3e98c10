"""The protocols in conf/metrics: an id means one thing, and every table of the papers has one."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from limpid.config import instantiate
from limpid.metrics.protocols import MetricProtocol
from limpid.paths import shipped

FILES = {file.stem: yaml.safe_load(file.read_text()) for file in sorted((shipped("conf") / "metrics").glob("*.yaml"))}
CARDS = [(stem, name, card) for stem, cards in FILES.items() for name, card in cards.items()]


@pytest.mark.parametrize(("stem", "name", "card"), CARDS, ids=[f"{stem}-{name}" for stem, name, _ in CARDS])
def test_a_card_says_all_that_decides_its_number(stem: str, name: str, card: dict[str, Any]) -> None:
    instantiate.check(card, f"{stem}.{name}")
    made = instantiate.construct(card, f"{stem}.{name}")
    assert isinstance(made, MetricProtocol)
    for said in ("text", "colour_space", "value_range", "rounding", "border", "window", "reduction", "used_by"):
        assert getattr(made, said), f"{stem}.{name} does not say its {said}"
    assert name.split("_")[0] == made.metric.split("_")[0]


def test_an_id_means_one_thing() -> None:
    meaning: dict[str, Any] = {}
    for _, _, card in CARDS:
        assert meaning.setdefault(card["id"], (card["metric"], card["options"])) == (card["metric"], card["options"])
    assert len({repr(m) for m in meaning.values()}) == len(meaning), "and one thing has one id"
