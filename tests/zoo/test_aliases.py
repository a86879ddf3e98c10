"""Aliases: names of a task, such as haze, that stand for the weights that are its default, wherever weights are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import limpid
from limpid import checkpoint, serving, zoo
from limpid.cli import status
from limpid.config.recipes import names
from limpid.errors import UserError
from limpid.hints import refuse_unknown
from limpid.methods import method
from limpid.predicting.asked import asked
from limpid.runs.resolve import resolve
from limpid.runs.select_network import with_aliases
from limpid.zoo import card as cards
from limpid.zoo import create

SHIPPED = zoo.folders()[0]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of the user's own with `doubling`, whose alias is mist, beside an empty one that comes with Limpid."""
    own = tmp_path / "zoo"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["limpid"])
    monkeypatch.setenv("LIMPID_ZOO", str(own))
    monkeypatch.setattr(cards, "folders", lambda: [tmp_path / "shipped", own])
    entry(own, "doubling", 2.0, aliases=["mist"])
    return own


def entry(folder: Path, name: str, factor: float, **said: object) -> cards.Card:
    """An entry that gives `factor * x - factor + 1` of any image."""
    network = limpid.build("aod_net")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.conv5.bias.fill_(factor)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    content = {"limpid": 1, "network": "aod_net", "network_config": {}, "provenance": {}, "state_dict": state}
    checkpoint.save(content, folder.parent / "a.ckpt")
    return create.add(name, folder.parent / "a.ckpt", folder, task="haze", **said)


def test_an_alias_stands_for_the_entry_whose_own_name_is_recorded(folder: Path) -> None:
    x = torch.rand(1, 3, 16, 16)
    expected = limpid.load("zoo:doubling")(x)
    for name in ("mist", "zoo:mist"):
        assert torch.equal(limpid.load(name)(x), expected)
        assert torch.equal(limpid.restore(x, name), expected.clamp(0, 1))
        made = method(name, "cpu")
        assert made.name == "doubling"
        assert made.identity.split(", ")[2].startswith("zoo:doubling ")
    assert zoo.find("mist").name == "doubling"
    tested = resolve(["ckpt=zoo:mist", "data=scenes"], "test").tested
    assert tested is not None
    assert (str(tested.file), tested.trained["zoo"]) == ("zoo:doubling", "doubling")


def test_an_alias_hides_no_card_no_network_and_no_file(folder: Path) -> None:
    entry(folder, "other", 3.0, aliases=["doubling", "dcp", "auto"])
    x = torch.rand(1, 3, 16, 16)
    assert zoo.find("doubling").name == "doubling"
    assert "doubling" not in zoo.aliases()
    assert torch.equal(limpid.load("dcp")(x), limpid.build("dcp")(x))
    assert asked(["model=auto", "input=a.png", "output=b.png"]).auto
    (folder.parent / "mist").write_bytes((folder.parent / "a.ckpt").read_bytes())
    assert torch.equal(limpid.load("mist")(x), limpid.load("zoo:other")(x))  # the file


def test_ones_own_alias_comes_before_that_of_another_and_a_moved_one_holds_at_once(folder: Path) -> None:
    x = torch.rand(1, 3, 16, 16)
    entry(folder.parent / "shipped", "shipped", 3.0, aliases=["mist", "fume"])
    assert (zoo.find("mist").name, zoo.find("fume").name) == ("doubling", "shipped")
    before = limpid.restore(x, "mist")
    own = folder / "doubling.yaml"
    own.write_text(own.read_text().replace("- mist", "- vapour"))
    assert torch.equal(limpid.restore(x, "mist"), limpid.load("zoo:shipped")(x).clamp(0, 1))
    assert not torch.equal(limpid.restore(x, "mist"), before)


def test_near_names_are_named_aliases_among_them(folder: Path) -> None:
    with pytest.raises(UserError, match=r"There are no weights zoo:mits; did you mean 'mist'\?"):
        limpid.load("zoo:mits")
    with pytest.raises(UserError, match=r"'miist' is no network, no zoo:NAME and no file; did you mean 'mist'\?"):
        limpid.load("miist")
    with pytest.raises(UserError, match=r"There is no model 'mits'; did you mean 'mist'\?"):
        refuse_unknown("mits", ["dcp"])
    with pytest.raises(UserError, match=r"There is no method 'mits' .*; did you mean 'mist'\?"):
        serving.methods(["mits"])
    with pytest.raises(UserError, match=r"There is no model 'mits'; did you mean 'mist'\?"):
        with_aliases(["model=mits"])
    with pytest.raises(UserError, match=r"There is no checkpoint mist; did you mean zoo:mist\?"):
        checkpoint.read(Path("mist"))
    assert [one.name for one in serving.methods(["mist"])] == ["aod_net"]


