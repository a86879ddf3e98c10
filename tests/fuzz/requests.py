"""Hostile requests to the page of `limpid serve`: nothing of the machine is handed out, and the server goes on."""

from __future__ import annotations

import json
import random
import socket
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

from tests.fuzz.commands import Fault
from tests.fuzz.images import every_format_once

#: What no answer may hold.
_SECRET = b"precious-words-of-another-file"
_ADDRESSES = (
    "/", "/config", "/theme.css", "/gradio_api/file=", "/gradio_api/queue/join", "/gradio_api/queue/data",
    "/gradio_api/run/predict", "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/upload", "/gradio_api/info",
    "/gradio_api/heartbeat/x", "/gradio_api/upload_progress", "/api/restore", "/api/methods", "/assets/", "/static/",
    "/gradio_api/proxy=", "/gradio_api/stream/x", "/monitoring", "/file=",
)  # fmt: skip
_PATHS = (
    "SECRET",
    "/etc/passwd",
    "../SECRET",
    "%2e%2e/SECRET",
    "file://SECRET",
    "/dev/zero",
    "/proc/self/environ",
    "%00",
)


def requests(chance: random.Random, folder: Path) -> str:
    """What a server that restores photographs of a megapixel answers to ten requests."""
    secret = folder / "secret.png"
    secret.write_bytes(every_format_once()["png"] + _SECRET)
    port = _server()
    answers = [_answer(port, _request(chance, str(secret))) for _ in range(10)]
    for answer in answers:
        if _SECRET in answer or b"root:x:0" in answer or b"Traceback" in answer or str(folder).encode() in answer:
            raise Fault(f"an answer told of the machine: {answer[:300]!r}")
        if answer[:10] == b"HTTP/1.1 5" and answer[9:12] != b"503":
            raise Fault(f"the server failed: {answer[:300]!r}")
    plain = b"GET /api/methods HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    if not _answer(port, plain, 30).startswith(b"HTTP/1.1 200"):  # the machine may be busy
        raise Fault("the server answers no more")
    return "done"


def _request(chance: random.Random, secret: str) -> bytes:
    """One request, by chance of the page's own form, with some of it out of place."""
    path = chance.choice(_ADDRESSES)
    if chance.random() < 0.6 and path.endswith(("=", "/")):
        path += chance.choice(_PATHS).replace("SECRET", secret)
    if chance.random() < 0.3:
        path += chance.choice(("?session_hash=x", "?upload_id=x", "?__sign=x", "?session_hash=%00", "?a=" + "b" * 5000))
    method = chance.choice(("GET", "POST", "POST", "POST", "HEAD", "PUT", "OPTIONS"))
    body, kind = _body(chance, secret)
    if method in ("GET", "HEAD"):
        body = b""
    headers = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", f"Content-Type: {kind}"]
    headers += [f"Content-Length: {len(body) + chance.choice((0, 0, 0, 5, -1) if body else (0,))}"]
    if chance.random() < 0.2:
        headers += [chance.choice(("Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Range: bytes=0-"))]
    if chance.random() < 0.1:
        headers += [f"X-{number}: {'y' * 500}" for number in range(50)]
    request = "\r\n".join(headers).encode("latin-1") + b"\r\n\r\n" + body
    if chance.random() < 0.1:
        at = chance.randrange(len(request))
        request = request[:at] + chance.randbytes(4) + request[at + 4 :]
    return request


def _body(chance: random.Random, secret: str) -> tuple[bytes, str]:
    """The body of a request and what its header calls it."""
    if chance.random() < 0.5:
        file = {"path": chance.choice(_PATHS).replace("SECRET", secret), "meta": {"_type": "gradio.FileData"}}
        values = [file, secret, None, 1e308, [], [[[]]], {"__type__": "update"}, {"_type": "gradio.FileData"}, "\0"]
        call = {
            "data": [chance.choice(values) for _ in range(chance.randrange(4))],
            "fn_index": chance.choice((0, 1, 2, 3, 4, 5, 6, -1, 99, None, "0", 2**70)),
            "session_hash": chance.choice(("x", "y", "", None, 5, "z" * 500)),
            "event_id": chance.choice(("x", None, 3)),
        }
        text = json.dumps(chance.choice((call, call, call, [call], {**call, "api_name": "seen"}, {})))
        return text.encode() if chance.random() < 0.9 else b"[" * chance.randrange(60000), "application/json"
    name = chance.choice(("a.png", "../../a.png", secret, "a\0.png", "a" * 400, "", "..", "a.png\r\nX: y", "a.txt"))
    photograph = every_format_once()[chance.choice(("png", "jpg", "gif", "tif"))]
    fields = {"method": chance.choice(("gamma", "nope", "")), "strength": chance.choice(("1", "nan", "-1", "x"))}
    parts = [f'form-data; name="{key}"\r\n\r\n{value}'.encode() for key, value in fields.items()]
    field = chance.choice(("file", "files", "q"))
    parts += [f'form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode() + photograph] * chance.choice((1, 1, 2))
    body = b"".join(b"--b\r\nContent-Disposition: " + part + b"\r\n" for part in parts) + b"--b--\r\n"
    if chance.random() < 0.2:
        body = body[: chance.randrange(len(body))]
    return body, "multipart/form-data; boundary=b"


def _answer(port: int, request: bytes, patience: float = 2) -> bytes:
    """The beginning of what the server answers, with no more than so many seconds between two parts."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        connection.settimeout(patience)
        try:
            while len(answer) < 100_000:
                part = connection.recv(65536)
                if not part:
                    break
                answer += part
        except OSError:  # a stream without end, or a request that it goes on waiting for
            pass
    return answer


@cache
def _server() -> int:
    """The port of a server in a thread of this process."""
    import os

    folder = Path(tempfile.mkdtemp(prefix="limpid-fuzz-"))
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    from limpid import serving
    from limpid.serving.server import Server

    page = serving.Page(serving.methods(["dcp", "wmcp"]), 1.0, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    server = Server(serving.application(page, "127.0.0.1"), "127.0.0.1", port)
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return port
