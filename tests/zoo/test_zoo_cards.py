"""Zoo entries: what a card must say, which weights a name takes, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

import limpid
from limpid import checkpoint, zoo
from limpid.errors import UserError
from limpid.store.run_directory import Run
from limpid.zoo import card as cards
from limpid.zoo import create, files

SHIPPED = zoo.folders()[0]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty zoo of the user's own, and none that comes with Limpid."""
    own = tmp_path / "zoo"
    monkeypatch.setenv("LIMPID_ZOO", str(own))
    monkeypatch.setattr(cards, "folders", lambda: [tmp_path / "shipped", own])
    return own


def trained(path: Path, network: str = "aod_net", seed: int = 0, **settings: Any) -> Path:
    """A checkpoint of a network with random weights."""
    torch.manual_seed(seed)
    state = {f"network.{k}": v for k, v in limpid.build(network, **settings).state_dict().items()}
    provenance = {"row": "rfd/table5/aod_net", "budget": "mini", "seed": 3, "data": "scenes", "step": 700}
    content = {"limpid": 1, "network": network, "network_config": settings, "provenance": provenance}
    checkpoint.save({**content, "state_dict": state}, path)
    return path


def entry(folder: Path, name: str = "small", **said: Any) -> cards.Card:
    return create.add(name, trained(folder.parent / "a.ckpt"), folder, task="haze", **said)


def test_a_checkpoint_becomes_an_entry_that_loads_to_the_same_bits(folder: Path) -> None:
    card = entry(folder)
    assert (card.network, card.parameters, card.row, card.budget) == ("aod_net", 1761, "rfd/table5/aod_net", "mini")
    assert (card.seed, card.steps, card.trained_on) == (3, 700, "scenes")
    assert card.bytes == card.weights.stat().st_size
    x = torch.rand(1, 3, 16, 16)
    expected = checkpoint.network(checkpoint.read(folder.parent / "a.ckpt"), folder)(x)
    for what in ("zoo:small", "aod_net", folder / "small.safetensors", str(folder.parent / "a.ckpt")):
        network = limpid.load(what)
        assert not network.training
        assert torch.equal(network(x), expected)


def test_a_card_comes_back_from_its_file_as_it_was(folder: Path) -> None:
    scores = {"scenes": {"psnr": {"value": 20.5, "n": 24, "protocol": "psnr_rgb"}}}
    card = entry(folder, scores=scores, good_for="Haze: thin, with a colon.", default=True, commit="1e5")
    assert cards.read(folder / "small.yaml") == card
    assert zoo.find("small") == card
    assert zoo.cards() == {"small": card}


def test_where_weights_come_from_goes_into_what_uses_them(folder: Path) -> None:
    entry(folder)
    loaded = checkpoint.read(Path("zoo:small"))
    assert loaded["provenance"]["zoo"] == "small"
    assert loaded["provenance"]["budget"] == "mini"
    assert checkpoint.fingerprint(Path("zoo:small")) == zoo.find("small").sha256


def test_damaged_weights_are_refused(folder: Path) -> None:
    card = entry(folder)
    content = bytearray(card.weights.read_bytes())
    content[-1] ^= 1
    card.weights.write_bytes(content)
    with pytest.raises(UserError, match=r"small\.safetensors are damaged or were exchanged: their sha256 is"):
        limpid.load("zoo:small")
    card.weights.write_bytes(content[:100])
    with pytest.raises(UserError, match="is cut short, damaged, or no safetensors file"):
        limpid.load(card.weights)
    card.weights.unlink()
    with pytest.raises(UserError, match=r"has no weights beside it \(small\.safetensors is missing\)"):
        limpid.load("zoo:small")


def test_a_card_and_weights_of_different_networks_are_refused(folder: Path) -> None:
    card = entry(folder)
    (folder / "small.yaml").write_text(cards.text(dataclasses.replace(card, network_config={"bias": 2.0})))
    with pytest.raises(UserError, match="name different networks or settings"):
        limpid.load("zoo:small")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tusk": "haze"}, "has an unknown field 'tusk'; did you mean 'task'?"),
        ({"task": None}, "The field task of the zoo card .* is None, but it must be a str"),
        ({"bytes": "1761"}, "The field bytes .* is '1761', but it must be a int"),
        ({"parameters": True}, "The field parameters .* is True, but it must be a int"),
        ({"name": "other"}, "is named 'other', but its name must be the file's"),
        ({"sha256": "abc"}, "is not one of 64 hex digits"),
        ({"scores": {"scenes": {"psnr": 20}}}, "The scores on scenes .* are not each a value, an n and a protocol"),
        ({"network_config": [1]}, "The field network_config .* must be a dict"),
    ],
)
def test_a_wrong_card_is_one_sentence(folder: Path, change: dict[str, Any], sentence: str) -> None:
    plain = {**entry(folder).plain(), **change}
    with pytest.raises(UserError, match=sentence):
        cards.parse(plain, folder / "small.yaml")


