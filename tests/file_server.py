"""A local server of files, with what servers and connections do wrong."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FileServer(ThreadingHTTPServer):
    """Serves `files` by path, with ranges.

    Attributes:
        files: the content by path, such as ``/set.zip``.
        most: after how many bytes of an answer the connection breaks off; None sends all.
        ranges: whether parts of a file are given.
        lengths: whether answers say how long they are.
        kind: the Content-Type of answers.
        asked: the path and the Range of each request.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.most: int | None = None
        self.ranges = True
        self.lengths = True
        self.kind = "application/octet-stream"
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        """The address that all paths begin with."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.asked.append((self.path, asked))
        if self.path not in server.files:
            self.send_error(404)
            return
        content = server.files[self.path]
        begin = int(re.findall(r"\d+", asked)[0]) if asked and server.ranges else 0
        if begin >= len(content):
            self.send_error(416)
            return
        body = content[begin:]
        self.send_response(206 if begin else 200)
        if server.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", server.kind)
        self.end_headers()
        self.wfile.write(body[: server.most])
        self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[FileServer]:
    """A server that runs while the block does."""
    with FileServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()
