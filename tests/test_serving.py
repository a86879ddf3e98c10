"""The page to try restoration: what stands behind it, and what its server gives and refuses."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import limpid
from limpid import checkpoint, serving
from limpid.cli import status
from limpid.data.photo_io import processed_by, read_photograph, write_photograph
from limpid.errors import UserError
from limpid.methods import method as limpid_method
from limpid.zoo import create
from tests.conftest import ROOT
from tests.docs.blocks import blocks

DOCS = ROOT / "docs" / "serve.md"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["limpid"])
    monkeypatch.setenv("LIMPID_ZOO", str(tmp_path / "zoo"))


@pytest.fixture(scope="module")
def _page(tmp_path_factory: pytest.TempPathFactory) -> serving.Page:
    return serving.Page(serving.methods(["dcp", "wmcp"]), 0.1, tmp_path_factory.mktemp("served"))


@pytest.fixture
def page(_page: serving.Page) -> serving.Page:
    """A page whose folder is empty."""
    _page.remove_old(-1)
    return _page


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
    assert (method.name, method.tasks, method.about) == ("aod_net", ("haze",), "Thin haze.")
    x = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(method.make().network(x), network(x), rtol=0, atol=0)


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
    with pytest.raises(UserError, match=r"^old.jpg was dropped more than 10 minutes ago and is gone; drop it again\.$"):
        page.restore(str(page.folder / "a" / "old.jpg"), "dcp")
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


@pytest.fixture(scope="module")
def _application(_page: serving.Page):
    """The application of `page`; making one takes a second or two."""
    pytest.importorskip("gradio", reason="needs gradio: pip install 'limpid[serve]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(_page.folder))
        yield serving.application(_page, "127.0.0.1")


@pytest.fixture
def client(page: serving.Page, _application):
    from starlette.testclient import TestClient

    return TestClient(_application, base_url="http://127.0.0.1:7860")


@pytest.fixture
def own_client(page: serving.Page, _application):
    """A client of an application of its own, whose queue has met no other event loop."""
    from starlette.testclient import TestClient

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


def png(height: int = 40, width: int = 56) -> bytes:
    file = io.BytesIO()
    Image.fromarray(hazy(height, width)).save(file, "PNG")
    return file.getvalue()


def test_a_program_posts_a_photograph_and_gets_the_restored_one(client, page: serving.Page, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    answer = client.post("/api/restore", files={"file": ("a b.png", png())}, data={"method": "dcp"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert "a%20b.png" in answer.headers["content-disposition"]
    (tmp_path / "got.png").write_bytes(answer.content)
    expected = read_photograph(Path(page.restore(str(tmp_path / "a.png"), "dcp").download)).pixels
    np.testing.assert_array_equal(read_photograph(tmp_path / "got.png").pixels, expected)
    assert processed_by(tmp_path / "got.png") == limpid_method("dcp").identity
    half = client.post(
        "/api/restore", files={"file": ("a.png", png())}, data={"method": "dcp", "strength": "0.5", "format": "tif"}
    )
    assert half.headers["content-type"] == "image/tiff"
    (tmp_path / "half.tif").write_bytes(half.content)
    between = (read_photograph(tmp_path / "a.png").pixels + expected) / 2
    np.testing.assert_allclose(read_photograph(tmp_path / "half.tif").pixels, between, atol=1.01 / 255)
    listed = client.get("/api/methods").json()
    assert [method["name"] for method in listed["methods"]] == ["dcp", "wmcp"]
    assert (listed["megapixels"], listed["bytes"]) == (0.1, 800_000)
    assert all("haze" in one["tasks"] and one["about"] for one in listed["methods"])


@pytest.mark.parametrize(
    ("file", "fields", "status", "says"),
    [
        (("a.png", b"no image"), {"method": "dcp"}, 400, "a.png is not an image"),
        (("../../b.png", b"no image"), {"method": "dcp"}, 400, "b.png is not an image"),
        (("C:\\c.png", b"no image"), {"method": "dcp"}, 400, "c.png is not an image"),
        (None, {"method": "dcp", "file": "/etc/hostname"}, 400, "The field file holds no photograph"),
        (("a.png", png()), {}, 400, "The field method is missing"),
        (("a.png", png()), {"method": "wmpc"}, 404, "no method 'wmpc' on this page; did you mean 'wmcp'"),
        (("a.png", png()), {"method": "haze"}, 404, "no method 'haze' on this page; there are dcp, wmcp."),
        (("a.png", png()), {"method": ["dcp", "wmcp"]}, 400, "The field method is there more than once"),
        (("a.png", png()), {"method": "dcp", "strenght": "0.5"}, 400, "'strenght'; did you mean 'strength'?"),
        (("a.png", png()), {"method": "dcp", "x": "0.5"}, 400, "'x'; there are file, method, strength, format."),
        (("a.png", png()), {"method": "/etc/passwd"}, 404, "no method '/etc/passwd'"),
        (("a.png", png()), {"method": "zoo:rfd_student_scenes"}, 404, "no method 'zoo:rfd_student_scenes' on this page"),
        (("a.png", png()), {"method": "dcp", "strength": "2"}, 400, "strength is 2, but it must be from 0 to 1"),
        (("a.png", png()), {"method": "dcp", "strength": "nan"}, 400, "strength is nan"),
        (("a.png", png()), {"method": "dcp", "strength": "much"}, 400, "'much', but it must be a number"),
        (("a.png", png()), {"method": "dcp", "format": "exe"}, 400, "'exe', but it must be one of avif, bmp"),
        (("a.png", png(400, 400)), {"method": "dcp"}, 413, "400 × 400 pixels, more than the 0.1 megapixels"),
        (("a.png", bytes(900_000)), {"method": "dcp"}, 413, "more than the 800000 bytes"),
    ],
)  # fmt: skip
def test_programs_are_told_what_is_wrong(client, page: serving.Page, file, fields, status: int, says: str) -> None:
    files = {"file": file} if file else {"other": ("x", b"x")}
    answer = client.post("/api/restore", files=files, data=fields)
    assert answer.status_code == status
    assert says in answer.json()["error"]
    assert str(page.folder) not in answer.text
    assert list(page.folder.rglob("*.png")) == []


def test_programs_that_send_no_form_or_go_on_for_ever_are_refused(client) -> None:
    assert client.post("/api/restore", json={"path": "/etc/hostname"}).status_code == 400
    assert client.post("/api/restore", content=b"x", headers={"content-type": "multipart/form-data"}).status_code == 400
    taken = 0

    def endless():
        nonlocal taken
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        while taken < 100:
            taken += 1
            yield bytes(65536)

    answer = client.post("/api/restore", content=endless(), headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 413
    assert client.get("/api/restore").status_code == 405
    assert client.get("/api/other").json() == {"error": "There are only /api/restore and /api/methods here."}


def test_names_of_any_letters_and_length_are_taken(client) -> None:
    for name in ("\N{GRINNING FACE}" * 80 + "." + "\N{GRINNING FACE}" * 80, "ü" * 300 + ".png", "a\tb.png", "." * 300):
        answer = client.post("/api/restore", files={"file": (name, png())}, data={"method": "dcp"})
        assert answer.status_code == 200, (name, answer.text)


def test_the_kind_of_a_form_is_known_in_any_case(client) -> None:
    headers = {"content-type": "Multipart/Form-Data; boundary=b"}
    answer = client.post("/api/restore", content=b"--b--\r\n", headers=headers)
    assert "The field file holds no photograph" in answer.json()["error"]


def test_a_request_that_breaks_off_is_no_fault_of_the_server(client) -> None:
    import anyio

    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"multipart/form-data; boundary=b")]
    scope = {
        "type": "http", "method": "POST", "path": "/api/restore", "raw_path": b"/api/restore", "query_string": b"",
        "headers": headers, "http_version": "1.1", "scheme": "http", "root_path": "", "client": None, "server": None,
    }  # fmt: skip
    anyio.run(client.app, scope, receive, send)
    assert sent[0]["status"] == 400


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "TRACE"])
def test_other_methods_of_http_get_a_sentence_too(client, method: str) -> None:
    assert client.request(method, "/api/restore").json() == {"error": "/api/restore takes POST alone."}


def test_what_gradio_offers_besides_the_page_is_not_there(client) -> None:
    video = {"video": ("a.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")}
    assert client.post("/gradio_api/process_recording", files=video).status_code == 404  # it starts ffmpeg
    for path in ("/gradio_api/api/seen", "/gradio_api/call/seen", "/gradio_api/component_server", "/login"):
        assert client.post(path, json={"data": []}).status_code == 404, path
    for path in ("/gradio_api/proxy=http://127.0.0.1:9/", "/gradio_api/deep_link?session_hash=a", "/gradio_api/token"):
        assert client.get(path).status_code == 404, path
    assert client.get("/config").status_code == 200


def test_requests_of_other_web_sites_are_refused(client) -> None:
    request = {"files": {"file": ("a.png", png())}, "data": {"method": "dcp"}}
    for headers, expected in (
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:1"}, 403),
        ({"origin": "http://127.0.0.1:7860"}, 200),
        ({"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:7860"}, 200),
        ({"host": "evil.example"}, 400),
    ):
        assert client.post("/api/restore", headers=headers, **request).status_code == expected, headers
    upload = client.post("/gradio_api/upload", headers={"origin": "https://evil.example"}, files={"files": b"x"})
    assert upload.status_code == 403


def test_programs_leave_nothing_on_the_machine(client, page: serving.Page) -> None:
    for method in ("dcp", "no"):
        client.post("/api/restore", files={"file": ("a.png", png())}, data={"method": method})
    assert list(page.folder.iterdir()) == []


def test_old_files_are_removed_but_not_what_is_worked_on(page: serving.Page) -> None:
    for name, seconds in (("old", 700), ("used", 700), ("new", 500)):
        (page.folder / name / "deep").mkdir(parents=True)
        for path in (page.folder / name / "deep" / "a.png", page.folder / name / "deep", page.folder / name):
            if path.suffix:
                path.touch()
            os.utime(path, (time.time() - seconds,) * 2)
    (page.folder / "file").touch()
    os.utime(page.folder / "file", (time.time() - 700,) * 2)
    with page._turn(page.folder / "used" / "deep" / "a.png", Path("/elsewhere"), None):
        page.remove_old()
        assert sorted(path.name for path in page.folder.iterdir()) == ["new", "used"]
    page.remove_old()
    assert [path.name for path in page.folder.iterdir()] == ["new"]


def test_more_photographs_than_may_wait_are_turned_away(client, page: serving.Page) -> None:
    taken = 0
    while page._places.acquire(blocking=False):
        taken += 1
    answer = client.post("/api/restore", files={"file": ("a.png", png())}, data={"method": "dcp"})
    page._places.release(taken)
    assert taken == 1 + serving.page.QUEUE
    assert (answer.status_code, "try again" in answer.json()["error"]) == (503, True)


def asked(client, payload: object, number: int) -> str:
    """What the page's own queue answers to a request that a program made up: its function `number` with a file."""
    sent = {"data": [payload], "fn_index": number, "session_hash": f"s{number}"}
    assert client.post("/gradio_api/queue/join", json=sent).status_code == 200
    return client.get(f"/gradio_api/queue/data?session_hash=s{number}").text