def test_a_card_lacking_a_field_or_not_yaml_is_one_sentence(folder: Path) -> None:
    plain = entry(folder).plain()
    del plain["licence"]
    with pytest.raises(UserError, match="lacks the field licence"):
        cards.parse(plain, folder / "small.yaml")
    for content, sentence in (("a: [", "small.yaml cannot be read as YAML"), ("- a", "small.yaml must hold keys")):
        (folder / "small.yaml").write_text(content)
        with pytest.raises(UserError, match=sentence):
            zoo.find("small")


def test_a_date_may_stand_unquoted(folder: Path) -> None:
    plain = {**entry(folder).plain(), "date": "DATE"}
    (folder / "small.yaml").write_text(yaml.safe_dump(plain).replace("DATE", "2026-01-31"))
    assert zoo.find("small").date == "2026-01-31"


def test_the_default_of_several(folder: Path) -> None:
    entry(folder, "one")
    assert zoo.default_for("aod_net") == zoo.find("one")
    entry(folder, "two")
    with pytest.raises(UserError, match=r"has several weights and no default; give one of them: ckpt=zoo:one, zoo:two"):
        zoo.default_for("aod_net")
    entry(folder, "three", default=True)
    assert zoo.default_for("aod_net") == zoo.find("three")
    assert zoo.default_for("ffa_net") is None


def test_what_comes_with_limpid_is_looked_at_first(folder: Path) -> None:
    entry(folder)
    entry(folder.parent / "shipped", limits="shipped")
    assert zoo.find("small").limits == "shipped"
    assert [card.limits for card in zoo.cards().values()] == ["shipped"]


def test_unknown_names_are_hinted_at(folder: Path) -> None:
    with pytest.raises(UserError, match=r"There are no weights zoo:small; the zoo is empty\."):
        limpid.load("zoo:small")
    entry(folder)
    with pytest.raises(UserError, match=r"There are no weights zoo:smal; did you mean 'small'\?"):
        limpid.load("zoo:smal")
    for name in ("zoo:../small", "zoo:", "zoo:a/b"):
        with pytest.raises(UserError, match="There are no weights"):
            limpid.load(name)
    with pytest.raises(UserError, match=r"'aod_ned' is no network, no zoo:NAME and no file; did you mean 'aod_net'\?"):
        limpid.load("aod_ned")
    with pytest.raises(UserError, match="The zoo has no weights for the network rfd_student"):
        limpid.load("rfd_student")


def test_a_prior_needs_no_weights() -> None:
    x = torch.rand(1, 3, 24, 24)
    assert torch.equal(limpid.load("gamma")(x), limpid.build("gamma")(x))


def test_a_safetensors_file_without_a_network_is_told_what_to_do(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=r"does not say which network of Limpid it holds; .*`limpid zoo import NETWORK"):
        limpid.load(tmp_path / "x.safetensors")


def test_a_header_asks_for_nothing(tmp_path: Path) -> None:
    files.write(tmp_path / "x.safetensors", {}, "aod_net", {"bias": {"_target_": "os.system"}})
    with pytest.raises(UserError, match="asks for an object by _target_"):
        limpid.load(tmp_path / "x.safetensors")


def finished(run: Run, weights: str) -> None:
    """What a run of the store holds when it is done, besides its checkpoints."""
    run.begin({"fingerprint": "x", "data": {"train": {"licence": "CC0"}}}, {"commit": "abc"})
    psnr = {"mean": 21.23456789, "n": 24, "protocol": "psnr_rgb"}
    metrics = {"scenes": {"psnr": psnr, "params_m": {"mean": 0.001761, "n": 24, "protocol": "parameters"}}}
    run.finish({"metrics": metrics, "provenance": {"weights": weights}}, [])


