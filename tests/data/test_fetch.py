"""Downloads from a local server: verified, resumed, unpacked whole; and what cannot be verified is not downloaded."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.data.publishers import card, picture
from tests.file_server import FileServer, serving

from limpid.commands import data
from limpid.config.recipes import names, option
from limpid.data import fetch as fetching
from limpid.errors import UserError


def archive() -> bytes:
    """A zip file with four pictures."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for number in range(1, 5):
            packed.writestr(f"photos/{number}.png", b"picture %d " % number * 5000)
    return stream.getvalue()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        running.files["/set.zip"] = archive()
        yield running


@pytest.fixture
def there(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose conf/fetch has the set `photos`, which the server gives."""
    digest = hashlib.sha256(server.files["/set.zip"]).hexdigest()
    url = f"{server.url}/set.zip"
    for kind, text in (
        ("fetch", f"files: [{{url: '{url}', sha256: {digest}}}]\nunpack: all\n"),
        (
            "dataset",
            "_target_: limpid.data.datasets.Clean\nname: photos\ndomain: clean\nroot: ${data.root}\nhomes: [all]\n"
            "images: photos\nlicence: Free.\n",
        ),
    ):
        (tmp_path / f"conf/{kind}").mkdir(parents=True)
        (tmp_path / f"conf/{kind}/photos.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMPID_DATA", str(tmp_path))
    return tmp_path


def test_a_set_is_fetched_verified_and_unpacked_once(there: Path, server: FileServer, capsys: Any) -> None:
    assert data.run(["fetch", "photos"]) == 0
    assert f"photos: set.zip was fetched; it lies in {there / 'all'}. Free." in capsys.readouterr().out
    assert (there / "all/photos/3.png").read_bytes() == b"picture 3 " * 5000
    assert not (there / "all/set.zip").exists()
    assert data.run(["fetch", "photos"]) == 0
    assert "set.zip was there" in capsys.readouterr().out
    assert server.asked == [("/set.zip", None)]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_broke_off_goes_on(there: Path, server: FileServer, ranges: bool) -> None:
    server.most, server.ranges = 150_000, ranges
    with pytest.raises(UserError, match=r"could not be downloaded .*; give the same command again, which goes on"):
        data.run(["fetch", "photos"])
    assert not (there / "all/photos").exists()
    server.most = None
    assert data.run(["fetch", "photos"]) == 0
    assert server.asked == [("/set.zip", None), ("/set.zip", "bytes=131072-")]
    assert (there / "all/photos/4.png").read_bytes() == b"picture 4 " * 5000
    left = sorted(file.name for file in (there / "all").iterdir())
    assert left == [".set.zip.sha256", "photos"]


def test_what_has_another_checksum_is_thrown_away(there: Path, server: FileServer) -> None:
    server.files["/set.zip"] = server.files["/set.zip"][:-1] + b"x"
    with pytest.raises(UserError, match="has another checksum than the"):
        data.run(["fetch", "photos"])
    assert list((there / "all").rglob("*")) == []


def test_addresses_that_are_gone_and_disks_that_are_full(
    there: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = there / "conf/fetch/photos.yaml"
    whole = file.read_text()
    file.write_text(whole.replace("set.zip", "gone.zip"))
    with pytest.raises(UserError, match="404"):
        data.run(["fetch", "photos"])
    file.write_text(whole)

    def full(archive: Path, folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetching, "unpack", full)
    with pytest.raises(UserError, match=r"could not be written to .* \(No space left on device\); check the disk"):
        data.run(["fetch", "photos"])


def test_archives_cannot_write_outside_and_broken_ones_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as packed:
        packed.writestr("../outside.png", b"x")
    with pytest.raises(UserError, match="lies outside"):
        fetching.unpack(tmp_path / "bad.zip", tmp_path / "in")
    assert not (tmp_path / "outside.png").exists()
    (tmp_path / "no.zip").write_bytes(b"no zip")
    with pytest.raises(UserError, match="is no zip file"):
        fetching.unpack(tmp_path / "no.zip", tmp_path / "in")


def test_sets_without_a_known_checksum_say_how_to_obtain_them(tmp_path: Path, capsys: Any) -> None:
    assert data.run(["fetch", "gopro", "scenes", "--data-root", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "gopro: Download GOPRO_Large.zip from its project page" in out
    assert "https://seungjunnah.github.io/Datasets/gopro. CC BY 4.0" in out
    assert "scenes: Its images are made when they are loaded" in out
    assert list(tmp_path.iterdir()) == []


def test_every_download_has_a_checksum_and_lands_where_its_card_looks(tmp_path: Path) -> None:
    for name in names("fetch"):
        content = option("fetch", name)
        for file in content["files"]:
            assert re.fullmatch("[0-9a-f]{64}", file["sha256"])
            folder = str(file["url"]).rpartition("/")[2].removesuffix(".zip")
            picture(tmp_path, f"{content['unpack']}/{folder}/0001.png")
        for split in ("train", "valid"):
            assert len(card(name, tmp_path, split=split)) == 1
