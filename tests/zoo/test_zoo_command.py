"""`limpid zoo` and `ckpt=zoo:NAME` as a user runs them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import limpid
from limpid import checkpoint
from limpid.cli import status
from limpid.zoo import create, listing
from limpid.zoo.measured import CardScore


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["limpid"])
    monkeypatch.setenv("LIMPID_ZOO", str(tmp_path / "zoo"))
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A checkpoint of a network that doubles what is above the middle: K = 2, whatever the image."""
    network = limpid.build("aod_net")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.conv5.bias.fill_(2.0)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    content = {"limpid": 1, "network": "aod_net", "network_config": {"channels": 3, "bias": 1.0}, "state_dict": state}
    provenance = {"row": "rfd/table5/aod_net", "budget": "mini", "seed": 0, "data": "scenes", "step": 1200}
    checkpoint.save({**content, "provenance": provenance}, tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt"


def photograph(path: Path) -> np.ndarray:
    values = np.random.default_rng(0).integers(130, 250, (24, 32, 3), np.uint8)
    Image.fromarray(values).save(path)
    return values


def test_list_show_and_check(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert status(["zoo", "add", str(saved), "--name", "doubling", "--task", "haze", "--good-for", "Tests."]) == 0
    assert "zoo:doubling: 1,761 parameters of aod_net, " in capfd.readouterr().out
    assert status(["zoo", "list"]) == 0
    assert "doubling" in capfd.readouterr().out
    assert status(["zoo", "list", "--format", "json"]) == 0
    [listed] = [card for card in json.loads(capfd.readouterr().out) if card["name"] == "doubling"]
    assert (listed["network"], listed["task"], listed["steps"]) == ("aod_net", "haze", 1200)
    assert status(["zoo", "show", "zoo:doubling"]) == 0
    shown = [line.split(maxsplit=2) for line in capfd.readouterr().out.splitlines()]
    assert ["trained", "on", "scenes"] in shown
    assert ["settings", "channels=3,", "bias=1.0"] in shown
    assert status(["zoo", "check"]) == 0
    assert "doubling: whole" in capfd.readouterr().out
    Path("zoo/doubling.safetensors").write_bytes(b"x")
    assert status(["zoo", "check"]) == 2
    assert "are damaged or were exchanged" in capfd.readouterr().err


def test_the_list_goes_by_task_and_score_with_priors_in_a_hundred_columns(
    saved: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert status(["zoo", "add", str(saved), "--name", "doubling", "--task", "haze"]) == 0
    capfd.readouterr()
    assert status(["zoo", "list"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 100
    assert lines[0].split()[:3] == ["name", "alias", "task"]
    assert any(line.startswith("dcp ") and " haze " in line and " sots_indoor " in line for line in lines)
    assert status(["zoo", "list", "--format", "json"]) == 0
    listed = json.loads(capfd.readouterr().out)
    kinds = {entry["name"]: entry["kind"] for entry in listed}
    assert (kinds["dcp"], kinds["doubling"], kinds["rfd_student_scenes"]) == ("prior", "weights", "weights")
    tasks = [entry["task"].split(",")[0] for entry in listed]
    assert tasks == sorted(tasks, key=["haze", "rain", "blur", "sand", "hybrid", "noise"].index)
    haze = [entry for entry in listed if "sots_indoor" in entry["scores"]]
    ranks = [
        (entry.get("bar_held") is not False, entry["scores"]["sots_indoor"]["psnr"]["value"])
        for entry in haze
        if entry["scores"]["sots_indoor"]["psnr"]["n"] == 22
    ]
    assert ranks == sorted(ranks, reverse=True)  # those that missed what was demanded of them stand last
    assert status(["zoo", "show", "dcp"]) == 0
    shown = capfd.readouterr().out
    assert shown.startswith("name    dcp\ntask    haze\nabout   Dark channel prior (He et al. 2011).\n")
    assert "; the input 12.0833 dB, so +7.902 dB (+6.239 to +9.565 with 95 % confidence)" in shown


def test_what_a_card_says_in_short_and_in_words(saved: Path) -> None:
    card = create.add("doubling", saved, Path("zoo"), bar="at least 3 dB: +1.2", bar_held=False, default=True)
    assert listing.in_words(card) == {
        "default": "model=aod_net takes these weights",
        "bar": "at least 3 dB: +1.2 (missed, so that nothing takes these weights by itself)",
    }
    short = {
        "Apache-2.0": "Apache-2.0",
        "Apache-2.0 as far as it is Limpid's to give; see the terms": "Apache-2.0",
        "none stated; without one, all rights are reserved": "none stated",
        "research only, as the README says": "research",
    }
    cards = {licence: dataclasses.replace(card, licence=licence) for licence in short}
    assert {licence: listing.licence_in_short(one) for licence, one in cards.items()} == short
    score: CardScore = {"value": 20.04, "n": 2, "protocol": "psnr_rgb", "input": 21.0}
    assert listing.scores_in_short("gopro", "psnr", score) == ("gopro", "21.0", "20.0", "-1.0")


def test_predict_takes_the_default_weights_and_says_so(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    values = photograph(Path("a.png"))
    assert status(["predict", "model=aod_net", "input=a.png", "output=no.png"]) == 2
    assert "or ckpt=zoo:aod_net_release, which others publish, or train it" in capfd.readouterr().err
    assert status(["zoo", "add", str(saved), "--name", "doubling"]) == 0
    assert status(["predict", "model=aod_net", "input=a.png", "output=b.png"]) == 0
    told = (
        "weights: zoo:doubling, trained on scenes (row rfd/table5/aod_net, budget mini, 1,200 steps); "
        "`limpid zoo show doubling` says more\n"
    )
    assert capfd.readouterr().err.startswith(told)
    expected = np.clip(2 * (values / 255) - 1, 0, 1)
    np.testing.assert_allclose(np.asarray(Image.open("b.png")) / 255, expected, atol=0.5 / 255 + 1e-6)
    for ckpt in ("zoo:doubling", "zoo/doubling.safetensors"):
        assert status(["predict", f"ckpt={ckpt}", "input=a.png", "output=c.png", "overwrite=true"]) == 0
        np.testing.assert_array_equal(np.asarray(Image.open("c.png")), np.asarray(Image.open("b.png")))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model=aod_net", "network.bias=2"], "were trained with its own settings, so network.bias cannot be set"),
        (["ckpt=zoo:doubling", "network.dim=2"], "comes from the checkpoint zoo:doubling (aod_net), so network.dim"),
        (
            ["ckpt=zoo:doubling", "model=rfd_student"],
            "holds the network aod_net, but model=rfd_student has rfd_student",
        ),
        (["ckpt=zoo:doublin"], "There are no weights zoo:doublin; did you mean 'doubling'?"),
    ],
)
def test_conflicts_are_refused(saved: Path, words: list[str], sentence: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert status(["zoo", "add", str(saved), "--name", "doubling"]) == 0
    photograph(Path("a.png"))
    assert status(["predict", *words, "input=a.png", "output=b.png"]) == 2
    assert sentence in capfd.readouterr().err
    assert not Path("b.png").exists()


def test_profile_takes_an_entry_but_needs_none(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert status(["zoo", "add", str(saved), "--name", "doubling"]) == 0
    size = ["image_size=[16,16]", "repeats=1", "device=cpu", "format=json"]
    capfd.readouterr()
    assert status(["profile", "ckpt=zoo:doubling", *size]) == 0
    assert json.loads(capfd.readouterr().out)["params"] == 1761
    assert status(["profile", "model=aod_net", "network.channels=4", *size]) == 0
    assert json.loads(capfd.readouterr().out)["params"] != 1761


@pytest.mark.slow
def test_a_test_records_which_entry_it_used(saved: Path) -> None:
    assert status(["zoo", "add", str(saved), "--name", "doubling"]) == 0
    small = ["data.test.scenes.clean.count=1", "data.test.scenes.clean.height=32", "data.test.scenes.clean.width=32"]
    assert status(["test", "ckpt=zoo:doubling", "data=scenes", "trainer=cpu", *small]) == 0
    [metrics] = Path("runs").rglob("metrics.json")
    provenance = json.loads(metrics.read_text())["provenance"]
    assert provenance["checkpoint"] == "zoo:doubling"
    assert provenance["trained"]["zoo"] == "doubling"


def test_a_name_that_is_taken_is_kept(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["zoo", "add", str(saved), "--name", "doubling"]
    assert status(command) == 0
    assert status(command) == 2
    assert "There is an entry doubling in" in capfd.readouterr().err
    assert status([*command, "--overwrite", "--task", "rain"]) == 0
    assert "task: rain" in Path("zoo/doubling.yaml").read_text()


def test_import_renames_and_checks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    network = limpid.build("aod_net")
    published = {f"e_{key}": value for key, value in network.state_dict().items()}
    torch.save(published, tmp_path / "dehazer.pth")
    assert status(["zoo", "import", "aod_net", "dehazer.pth", "--task", "haze"]) == 0
    imported = limpid.load("zoo:aod_net_imported")
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(imported(x), network(x))
    assert "licence: MIT" in Path("zoo/aod_net_imported.yaml").read_text()
    del published["e_conv4.bias"]
    torch.save(published, tmp_path / "dehazer.pth")
    capfd.readouterr()
    assert status(["zoo", "import", "aod_net", "dehazer.pth", "--name", "other"]) == 2
    assert "do not fit the network aod_net: it lacks conv4.bias." in capfd.readouterr().err
    assert status(["zoo", "import", "aod_net", "dehazer.pth", "channels", "--name", "other"]) == 2
    assert "'channels' is no setting of the network; give KEY=VALUE" in capfd.readouterr().err
    assert not Path("zoo/other.safetensors").exists()


def test_a_name_that_comes_with_limpid_cannot_be_hidden_behind_it(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("limpid.zoo.folders", lambda: [Path("shipped"), Path("zoo")])
    command = ["zoo", "add", str(saved), "--name", "doubling"]
    assert status([*command, "--to", "shipped"]) == 0
    assert status([*command, "--overwrite"]) == 2
    assert "shipped already; give another --name.\n" in capfd.readouterr().err
    assert status([*command, "--to", "elsewhere"]) == 0