def test_a_run_gives_its_scores_licence_and_commit(folder: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    trained(run.best_checkpoint)
    finished(run, checkpoint.weights_fingerprint(checkpoint.weights(checkpoint.read(run.best_checkpoint))))
    card = create.add("mine", run.path, folder, licence="CC-BY-4.0")
    assert card.scores == {"scenes": {"psnr": {"value": 21.234568, "n": 24, "protocol": "psnr_rgb"}}}
    assert (card.commit, card.licence, card.data_licence) == ("abc", "CC-BY-4.0", "CC0")


def test_scores_of_other_weights_are_not_taken(folder: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    trained(run.best_checkpoint)
    with pytest.raises(UserError, match=r"is not finished \(its status is missing\)"):
        create.add("mine", run.path, folder)
    finished(run, "0" * 64)
    with pytest.raises(UserError, match="are of other weights than its chosen checkpoint"):
        create.add("mine", run.path, folder)
    assert not folder.exists()


def test_a_wrong_name_writes_nothing(folder: Path) -> None:
    with pytest.raises(UserError, match="of small letters, digits"):
        entry(folder, "Mine")
    assert not folder.exists()


def test_weights_are_float32_whole_numbers_stay(folder: Path, tmp_path: Path) -> None:
    state = {key: value.half() for key, value in limpid.build("aod_net").state_dict().items()}
    torch.save(state, tmp_path / "half.pth")
    card = create.published("aod_net", tmp_path / "half.pth", "half", folder)
    found = files.tensors(card.weights)[0]
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert all(torch.equal(found[key], value.float()) for key, value in state.items())
    files.write(tmp_path / "b.safetensors", {"count": torch.tensor(3)}, "aod_net", {})
    assert files.tensors(tmp_path / "b.safetensors")[0]["count"].dtype == torch.int64


def test_numbers_of_numpy_beside_published_weights_are_read(folder: Path, tmp_path: Path) -> None:
    state = {f"module.{k}": v for k, v in limpid.build("aod_net").state_dict().items()}
    content = {"step": 5, "max_psnr": np.float64(30.1), "ssims": [np.float32(0.5)], "model": state}
    torch.save(content, tmp_path / "a.pk")
    assert create.published("aod_net", tmp_path / "a.pk", "a", folder).parameters == 1761


def test_published_objects_are_not_opened(folder: Path, tmp_path: Path) -> None:
    torch.save(limpid.build("aod_net"), tmp_path / "module.pth")  # as several releases do
    with pytest.raises(UserError, match="so it is not opened: such a file can run any code"):
        create.published("aod_net", tmp_path / "module.pth", "x", folder)
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match="cut short or damaged"):
        create.published("aod_net", tmp_path / "cut.pth", "x", folder)


def test_weights_of_another_network_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    torch.save(limpid.build("aod_net").state_dict(), tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"do not fit the network srn: it lacks .* There is no table"):
        create.published("srn", tmp_path / "a.pth", "x", folder)
    with pytest.raises(
        UserError,
        match=r"do not fit the network gca_net: it lacks .*it has encoder\.0\.bias, .* encoder\.0\.weight is 3x3x1x1 in it",
    ):
        create.published("gca_net", tmp_path / "a.pth", "x", folder)
    assert not folder.exists()


def test_shipped_entries_are_whole_small_and_say_what_they_are() -> None:
    shipped = [cards.read(file) for file in sorted(SHIPPED.glob("*.yaml"))]
    stray = {file.stem for file in SHIPPED.glob("*.safetensors")} - {card.name for card in shipped}
    assert not stray
    assert sum(card.bytes for card in shipped) < 15e6
    for card in shipped:
        card.verify()
        loaded = files.read(card.weights)
        assert (loaded["network"], loaded["network_config"]) == (card.network, card.network_config)
        network = checkpoint.network(loaded, card.weights)
        assert sum(p.numel() for p in network.parameters()) == card.parameters
        assert create.UNSTATED not in (card.task, card.trained_on, card.licence, card.data_licence)
        assert card.good_for
        assert card.limits
        assert card.scores
    for network in {card.network for card in shipped}:
        assert sum(card.default for card in shipped if card.network == network) == 1


def test_cards_are_plain_json(folder: Path) -> None:
    assert json.loads(json.dumps(entry(folder).plain()))["name"] == "small"