def test_predict_takes_an_alias_and_the_record_has_the_entrys_own_name(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    values = np.random.default_rng(0).integers(130, 250, (24, 32, 3), np.uint8)
    Image.fromarray(values).save("a.png")
    assert status(["predict", "model=mist", "input=a.png", "output=out/"]) == 0
    expected = np.clip(2 * (values / 255) - 1, 0, 1)
    np.testing.assert_allclose(np.asarray(Image.open("out/a.png")) / 255, expected, atol=0.5 / 255 + 1e-6)
    record = Path("out/limpid.jsonl").read_text()
    assert "zoo:doubling " in record
    assert "mist" not in record
    assert status(["predict", "ckpt=zoo:mist", "input=a.png", "output=ckpt/"]) == 0
    assert "zoo:doubling " in Path("ckpt/limpid.jsonl").read_text()
    assert "weights: zoo:doubling, trained on" in capfd.readouterr().err
    assert status(["predict", "model=[mist,dcp]", "input=a.png", "output=both/"]) == 0
    assert sorted(path.name for path in Path("both").iterdir() if path.is_dir()) == ["dcp", "doubling"]


def test_profile_export_and_test_take_an_alias_as_a_model(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert with_aliases(["model=mist", "data=scenes"]) == ["ckpt=zoo:doubling", "data=scenes"]
    assert with_aliases(["model=dcp"]) == ["model=dcp"]
    assert with_aliases(["model=mist", "ckpt=a.ckpt"]) == ["model=mist", "ckpt=a.ckpt"]
    assert status(["export", "model=mist", "format=safetensors", "output=exported/"]) == 0
    assert Path("exported/doubling.safetensors").is_file()
    size = ["image_size=[16,16]", "repeats=1", "device=cpu", "format=json"]
    capfd.readouterr()
    assert status(["profile", "model=mist", *size]) == 0
    assert json.loads(capfd.readouterr().out)["params"] == 1761


def test_show_and_list_name_the_alias(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert status(["zoo", "show", "mist"]) == 0
    shown = capfd.readouterr().out
    assert ["aliases", "mist (model=mist, ckpt=zoo:mist)"] in [line.split(maxsplit=1) for line in shown.splitlines()]
    assert status(["zoo", "list"]) == 0
    [line] = [line for line in capfd.readouterr().out.splitlines() if line.startswith("doubling")]
    assert line.split()[:3] == ["doubling*", "mist", "haze"]


def test_an_alias_that_is_a_name_already_is_refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["zoo", "add", "a.ckpt", "--name", "more", "--alias"]
    for alias, what in (("dcp", "a network"), ("doubling", "an entry of the zoo")):
        assert status([*command, alias]) == 2
        assert f"The alias {alias} is the name of {what} already; give another --alias." in capfd.readouterr().err
    assert status([*command, "mist"]) == 2
    said = "The alias mist stands for doubling in "
    assert said in capfd.readouterr().err
    assert status([*command, "Dust"]) == 2
    assert "has the alias 'Dust', but it must be a name of small letters" in capfd.readouterr().err
    assert not (folder / "more.yaml").exists()
    assert status([*command, "dust", "--alias", "sandstorm", "--bar", "at least 3 dB: +1", "--bar-held", "no"]) == 0
    card = zoo.find("sandstorm")
    assert (card.name, card.aliases, card.bar_held) == ("more", ["dust", "sandstorm"], False)
    capfd.readouterr()
    assert status(["zoo", "list"]) == 0
    out = capfd.readouterr().out
    assert "\nmore!" in out
    assert "! missed what was demanded of it, so that nothing takes it by itself." in out


def test_shipped_aliases_are_each_of_one_entry_and_nothing_elses_name() -> None:
    shipped = [cards.read(file) for file in sorted(SHIPPED.glob("*.yaml"))]
    aliases = [alias for card in shipped for alias in card.aliases]
    assert len(aliases) == len(set(aliases))
    assert not {*names("model"), *names("network"), *(card.name for card in shipped)} & set(aliases)
    assert not [card.name for card in shipped if card.aliases and card.bar_held is False]
