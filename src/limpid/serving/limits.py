"""What one client can take of the server: bytes and seconds of a request, and how many requests are open at once."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from limpid.errors import UserError
from limpid.serving.page import BusyError, Page, TooLargeError
from limpid.store.atomic_io import json_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: What a request may hold besides a photograph, in bytes: fields of a form, or all of what the page sends as JSON.
FIELDS = 64 * 1024
#: Seconds that a client may let pass between two parts of a body, and until the end of it.
_PAUSE = 30
_WHOLE = 900
#: How many requests with a body are taken at once, and how many streams are open at once: one or two for each page.
_BODIES = 32
_STREAMS = 128

_PHOTOGRAPHS = ("/api/restore", "/gradio_api/upload")
_ENDLESS = ("/gradio_api/heartbeat/", "/gradio_api/queue/data", "/gradio_api/upload_progress")
#: What an answer says for gradio, whose own words name its parts and folders of this machine.
_SAYS = {
    403: "This file is none of the page's.",
    404: "There is nothing here.",
    413: "The file has more than the bytes that are taken; make it smaller.",
    503: "Too many photographs wait; try again in a while.",
}
_OTHERWISE = "This is no request of the page."


class TooSlowError(UserError):
    """A request whose body does not arrive."""


#: The status of an answer to a mistake; that of all others is 400.
STATUS: dict[type[UserError], int] = {TooLargeError: 413, BusyError: 503, TooSlowError: 408}


class Limits:
    """ASGI middleware: a request is bounded in bytes and in time, and gradio's failures are answered in a sentence.

    Args:
        app: what is behind it.
        page: whose photographs are uploaded.
    """

    def __init__(self, app: ASGIApp, page: Page) -> None:
        self.app = app
        self._page = page
        self._open = {"bodies": 0, "streams": 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it in a sentence."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, is_of_gradio=not scope["path"].startswith("/api/"))
        try:
            with self._place(scope):
                await self.app(scope, await self._bounded(scope, receive), answer.send)
        except UserError as error:
            await answer.refuse(STATUS.get(type(error), 400), str(error))
        except Exception as error:
            if not answer.is_of_gradio:
                raise
            # gradio's work is done elsewhere; here it fails at requests that no page of its own makes.
            told = f"{scope['path'][:80]!r}: {type(error).__name__}: {str(error)[:80]!r}"
            print(f"A request was refused ({told}).", file=sys.stderr)
            await answer.refuse(400, _OTHERWISE)

    @contextmanager
    def _place(self, scope: Scope) -> Iterator[None]:
        """One of the places for requests that take long; there is none for more.

        Raises:
            BusyError: they are all taken, or the photographs that lie here fill the room for them.
        """
        kind = _kind(scope)
        if kind is None:
            yield
            return
        if self._open[kind] >= {"bodies": _BODIES, "streams": _STREAMS}[kind]:
            raise BusyError("Too many requests at once; try again in a while.")
        if scope["path"] == "/gradio_api/upload" and self._page.is_full:
            raise BusyError("Too many photographs lie here; try again in ten minutes.")
        self._open[kind] += 1
        try:
            yield
        finally:
            self._open[kind] -= 1

    async def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """`receive` with its limits; what the page sends as JSON is read and checked first.

        Raises:
            UserError: the body is too long already by its header, or no JSON.
        """
        if scope["method"] in ("GET", "HEAD"):
            return receive
        is_photograph = scope["path"] in _PHOTOGRAPHS
        most = self._page.most_bytes + FIELDS if is_photograph else FIELDS
        what = f"file has more than the {self._page.most_bytes}" if is_photograph else f"request has more than {FIELDS}"
        too_large = TooLargeError(f"The {what} bytes that are taken; make it smaller.")
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:20]) > most:
            raise too_large
        limited = _limited(receive, most, too_large)
        if is_photograph or not scope["path"].startswith("/gradio_api/"):
            return limited
        return _again(await _checked_json(limited), receive)


def _kind(scope: Scope) -> str | None:
    """Which places a request takes one of; None where it is answered at once."""
    if scope["method"] in ("GET", "HEAD"):
        return "streams" if scope["path"].startswith(_ENDLESS) else None
    return "bodies"


def _limited(receive: Receive, most: int, too_large: UserError) -> Receive:
    """`receive` that gives no more than `most` bytes of the body, whatever its header said, and waits only so long."""
    taken, is_whole = 0, False
    end = time.monotonic() + _WHOLE

    async def limited() -> Message:
        nonlocal taken, is_whole
        if is_whole:
            return await receive()  # the client goes on waiting for its answer
        try:
            message = await asyncio.wait_for(receive(), min(_PAUSE, max(0.0, end - time.monotonic())))
        except TimeoutError as error:
            raise TooSlowError("The request did not arrive in time; send it again.") from error
        taken += len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
        if taken > most:
            raise too_large
        return message

    return limited


async def _checked_json(receive: Receive) -> bytes:
    """The whole body of a request, which holds one object of JSON.

    Raises:
        UserError: it does not.
    """
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    try:
        content = json.loads(body, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise UserError("The request is no JSON that the page would send.") from error
    if not isinstance(content, dict):
        raise UserError("The request is no object of JSON, such as the page sends.")
    return body


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)


def _finite(word: str) -> float:
    number = float(word)
    if number in (float("inf"), float("-inf")):
        raise ValueError(word)
    return number


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read already, and then what comes after it."""
    is_given = False

    async def again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


class _Answer:
    """What is sent back; a mistake that gradio answers is put into a sentence.

    Args:
        send: to the client.
        is_of_gradio: whether gradio answers.
    """

    def __init__(self, send: Send, is_of_gradio: bool) -> None:
        self._send = send
        self.is_of_gradio = is_of_gradio
        self._is_begun = False
        self._is_ended = False
        self._is_replaced = False

    async def send(self, message: Message) -> None:
        """Send what the application answers, or a sentence in its place."""
        if self._is_replaced:
            return
        if message["type"] == "http.response.start":
            status = message["status"]
            if self.is_of_gradio and status >= 400:
                is_failure = status == 500  # at what no page would send
                await self.refuse(400 if is_failure else status, _SAYS.get(status, _OTHERWISE))
                return
            self._is_begun = True
        elif message["type"] == "http.response.body":
            self._is_ended = not message.get("more_body", False)
        await self._send(message)

    async def refuse(self, status: int, sentence: str) -> None:
        """Answer a sentence as JSON; an answer that was begun is ended as it is."""
        if self._is_begun and not self._is_ended:
            self._is_ended = True
            await self._send({"type": "http.response.body", "body": b""})
        if self._is_begun or self._is_replaced:
            return
        self._is_replaced = True
        body = json_text({"error": sentence}).encode()
        headers: Any = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})