def test_the_page_opens_no_file_that_was_not_uploaded(own_client, page: serving.Page, tmp_path: Path) -> None:
    Image.fromarray(hazy()).save(tmp_path / "foreign.png")
    os.mkfifo(tmp_path / "pipe.png")
    functions = own_client.app.routes[-1].app.get_blocks().fns
    [seen] = [number for number, function in functions.items() if function.name == "seen"]
    foreign = [tmp_path / "foreign.png", "/etc/hostname", "/dev/zero", tmp_path / "pipe.png", "../foreign.png"]
    with own_client:  # with its queue
        for path in map(str, foreign):
            answer = asked(own_client, {"path": path, "meta": {"_type": "gradio.FileData"}}, seen)
            assert "preview.jpg" not in answer, path
            assert '"success":false' in answer, answer
            assert str(tmp_path) not in answer  # gradio's own sentence would name the folder the server was started in
        for address in ("http://example.org/a.png", "HTTPS://example.org/a.png"):
            answer = asked(own_client, {"path": address, "meta": {"_type": "gradio.FileData"}}, seen)
            assert "preview.jpg" not in answer, address
            assert '"success":false' in answer, answer
        uploaded = own_client.post("/gradio_api/upload", files={"files": ("mine.png", png())}).json()[0]
        assert "preview.jpg" in asked(own_client, {"path": uploaded, "meta": {"_type": "gradio.FileData"}}, seen)


@pytest.fixture
def address(own_client, page: serving.Page):
    """Where the page can be reached by other programs."""
    import threading
    import time

    import uvicorn

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(own_client.app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def test_what_the_page_on_serving_shows_to_programs_works(address: str, tmp_path: Path) -> None:
    Image.fromarray(hazy()).save(tmp_path / "hazy.jpg")
    shown = {
        block.language: block.body.replace("http://127.0.0.1:7860", address)
        for block in blocks(DOCS)
        if "api" in block.body
    }
    subprocess.run([sys.executable, "-c", shown["python"]], cwd=tmp_path, check=True, timeout=60)
    assert Image.open(tmp_path / "clear.jpg").size == (56, 40)
    if shutil.which("curl") is None:
        pytest.skip("needs curl for the other half")
    subprocess.run(shown["console"].removeprefix("$ "), shell=True, cwd=tmp_path, check=True, timeout=60)
    assert Image.open(tmp_path / "clear.png").size == (56, 40)
    wrong = shown["console"].removeprefix("$ ").replace("method=wmcp", "method=no")
    assert subprocess.run(wrong, shell=True, cwd=tmp_path, timeout=60).returncode != 0
