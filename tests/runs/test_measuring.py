"""`limpid zoo measure`: what is tested and timed stands in the card, and nothing else of it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import limpid
from limpid import checkpoint, profiling, zoo
from limpid.cli import status
from limpid.errors import UserError
from limpid.runs import measuring
from limpid.store.run_directory import Run
from limpid.zoo import card as cards
from limpid.zoo import create, priors

SMALL = [f"data.test.scenes.clean.{key}" for key in ("count=3", "height=32", "width=32")]
WORDS = ["data=scenes", "trainer=cpu", "data.workers=0", *SMALL]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty zoo of the user's own, and none that comes with Limpid."""
    own = tmp_path / "zoo"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMPID_ZOO", str(own))
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("sys.argv", ["limpid"])
    monkeypatch.setattr(cards, "folders", lambda: [tmp_path / "shipped", own])
    return own


def doubling(folder: Path, name: str = "doubling", **said: object) -> cards.Card:
    """An entry that gives `2 x - 1` of any image."""
    network = limpid.build("aod_net")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.conv5.bias.fill_(2.0)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    content = {"limpid": 1, "network": "aod_net", "network_config": {}, "provenance": {}, "state_dict": state}
    checkpoint.save(content, folder.parent / "a.ckpt")
    return create.add(name, folder.parent / "a.ckpt", folder, task="haze", **said)


def test_an_entry_is_tested_and_timed_and_its_card_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = {"other": {"psnr": {"value": 20.0, "n": 2, "protocol": "psnr_rgb"}}}
    before = doubling(folder.parent / "shipped", scores=kept, good_for="Tests.")
    assert status(["zoo", "measure", "doubling", *WORDS]) == 0
    card = zoo.find("doubling")
    assert card.file == folder.parent / "shipped" / "doubling.yaml"
    assert (card.scores["other"], card.good_for, card.sha256) == (kept["other"], "Tests.", before.sha256)
    [run] = [path.parent for path in (folder.parent / "runs").rglob("metrics.json")]
    images = pd.read_csv(run / "per_image.csv")
    gains = images["psnr"] - images["input_psnr"]
    score = card.scores["scenes"]["psnr"]
    assert (score["n"], score["protocol"]) == (3, "psnr_rgb")
    assert score["value"] == pytest.approx(images["psnr"].mean(), abs=1e-5)
    assert score["input"] == pytest.approx(images["input_psnr"].mean(), abs=1e-5)
    # Student's factor for three images, from tables: 4.303.
    half = 4.303 * gains.std() / 3**0.5
    assert score["interval"] == pytest.approx([gains.mean() - half, gains.mean() + half], rel=1e-3)
    assert card.seconds_per_megapixel > 0
    assert card.measured_on.startswith("one core of ")
    out = capsys.readouterr().out.splitlines()
    assert out[1].startswith(f"scenes: psnr {score['value']:.6g} dB, mean of 3 (psnr_rgb); the input ")
    assert out[-1] == f"written into {card.file}"


def test_a_prior_gets_a_file_of_its_own(folder: Path) -> None:
    measured = measuring.measure(measuring.entry("gamma"), WORDS)
    assert measured == priors.priors()["gamma"] == measuring.entry("gamma")
    assert measured.file == folder / "priors" / "gamma.yaml"
    assert set(measured.scores["scenes"]) == {"psnr", "ssim"}
    again = measuring.measure(measured, [])  # without words only the cost
    assert again.scores == measured.scores


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [
        ("doublin", [], "'doublin' is neither an entry of the zoo nor a prior; did you mean 'doubling'?"),
        ("zoo:gamma", [], "There are no weights zoo:gamma; there are doubling."),
        ("ffa_net", [], "'ffa_net' is neither an entry of the zoo nor a prior."),
        ("doubling", ["model=dcp"], "What is measured is zoo:doubling as it is, so model cannot be set; leave it out."),
        ("doubling", ["network.bias=2"], "so network.bias cannot be set; leave it out."),
        ("doubling", ["data=scnes"], "scnes"),
        ("doubling", ["--scores-only"], "Nothing is to be measured; say on what, such as data=sots_indoor"),
        ("doubling", ["data=sots_indoor", "data.root=nowhere", "--scores-only"], "nowhere"),
    ],
)
def test_what_cannot_be_measured_is_a_sentence_and_leaves_the_card(
    folder: Path, name: str, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(profiling, "cost_per_megapixel", lambda *_: profiling.CostPerMegapixel(1.0, None, "here"))
    text = doubling(folder).file.read_text()
    assert status(["zoo", "measure", name, *words]) == 2
    assert sentence in capsys.readouterr().err
    assert (folder / "doubling.yaml").read_text() == text
    assert not (folder / "priors").exists()


def test_scores_that_are_not_finite_have_no_gain(folder: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.begin({"fingerprint": "x"}, {})
    psnr = {"mean": 30.0, "n": 2, "protocol": "psnr_rgb"}
    images = [
        {"set": "a", "index": i, "name": f"{i}", "psnr": 30.0, "input_psnr": value}
        for i, value in enumerate((20.0, float("inf")))
    ]
    run.finish({"metrics": {"a": {"psnr": psnr}}, "input": {"a": {"psnr": {**psnr, "mean": float("inf")}}}}, images)
    assert measuring.scores_of(run) == {"a": {"psnr": {"value": 30.0, "n": 2, "protocol": "psnr_rgb"}}}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("name: other", "is named 'other', but its name must be the file's"),
        ("name: dcp\nscores: 20", "The field scores .* is 20, but it must be a dict"),
        (
            "name: dcp\nscores: {a: {psnr: {value: 20, n: 1}}}",
            "The scores on a .* are not each a value, an n and a pro",
        ),
        (
            "name: dcp\nseconds_per_megapixel: fast",
            "The field seconds_per_megapixel .* is 'fast', but it must be a float",
        ),
        ("name: dcp\nscore: {}", "has an unknown field 'score'; did you mean 'scores'?"),
    ],
)
def test_a_wrong_file_of_a_prior_is_one_sentence(folder: Path, content: str, sentence: str) -> None:
    (folder / "priors").mkdir(parents=True)
    (folder / "priors" / "dcp.yaml").write_text(content)
    with pytest.raises(UserError, match=sentence):
        priors.priors()
