"""What one client can take of the server that `limpid serve` starts: bytes, seconds, requests at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from limpid import serving
from limpid.serving import limits

Send = Callable[[dict[str, Any]], Awaitable[None]]


@pytest.fixture
def page(tmp_path: Path) -> serving.Page:
    """A page that takes 1,000 bytes and a form, and has no method."""
    return serving.Page([], 1000 / 8e6, tmp_path)


async def answered(app: Any, path: str, parts: list[bytes] | None, method: str = "POST") -> tuple[int, Any]:
    """The status and the JSON of an answer; without `parts` the client never sends any."""
    sent: list[dict[str, Any]] = []
    given = iter(parts or [])

    async def receive() -> dict[str, Any]:
        if parts is None:
            await asyncio.Event().wait()
        part = next(given, None)
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app({"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}, receive, send)
    return sent[0]["status"], json.loads(b"".join(message["body"] for message in sent[1:]) or b"null")


async def reading(scope: Any, receive: Any, send: Send) -> None:
    """An application that reads the body and answers how long it is."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(body)).encode()})


@pytest.mark.parametrize(
    ("path", "parts", "status", "says"),
    [
        ("/api/restore", [b"x" * 1000] * 3, 200, 3000),
        ("/api/restore", [b"x" * 1000] * 70, 413, "The file has more than the 1000 bytes that are taken"),
        ("/gradio_api/upload", [b"x" * 1000] * 70, 413, "The file has more than the 1000 bytes that are taken"),
        ("/gradio_api/queue/join", [b'{"a":', b"1}"], 200, 7),
        ("/gradio_api/queue/join", [b" " * 1000] * 70, 413, "The request has more than 65536 bytes that are taken"),
        ("/gradio_api/queue/join", [b"[" * 60000], 400, "The request is no JSON that the page would send."),
        ("/gradio_api/queue/join", [b'{"fn_index": 1e400}'], 400, "The request is no JSON that the page would send."),
        ("/gradio_api/queue/join", [b'{"fn_index": NaN}'], 400, "The request is no JSON that the page would send."),
        ("/gradio_api/queue/join", [b"\xff\xfe"], 400, "The request is no JSON that the page would send."),
        ("/gradio_api/queue/join", [b"[1]"], 400, "The request is no object of JSON, such as the page sends."),
    ],
)
def test_a_body_is_bounded_and_what_the_page_sends_is_json(
    page: serving.Page, path: str, parts: list[bytes], status: int, says: object
) -> None:
    found = asyncio.run(answered(limits.Limits(reading, page), path, parts))
    if status == 200:
        assert found == (200, says)
    else:
        assert (found[0], found[1]["error"][: len(str(says))]) == (status, says)


def test_a_body_that_does_not_come_is_waited_for_only_so_long(
    page: serving.Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_PAUSE", 0.01)
    found = asyncio.run(answered(limits.Limits(reading, page), "/api/restore", None))
    assert found == (408, {"error": "The request did not arrive in time; send it again."})


@pytest.mark.parametrize(
    ("method", "path", "most"), [("POST", "/api/restore", "_BODIES"), ("GET", "/gradio_api/heartbeat/x", "_STREAMS")]
)
def test_requests_at_once_are_counted(
    page: serving.Page, monkeypatch: pytest.MonkeyPatch, method: str, path: str, most: str
) -> None:
    monkeypatch.setattr(limits, most, 3)

    async def tried() -> list[int]:
        go_on = asyncio.Event()

        async def waiting(scope: Any, receive: Any, send: Send) -> None:
            await go_on.wait()
            await reading(scope, receive, send)

        app = limits.Limits(waiting, page)
        first = [asyncio.ensure_future(answered(app, path, [], method)) for _ in range(3)]
        await asyncio.sleep(0)
        refused = await answered(app, path, [], method)
        assert refused == (503, {"error": "Too many requests at once; try again in a while."})
        go_on.set()
        done = await asyncio.gather(*first)
        later = await answered(app, path, [], method)
        return [status for status, _ in [*done, later]]

    assert asyncio.run(tried()) == [200] * 4


def test_uploads_fill_only_so_much_of_the_disk(page: serving.Page, monkeypatch: pytest.MonkeyPatch) -> None:
    app = limits.Limits(reading, page)
    (page.folder / "upload").mkdir()
    (page.folder / "upload" / "a.png").write_bytes(bytes(9000))
    assert asyncio.run(answered(app, "/gradio_api/upload", [b"x"]))[0] == 200
    (page.folder / "upload" / "b.png").write_bytes(bytes(2000))
    full = (503, {"error": "Too many photographs lie here; try again in ten minutes."})
    assert asyncio.run(answered(app, "/gradio_api/upload", [b"x"])) == full
    (page.folder / "upload" / "b.png").unlink()
    monkeypatch.setattr("limpid.serving.page._FILES", 3)
    for name in "cde":
        (page.folder / "upload" / f"{name}.png").touch()
    assert asyncio.run(answered(app, "/gradio_api/upload", [b"x"])) == full, "many empty files"


async def failing(scope: Any, receive: Any, send: Send) -> None:
    """An application that does not know what to do."""
    raise KeyError(99)


async def refusing(scope: Any, receive: Any, send: Send) -> None:
    """An application whose words name a folder of the machine."""
    await send({"type": "http.response.start", "status": 422, "headers": []})
    await send({"type": "http.response.body", "body": b"/home/me", "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(("app", "status"), [(failing, 400), (refusing, 422)])
def test_what_gradio_answers_to_mistakes_is_said_in_a_sentence(
    page: serving.Page, app: Any, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = asyncio.run(answered(limits.Limits(app, page), "/gradio_api/queue/join", [b"{}"]))
    assert found == (status, {"error": "This is no request of the page."})
    said = "A request was refused ('/gradio_api/queue/join': KeyError: '99').\n"
    assert capsys.readouterr().err == (said if app is failing else "")


def test_a_mistake_of_our_own_is_not_hidden(page: serving.Page) -> None:
    with pytest.raises(KeyError, match="99"):
        asyncio.run(answered(limits.Limits(failing, page), "/api/restore", [b"{}"]))
