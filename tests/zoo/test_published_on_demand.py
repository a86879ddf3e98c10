"""Weights that others publish: fetched once from a local server, refused in whole sentences, and the cards themselves."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import torch
import yaml
from filelock import FileLock
from tests.file_server import FileServer, serving

import limpid
from limpid import checkpoint, downloads, offers, zoo
from limpid import serving as pages
from limpid.cli import status
from limpid.config.registry import registered
from limpid.errors import UserError
from limpid.models.teachers import load_teacher
from limpid.runs.own_content import with_own
from limpid.zoo import card as cards
from limpid.zoo import create, kept, renames

GITHUB = "https://raw.githubusercontent.com"
PATH = "/somebody/tiny/0123abc/models/tiny.pth"
SHIPPED = Path(zoo.__file__).parent / "published"


def content(seed: int = 0, extra: int = 0) -> bytes:
    """A state dict of AOD-Net as its publisher names it, and so many numbers that the import leaves out."""
    torch.manual_seed(seed)
    state = {f"e_{name}": value for name, value in limpid.build("aod_net").state_dict().items()}
    stream = io.BytesIO()
    torch.save({"state_dict": state, "optimizer": torch.zeros(extra)}, stream)
    return stream.getvalue()


class Zoo:
    """A zoo whose one card, `tiny`, names a file of the server."""

    def __init__(self, server: FileServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.kept = folder / "kept" / "tiny"
        self.file = self.kept / "tiny.pth"
        self.bytes = content()
        server.files[PATH] = self.bytes
        (folder / "published").mkdir()
        self.write()

    def write(self, **changes: object) -> None:
        """Write the card."""
        digest = hashlib.sha256(self.bytes).hexdigest()
        file = {"url": GITHUB + PATH, "sha256": digest, "bytes": len(self.bytes)}
        plain = {
            "name": "tiny",
            "network": "aod_net",
            "network_config": {},
            "parameters": 1761,
            "task": "haze",
            "trained_on": "haze",
            "licence": "research only",
            "data_licence": "unknown",
            "date": "2026-11-28",
            "source": "somebody/tiny",
            "files": [file],
            **changes,
        }
        kept_fields = {key: value for key, value in plain.items() if value is not None}
        (self.folder / "published" / "tiny.yaml").write_text(yaml.safe_dump(kept_fields))

    @property
    def address(self) -> str:
        return self.server.url + PATH

    def refusal(self, reason: str) -> str:
        """The sentence where the file could not be fetched."""
        return (
            f"The weights zoo:tiny could not be fetched from {self.address}: {reason}. Give the same command again when "
            f"that is mended; or download {GITHUB}{PATH} elsewhere and put it to {self.file} (`limpid zoo show tiny` "
            "lists addresses and checksums)."
        )


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        yield running


@pytest.fixture
def tiny(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    monkeypatch.setattr(cards, "folders", lambda: [tmp_path / "zoo", tmp_path / "published"])
    monkeypatch.setenv("LIMPID_PUBLISHED", str(tmp_path / "kept"))
    monkeypatch.setenv("LIMPID_WEIGHTS_URL", f"{server.url}/")
    return Zoo(server, tmp_path)


def said_in(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    return str(caught.value)


def test_they_are_fetched_and_converted_once_and_their_licence_is_said_once(
    tiny: Zoo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not zoo.find("tiny").at_hand
    network = limpid.load("zoo:tiny")
    assert capsys.readouterr().err == (
        f"Fetching zoo:tiny, once: 1 file, {len(tiny.bytes):,} bytes, from {tiny.address}. Licence of these weights: "
        "research only. They are others' work: whether you may use them is between you and their publisher.\n"
    )
    torch.manual_seed(0)
    x = torch.rand(1, 3, 16, 16)
    torch.manual_seed(0)
    assert torch.equal(network(x), limpid.build("aod_net")(x))
    card = zoo.find("tiny")
    assert card.at_hand
    assert card.bytes == len(tiny.bytes)
    before = card.weights.stat().st_mtime_ns
    assert torch.equal(limpid.load("zoo:tiny")(x), network(x))
    assert torch.equal(limpid.load("aod_net")(x), network(x)), "at hand, it is what the network takes"
    assert tiny.server.asked == [(PATH, None)]
    assert capsys.readouterr() == ("", "")
    assert card.weights.stat().st_mtime_ns == before, "converted once"
    loaded = checkpoint.read(Path("zoo:tiny"))
    assert loaded["provenance"]["imported"]["sha256"] == card.files[0]["sha256"]
    assert loaded["provenance"]["zoo"] == "tiny"
    assert checkpoint.fingerprint(Path("zoo:tiny")) == zoo.sha256(card.weights)


def test_nothing_but_their_use_by_name_opens_a_connection(tiny: Zoo, capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo.default_for("aod_net") is None
    assert "zoo:tiny" not in [offer.name for offer in offers.offers()]
    assert "zoo:tiny" not in [offered.name for offered in pages.methods()]
    assert said_in(lambda: limpid.load("aod_net")) == (
        "The zoo has no weights for the network aod_net at hand; give the path of a checkpoint, or zoo:tiny, which "
        "others publish, or `limpid.build('aod_net')` for one that learnt nothing."
    )
    capsys.readouterr()
    for words in (["list"], ["list", "--format", "json"], ["show", "tiny"], ["check"]):
        assert status(["zoo", *words]) == 0
    out = capsys.readouterr().out
    assert f"{GITHUB}{PATH}: {len(tiny.bytes):,} bytes, sha256 {hashlib.sha256(tiny.bytes).hexdigest()}\n" in out
    assert out.endswith("tiny: not fetched\n")
    parts = {"model": {"teacher": {"ckpt": "zoo:tiny"}}}
    before = with_own(parts, {})
    assert tiny.server.asked == []
    limpid.load("zoo:tiny")
    assert with_own(parts, {}) == before, "a run's name does not hang on whether they are fetched"
    assert status(["zoo", "check"]) == 0
    assert capsys.readouterr().out == "tiny: whole\n"


def test_they_work_wherever_weights_are_named(
    tiny: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["limpid"])
    teacher = load_teacher("aod_net", ckpt="zoo:tiny")
    assert teacher.origin["weights"] == checkpoint.weights_fingerprint(limpid.load("zoo:tiny").state_dict())
    [offered] = pages.methods(["tiny"])
    assert offered.make().identity.startswith(f"Limpid {limpid.__version__}, aod_net, zoo:tiny ")
    assert status(["export", "ckpt=zoo:tiny", "format=safetensors", "output=tiny.safetensors"]) == 0
    exported = checkpoint.read(tmp_path / "tiny.safetensors")
    assert checkpoint.weights_fingerprint(checkpoint.weights(exported)) == teacher.origin["weights"]
    assert capsys.readouterr().err.endswith(
        "weights: zoo:tiny, trained on haze (from somebody/tiny); `limpid zoo show tiny` says more\n"
    )


def test_a_page_fetches_what_it_is_to_offer_before_it_is_served(tiny: Zoo) -> None:
    pages.methods(["zoo:tiny"])
    assert tiny.server.asked == [(PATH, None)]


def test_another_checksum_is_thrown_away(tiny: Zoo) -> None:
    tiny.server.files[PATH] = tiny.bytes[:-1] + bytes([tiny.bytes[-1] ^ 1])
    digest = hashlib.sha256(tiny.bytes).hexdigest()
    assert said_in(lambda: limpid.load("zoo:tiny")) == tiny.refusal(
        f"what came has another checksum than the {digest} that is known"
    )
    assert [file.name for file in tiny.kept.iterdir()] == [".lock"]
    tiny.server.files[PATH] = tiny.bytes
    assert limpid.load("zoo:tiny")


@pytest.mark.parametrize("ranges", [True, False])
def test_what_broke_off_goes_on(tiny: Zoo, ranges: bool) -> None:
    tiny.bytes = content(extra=50_000)
    tiny.server.files[PATH] = tiny.bytes
    tiny.write()
    tiny.server.most, tiny.server.ranges = 150_000, ranges
    assert said_in(lambda: limpid.load("zoo:tiny")) == tiny.refusal("the connection broke off")
    tiny.server.most = None
    limpid.load("zoo:tiny")
    assert tiny.server.asked == [(PATH, None), (PATH, "bytes=131072-")]
    assert tiny.file.read_bytes() == tiny.bytes
    assert sorted(file.name for file in tiny.kept.iterdir() if file.is_file()) == [".lock", "tiny.pth"]


def test_a_beginning_is_not_lost_to_a_page_that_comes_in_its_place(tiny: Zoo) -> None:
    tiny.bytes = content(extra=50_000)
    tiny.server.files[PATH] = tiny.bytes
    tiny.write()
    tiny.server.most = 150_000
    said_in(lambda: limpid.load("zoo:tiny"))
    tiny.server.most, tiny.server.ranges = None, False
    tiny.server.kind = "text/html; charset=utf-8"
    tiny.server.files[PATH] = b"<html>Please log in</html>"
    assert said_in(lambda: limpid.load("zoo:tiny")) == tiny.refusal(
        "a web page came in its place, as a proxy or a page to log in gives it"
    )
    tiny.server.kind = "application/octet-stream"
    assert said_in(lambda: limpid.load("zoo:tiny")) == tiny.refusal(
        f"it has 26 bytes there, and {len(tiny.bytes):,} are known"
    )
    tiny.server.files[PATH], tiny.server.ranges = tiny.bytes, True
    limpid.load("zoo:tiny")
    assert tiny.server.asked[-1] == (PATH, "bytes=131072-")


def test_no_more_is_taken_than_is_known(tiny: Zoo) -> None:
    tiny.server.files[PATH], tiny.server.lengths = tiny.bytes + b"0" * 1_000_000, False
    assert said_in(lambda: limpid.load("zoo:tiny")) == tiny.refusal(
        f"more than the {len(tiny.bytes):,} bytes came that are known"
    )
    tiny.server.files[PATH] = tiny.bytes[:4000]
    assert said_in(lambda: limpid.load("zoo:tiny")) == tiny.refusal(f"4000 of {len(tiny.bytes)} bytes came")
    tiny.server.files[PATH] = tiny.bytes
    assert limpid.load("zoo:tiny")
    assert tiny.server.asked[-1] == (PATH, "bytes=4000-")


def test_ones_own_weights_are_taken_before_those_that_were_fetched(tiny: Zoo, tmp_path: Path) -> None:
    limpid.load("zoo:tiny")
    assert zoo.default_for("aod_net") == zoo.find("tiny")
    (tmp_path / "own.pth").write_bytes(content(seed=1))
    own = create.published("aod_net", tmp_path / "own.pth", "own", tmp_path / "zoo")
    assert zoo.default_for("aod_net") == own


def closed(tiny: Zoo, monkeypatch: pytest.MonkeyPatch) -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("LIMPID_WEIGHTS_URL", url)
    return tiny.refusal("Connection refused").replace(tiny.server.url, url)


def closed_to_a_password(tiny: Zoo, monkeypatch: pytest.MonkeyPatch) -> str:
    sentence = closed(tiny, monkeypatch)
    monkeypatch.setenv("LIMPID_WEIGHTS_URL", os.environ["LIMPID_WEIGHTS_URL"].replace("://", "://me:secret@"))
    return sentence


def unknown_name(tiny: Zoo, monkeypatch: pytest.MonkeyPatch) -> str:
    def unknown(*arguments: Any, **settings: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("LIMPID_WEIGHTS_URL", "")
    return tiny.refusal("Name or service not known").replace(tiny.server.url, GITHUB)


def gone(tiny: Zoo, monkeypatch: pytest.MonkeyPatch) -> str:
    tiny.server.files.clear()
    return tiny.refusal("the server answers 404 Not Found")


def slow(tiny: Zoo, monkeypatch: pytest.MonkeyPatch) -> str:
    def late(*arguments: Any, **settings: Any) -> None:
        raise requests.ReadTimeout("Read timed out.")

    monkeypatch.setattr(requests, "get", late)
    return tiny.refusal("no answer came within 60 seconds")


def no_certificates(tiny: Zoo, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent/ca.pem")
    url = tiny.server.url.replace("http:", "https:")
    monkeypatch.setenv("LIMPID_WEIGHTS_URL", url)
    reason = "Could not find a suitable TLS CA certificate bundle, invalid path: /nonexistent/ca.pem"
    return tiny.refusal(reason).replace(tiny.server.url, url)


def no_mirror(tiny: Zoo, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LIMPID_WEIGHTS_URL", "ftp://mirror")
    return (
        "LIMPID_WEIGHTS_URL is 'ftp://mirror', but it must be an address that begins with https:// or http://; correct "
        "it, or leave it out."
    )


def full_disk(tiny: Zoo, monkeypatch: pytest.MonkeyPatch) -> str:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tiny.file))

    monkeypatch.setattr(downloads, "_resume", full)
    return unkept(tiny.kept, "No space left on device")


def a_file_in_the_way(tiny: Zoo, monkeypatch: pytest.MonkeyPatch) -> str:
    (tiny.folder / "kept").write_text("")
    return unkept(tiny.kept, "Not a directory")


def unkept(folder: Path, reason: str) -> str:
    return (
        f"The weights zoo:tiny cannot be kept in {folder} ({reason}); make room or mend its permissions, or set "
        "LIMPID_PUBLISHED to another folder."
    )


@pytest.mark.parametrize(
    "fault",
    [closed, closed_to_a_password, unknown_name, gone, slow, no_certificates, no_mirror, full_disk, a_file_in_the_way],
)
def test_what_cannot_be_fetched_or_kept_is_one_sentence(
    fault: Callable[[Zoo, pytest.MonkeyPatch], str], tiny: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = fault(tiny, monkeypatch)
    assert said_in(lambda: limpid.load("zoo:tiny")) == sentence
    monkeypatch.undo()


def test_a_folder_that_may_not_be_written_to(tiny: Zoo) -> None:
    tiny.kept.parent.mkdir(mode=0o500)
    try:
        (tiny.kept.parent / "tried").touch()
    except PermissionError:
        assert said_in(lambda: limpid.load("zoo:tiny")) == unkept(tiny.kept, "Permission denied")
    else:
        pytest.skip("whoever runs this may write everywhere")


def test_a_file_that_was_put_there_by_hand_needs_no_connection(
    tiny: Zoo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = closed(tiny, monkeypatch)
    tiny.kept.mkdir(parents=True)
    another = tiny.bytes[:-1] + b"?"
    tiny.file.write_bytes(another)
    there = f"put it to {tiny.file}"
    assert said_in(lambda: limpid.load("zoo:tiny")) == refusal.replace(there, f"{there}, where another file lies now")
    assert tiny.file.read_bytes() == another
    assert not zoo.find("tiny").at_hand
    capsys.readouterr()
    tiny.file.write_bytes(tiny.bytes)
    assert zoo.find("tiny").at_hand
    limpid.load("zoo:tiny")
    assert capsys.readouterr().err == (
        f"Taking zoo:tiny from the files in {tiny.kept}. Licence of these weights: research only. They are others' "
        "work: whether you may use them is between you and their publisher.\n"
    )


def test_two_at_once_fetch_once(tiny: Zoo, capsys: pytest.CaptureFixture[str]) -> None:
    together = threading.Barrier(2)
    networks: list[torch.nn.Module] = []

    def load() -> None:
        together.wait()
        networks.append(limpid.load("zoo:tiny"))

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(networks) == 2
    assert tiny.server.asked == [(PATH, None)]
    assert capsys.readouterr().err.count("Fetching zoo:tiny") == 1


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("flock")])
def test_a_file_system_without_locks_does(error: Exception, tiny: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **settings: Any) -> None:
        raise error

    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert limpid.load("zoo:tiny")


def test_what_was_damaged_is_told_and_made_anew(tiny: Zoo, capsys: pytest.CaptureFixture[str]) -> None:
    limpid.load("zoo:tiny")
    weights = zoo.find("tiny").weights
    weights.write_bytes(b"x")
    assert status(["zoo", "check"]) == 2
    assert f"The weights {weights} are damaged or were exchanged; remove them" in capsys.readouterr().err
    limpid.load("zoo:tiny")
    tiny.file.write_bytes(b"x")
    assert status(["zoo", "check"]) == 2
    assert f"The file {tiny.file} is damaged or was exchanged: its sha256" in capsys.readouterr().err
    assert tiny.server.asked == [(PATH, None)]
    weights.unlink()
    limpid.load("zoo:tiny")
    assert tiny.server.asked == [(PATH, None)] * 2


def test_another_card_of_that_name_is_converted_anew(tiny: Zoo) -> None:
    first = limpid.load("zoo:tiny").state_dict()
    tiny.bytes = content(seed=1)
    tiny.server.files[PATH] = tiny.bytes
    tiny.write()
    assert not torch.equal(limpid.load("zoo:tiny").state_dict()["conv1.weight"], first["conv1.weight"])


def test_what_has_to_be_got_by_hand_says_how_until_it_is_imported(
    tiny: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write(files=None, get="Download tiny.pth from somebody's page.")
    sentence = (
        "The weights zoo:tiny are not on this machine, and Limpid cannot fetch them. Download tiny.pth from somebody's "
        "page. Then give `limpid zoo import aod_net FILE --name tiny --task haze`."
    )
    assert said_in(lambda: limpid.load("zoo:tiny")) == sentence
    assert said_in(lambda: with_own({"ckpt": "zoo:tiny"}, {})) == sentence
    assert said_in(lambda: pages.methods(["tiny"])) == sentence
    assert not zoo.find("tiny").at_hand
    assert status(["zoo", "show", "tiny"]) == 0
    assert sentence in capsys.readouterr().out
    assert status(["zoo", "check"]) == 0
    assert capsys.readouterr().out == "tiny: not here; it says how to get it\n"
    (tmp_path / "downloaded.pth").write_bytes(tiny.bytes)
    monkeypatch.setenv("LIMPID_ZOO", str(tmp_path / "zoo"))
    assert status(["zoo", "import", "aod_net", str(tmp_path / "downloaded.pth"), "--name", "tiny"]) == 0
    assert limpid.load("zoo:tiny")
    assert zoo.find("tiny").at_hand


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"files": [{"url": "http://a.org/x.pth", "sha256": "0" * 64, "bytes": 1}]}, "a url that begins with https://"),
        ({"files": [{"url": "https://a.org/..", "sha256": "0" * 64, "bytes": 1}]}, "ends in the name of a file"),
        ({"files": [{"url": "https://a.org/x.pth", "sha256": "0", "bytes": 1}]}, "a sha256 of 64 hex digits"),
        ({"files": [{"url": "https://a.org/x.pth", "sha256": "0" * 64, "bytes": 0}]}, "and a number of bytes"),
        ({"files": [{"url": "https://a.org/x.pth"}]}, "are not each a url"),
        ({"files": ["https://a.org/x.pth"]}, "are not each a url"),
        ({"files": "https://a.org/x.pth"}, "The field files .* must be a list"),
        (
            {"files": [{"url": f"https://a.org/{n}/x.pth", "sha256": "0" * 64, "bytes": 1} for n in "ab"]},
            "Two of the files of the zoo card .* have one name",
        ),
        ({"get": "Buy it."}, "has the fields files and get, of which it must have one alone"),
        ({"files": None}, "lacks the field sha256"),
    ],
)
def test_a_wrong_card_is_one_sentence(changes: dict[str, Any], sentence: str, tiny: Zoo) -> None:
    tiny.write(**changes)
    with pytest.raises(UserError, match=sentence):
        zoo.find("tiny")


def test_without_a_home_a_sentence_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    for name in ("LIMPID_PUBLISHED", "LIMPID_ZOO", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    sentence = "There is no home folder here; set HOME to one, or {} to another folder."
    assert said_in(lambda: kept.folder("tiny")) == sentence.format("LIMPID_PUBLISHED")
    assert said_in(zoo.own_folder) == sentence.format("LIMPID_ZOO")


def test_shipped_cards_say_what_is_needed() -> None:
    found = [cards.read(file) for file in sorted(SHIPPED.glob("*.yaml"))]
    assert {card.name for card in found if card.files} == {
        *("aod_net_release", "dehazenet_release", "famed_net_release", "gca_net_its", "gca_net_rain"),
        *("gfn_release", "mscnn_release", "nlcl_release", "op_attention_release", "rl_restore_release"),
    }
    assert [file.name for file in SHIPPED.iterdir() if file.suffix != ".yaml"] == []
    for card in found:
        assert card.network in registered()
        assert card.network_config in ({}, *renames.table(card.network).get("settings", [{}]), {"residual": False})
        assert create.UNSTATED not in (card.task, card.licence)
        assert card.parameters > 0
        assert card.limits
        assert card.source
        assert card.source.startswith(renames.table(card.network)["source"])
        if card.files:
            assert card.good_for
            assert "not" not in card.source
            for file in card.files:
                repository, commit = re.match(rf"{GITHUB}/([\w-]+/[\w-]+)/([0-9a-f]{{40}})/", file["url"]).groups()
                assert card.source == f"{repository}, commit {commit[:10]}"
        else:
            assert re.match(r"Download .* https://\S+", card.get)
            assert card.get.endswith(".")
    for network in {card.network for card in found}:
        assert sum(card.default for card in found if card.network == network) <= 1


def published_files(real_data: Path) -> dict[str, dict[str, str]]:
    """What is known of each published file here, by its address."""
    table = real_data.parent / "weights" / "SOURCES.tsv"
    if not table.is_file():
        pytest.skip("needs the publishers' files")
    with table.open(encoding="utf-8") as opened:
        rows = csv.DictReader(opened, delimiter="\t")
        return {f"{GITHUB}/{row['repository']}/{row['commit']}/{row['path']}": row for row in rows}


def test_shipped_cards_name_the_files_that_were_tried(real_data: Path) -> None:
    known = published_files(real_data)
    for card in map(cards.read, SHIPPED.glob("*.yaml")):
        for file in card.files:
            row = known[file["url"]]
            assert (file["sha256"], file["bytes"]) == (row["sha256"], int(row["bytes"]))


@pytest.mark.parametrize("name", ["gca_net_rain", "mscnn_release", "famed_net_release", "rl_restore_release"])
def test_published_files_become_the_network_of_their_card(
    name: str, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = published_files(real_data)
    monkeypatch.setenv("LIMPID_PUBLISHED", str(tmp_path))
    card = cards.read(SHIPPED / f"{name}.yaml")
    for file in card.files:
        place = tmp_path / name / kept.file_name(file)
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(real_data.parent / "weights" / known[file["url"]]["file"])
    loaded = checkpoint.read(Path(f"zoo:{name}"))
    assert (loaded["network"], loaded["network_config"]) == (card.network, card.network_config)
    assert sum(p.numel() for p in checkpoint.network(loaded, card.file).parameters()) == card.parameters
