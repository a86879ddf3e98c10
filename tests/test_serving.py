"""The page to try restoration: what stands behind it, and what its server gives and refuses."""

from __future__ import annotations

import re
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import limpid
from limpid import checkpoint, serving
from limpid.cli import status
from limpid.data.photo_io import read_photograph, write_photograph
from limpid.errors import UserError
from limpid.zoo import create


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["limpid"])
    monkeypatch.setenv("LIMPID_ZOO", str(tmp_path / "zoo"))


@pytest.fixture
def page(tmp_path: Path) -> serving.Page:
    (tmp_path / "served").mkdir()
    return serving.Page(serving.methods(["dcp", "wmcp"]), 0.1, tmp_path / "served")


def hazy(height: int = 40, width: int = 56) -> np.ndarray:
    return np.random.default_rng(0).integers(90, 220, (height, width, 3), np.uint8)


def test_priors_are_offered_and_our_own_is_first() -> None:
    names = [method.name for method in serving.methods()]
    assert names[0] == "wmcp"
    assert "dcp" in names
    assert not {"gamma", "identity", "ffa_net"} & set(names)  # trivial, or without weights
    assert [method.name for method in serving.methods(["dcp"])] == ["dcp"]
    with pytest.raises(UserError, match="no method 'ffa_net' that restores without training"):
        serving.methods(["ffa_net"])
    with pytest.raises(UserError, match="did you mean 'wmcp'"):
        serving.methods(["wmpc"])


def test_networks_of_the_zoo_are_offered(tmp_path: Path) -> None:
    network = limpid.build("aod_net").eval()
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    content = {"limpid": 1, "network": "aod_net", "network_config": {}, "provenance": {"data": "scenes"}}
    checkpoint.save({**content, "state_dict": state}, tmp_path / "a.ckpt")
    create.add("mine", tmp_path / "a.ckpt", tmp_path / "zoo", task="haze", good_for="Thin haze.")
    [method] = serving.methods(["mine"])
    assert method.about == "Thin haze."
    x = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(method.make()(x), network(x), rtol=0, atol=0)


def test_a_photograph_is_restored_as_predict_does(page: serving.Page, tmp_path: Path) -> None:
    source = tmp_path / "my photo (1).jpg"
    Image.fromarray(hazy()).save(source)
    result = page.restore(str(source), "dcp")
    assert status(["predict", "model=dcp", f"input={source}", "output=predicted.png"]) == 0
    download = Path(result.download)
    assert download.name == "my photo (1).png"
    np.testing.assert_array_equal(read_photograph(download).pixels, read_photograph(Path("predicted.png")).pixels)
    assert re.fullmatch(r"dcp, 56 × 40 pixels, \d+\.\d s", result.says)
    for shown in map(Path, result.shown):
        assert shown.is_relative_to(page.folder)
        assert Image.open(shown).size == (56, 40)


def test_bit_depth_alpha_and_orientation_are_kept(page: serving.Page, tmp_path: Path) -> None:
    Image.fromarray(np.dstack([hazy(), np.arange(56, dtype=np.uint8)[None].repeat(40, 0)])).save(tmp_path / "alpha.png")
    like = read_photograph(tmp_path / "alpha.png")
    deep = type(like)(like.pixels, 65535, False, None, None, None)
    write_photograph(tmp_path / "deep.tif", like.pixels, deep)
    Image.fromarray(hazy()).save(
        tmp_path / "turned.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    )
    alpha, depth, turned = (
        read_photograph(Path(page.restore(str(tmp_path / name), "dcp").download))
        for name in ("alpha.png", "deep.tif", "turned.jpg")
    )
    np.testing.assert_array_equal(alpha.alpha, like.alpha)
    assert depth.levels == 65535
    assert turned.pixels.shape == (56, 40, 3)


def test_large_photographs_are_shown_small_and_downloaded_whole(tmp_path: Path) -> None:
    page = serving.Page(serving.methods(["dcp"]), 12, tmp_path)
    Image.fromarray(hazy(20, 2000)).save(tmp_path / "wide.png")
    result = page.restore(str(tmp_path / "wide.png"), "dcp")
    assert [Image.open(shown).size for shown in result.shown] == [(1600, 16)] * 2
    assert Image.open(result.download).size == (2000, 20)


def test_what_cannot_be_restored_is_said_without_the_servers_folders(page: serving.Page, tmp_path: Path) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    checked = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + checked + b"\0\0\0\x08IDAT" + bytes(8))
    (tmp_path / "no.jpg").write_bytes(b"no image")
    Image.fromarray(hazy(400, 400)).save(tmp_path / "large.png")
    for name, says in (
        ("bomb.png", r"^bomb.png has 60000 × 60000 pixels, more than the 0\.1 megapixels that this page takes"),
        ("large.png", r"^large.png has 400 × 400 pixels, .* a larger --max-megapixels\.$"),
        ("no.jpg", r"^no.jpg is not an image"),
        ("gone.jpg", r"^gone.jpg cannot be read"),
    ):
        with pytest.raises(UserError, match=says):
            page.restore(str(tmp_path / name), "dcp")
    with pytest.raises(UserError, match="drop one first"):
        page.restore(None, "dcp")
    Image.fromarray(hazy()).save(tmp_path / "small.png")
    with pytest.raises(UserError, match="no method 'gamma' on this page"):
        page.restore(str(tmp_path / "small.png"), "gamma")
    assert list(page.folder.iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]"])
def test_loopback_addresses_are_this_machines_alone(host: str) -> None:
    assert serving.is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org"])
def test_other_addresses_are_not(host: str) -> None:
    assert not serving.is_loopback(host)


@pytest.fixture
def client(page: serving.Page, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("gradio", reason="needs gradio: pip install 'limpid[serve]'")
    from starlette.testclient import TestClient

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(page.folder))
    return TestClient(serving.application(page, "127.0.0.1"), base_url="http://127.0.0.1:7860")


def test_the_server_names_no_other_host_and_serves_no_other_file(client, tmp_path: Path) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    (tmp_path / "secret.txt").write_text("secret")
    for path in ("/etc/passwd", str(tmp_path / "secret.txt"), "secret.txt", "../secret.txt", "http://127.0.0.1:9/x"):
        assert client.get(f"/gradio_api/file={path}").status_code in (400, 403, 404), path
    for path in ("/docs", "/openapi.json", "/gradio_api/mcp", "/monitoring"):
        assert client.get(path).status_code in (403, 404), path


def test_uploads_are_limited_in_bytes(client, page: serving.Page) -> None:
    assert page.most_bytes == 800_000  # 0.1 megapixels of 8 bytes
    for size, taken in ((700_000, True), (900_000, False)):
        answer = client.post("/gradio_api/upload", files={"files": ("a.png", bytes(size))})
        assert (answer.status_code == 200) is taken
    kept = [file for file in page.folder.rglob("*") if file.is_file() and file.stat().st_size > 800_000]
    assert kept == []


def test_the_command_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        assert status(["serve", *arguments]) == 2
        return capfd.readouterr().err.strip()

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert (
            said("--port", port)
            == f"Cannot listen on 127.0.0.1 port {port} (Address already in use); give another --port or --host."
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    assert "must be above 0" in said("--max-megapixels", "0")
    assert "did you mean 'wmcp'" in said("--port", port, "--methods", "wmpc")
    monkeypatch.setitem(__import__("sys").modules, "gradio", None)
    assert said("--port", port) == "limpid serve needs gradio; install it with pip install 'limpid[serve]'."
