"""The server under the page: says where it is, and closes connections on which nobody asks for anything."""

from __future__ import annotations

import asyncio
import socket

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Seconds for the head of a request, from its first letter or from the connection on.
_HEAD = 30
#: Seconds for requests that are under way when the server ends.
_LAST = 2


class _Connection(H11Protocol):
    """A connection that is closed where no request comes, or only the beginning of one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._expect_request()

    def _expect_request(self) -> None:
        last = self.cycle

        def close() -> None:
            if self.cycle is last and self.conn.their_state is h11.IDLE:
                self.transport.close()

        self.loop.call_later(_HEAD, close)


class Server(uvicorn.Server):
    """The server of one application, which says its address once it listens.

    Args:
        application: what it serves.
        host: the address to listen on.
        port: its port.
    """

    def __init__(self, application: FastAPI, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                host=host.strip("[]"),
                port=port,
                http=_Connection,
                ws="none",
                log_level="warning",
                timeout_graceful_shutdown=_LAST,
            )
        )
        shown = f"[{host.strip('[]')}]" if ":" in host else host
        self.address = f"http://{shown}:{port}"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        print(f"{self.address}  (Ctrl-C ends it)", flush=True)
