"""What restores for which weather: the best by its score on the sets that count, and why."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from limpid import zoo
from limpid.hints import what_suits
from limpid.offers import Offer, all_offers, by_task, choice, offers, ranked, score_of, suiting
from limpid.weather import weathers
from limpid.zoo.comparison import compared, is_worse_than_nothing
from limpid.zoo.priors import PriorCard


def psnr(value: float, n: int = 22, protocol: str = "psnr_rgb", **more: Any) -> dict[str, Any]:
    return {"psnr": {"value": value, "n": n, "protocol": protocol, **more}}


def prior(name: str, *weathers: str, **scores: Any) -> Offer:
    return Offer(name, weathers, False, PriorCard(name=name, scores=scores))


def weights(name: str, *weathers: str, bar_held: bool | None = None, **scores: Any) -> Offer:
    card = dataclasses.replace(zoo.find("rfd_student_scenes"), name=name, scores=scores, bar_held=bar_held)
    return Offer(f"zoo:{name}", weathers, False, card)


def test_entries_are_compared_on_one_set_with_one_protocol_and_the_same_images() -> None:
    scores = {
        "a": {"one": psnr(20.0)},
        "b": {"one": psnr(21.0), "two": psnr(30.0)},
        "c": {"one": psnr(25.0, n=500)},
        "d": {"one": psnr(26.0, protocol="psnr_y")},
        "e": {"two": psnr(40.0)},
        "f": {"one": {"ssim": {"value": 0.9, "n": 22, "protocol": "ssim"}}},
    }
    found = compared(scores, ["none", "one", "two"])
    assert {name: one.score["value"] for name, one in found.items()} == {"a": 20.0, "b": 21.0}
    assert {one.set for one in found.values()} == {"one"}
    assert set(compared(scores, ["two", "one"])) == {"b", "e"}
    assert compared(scores, ["none"]) == compared({}, ["one"]) == {}


def test_what_is_not_above_the_input_on_one_of_the_sets_is_worse_than_nothing() -> None:
    better, worse = psnr(20.0, input=12.0), psnr(20.0, input=20.0)
    assert not is_worse_than_nothing({"one": better, "other": worse}, ["one"])
    assert is_worse_than_nothing({"one": better, "other": worse}, ["one", "other"])
    assert not is_worse_than_nothing({"one": psnr(20.0)}, ["one"])  # the input was not measured


def test_the_best_by_score_is_taken_and_it_is_said_why() -> None:
    offered = [
        prior("dcp", "haze", sots_indoor=psnr(18.8)),
        prior("wmcp", "haze", "sand", sots_indoor=psnr(20.1)),
        prior("mof", "haze"),
        weights("better", "haze", sots_indoor=psnr(23.44)),
    ]
    taken = choice("haze", offered)
    assert taken is not None
    assert (taken.offer.name, taken.why) == ("zoo:better", "better, 23.4 dB on sots_indoor; wmcp 20.1")
    assert [offer.name for offer in ranked("haze", offered)] == ["zoo:better", "wmcp", "dcp", "mof"]
    assert suiting("haze", offered)[0] == "zoo:better"
    alone = choice("haze", offered[:1])
    assert alone is not None
    assert alone.why == "dcp, 18.8 dB on sots_indoor"


def test_what_missed_its_bar_or_is_worse_than_the_input_is_never_taken_by_itself() -> None:
    offered = [
        prior("dcp", "haze", sots_indoor=psnr(18.8)),
        weights("missed", "haze", bar_held=False, sots_indoor=psnr(30.0)),
        weights("harmful", "haze", sots_indoor=psnr(25.0, input=26.0)),
        weights("held", "haze", bar_held=True),
    ]
    taken = choice("haze", offered)
    assert taken is not None
    assert taken.why == "dcp, 18.8 dB on sots_indoor"
    assert suiting("haze", offered) == ["dcp", "zoo:held", "zoo:missed", "zoo:harmful"]
    assert choice("haze", offered[1:3]) is None
    assert choice("blur", offered) is None


def test_without_scores_the_order_is_what_a_weather_prefers_then_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = [prior("dcp", "haze"), weights("b", "haze"), prior("wmcp", "haze"), weights("a", "haze")]
    offered[3] = dataclasses.replace(offered[3], default=True)
    assert suiting("haze", offered) == ["wmcp", "zoo:a", "dcp", "zoo:b"]
    taken = choice("haze", offered)
    assert taken is not None
    assert taken.why == "wmcp, of which there is no score to compare"


def test_a_weather_of_ones_own_needs_no_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "conf" / "weather"
    folder.mkdir(parents=True)
    (folder / "smoke.yaml").write_text("words: []\npriors: [dcp]\nprefer: []\norder: 0\nlimits: {}\n")
    monkeypatch.chdir(tmp_path)
    assert weathers()["smoke"].sets == ()
    taken = choice("smoke", offers())
    assert taken is not None
    assert taken.why == "dcp, of which there is no score to compare"


def test_what_suits_comes_from_cards_and_priors() -> None:
    by_name = {offer.name: offer for offer in offers()}
    assert by_name["rfd_student"].weathers == ("haze",)  # its card's task
    assert by_name["mprnet"].weathers == ("haze", "rain")
    assert by_name["zoo:aosr_scenes"].weathers == ("sand",)  # not the network's default
    assert "haze" in by_name["dcp"].weathers
    assert by_name["dcp"].about == "Dark channel prior (He et al. 2011)."
    assert by_name["dcp"].limits.startswith("Results are darker")
    assert {offer.name for offer in all_offers()} >= {*by_name, "zoo:gca_net_its"}
    listed = what_suits()
    assert f"haze    {suiting('haze')[0]}, " in listed


def test_methods_are_listed_by_task_each_once_with_the_score_that_says_most() -> None:
    both = prior("both", "sand", "haze", sand_test=psnr(15.0, input=10.0), sots_indoor=psnr(20.0))
    offered = [weights("sandy", "sand"), both, weights("odd", "snow", made=psnr(31.0))]
    groups = by_task(offered)
    assert {task: [offer.name for offer in found] for task, found in groups.items()} == {
        "haze": ["both"],
        "sand": ["zoo:sandy"],
        "snow": ["zoo:odd"],
    }
    assert score_of(both) == ("sots_indoor", "psnr", psnr(20.0)["psnr"])
    assert score_of(offered[0]) is None
    assert score_of(offered[2]) == ("made", "psnr", psnr(31.0)["psnr"])
