"""The web application: the page, the endpoint for programs, and what both refuse."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from limpid.serving import blocks
from limpid.serving.api import add_endpoints
from limpid.serving.gradio_module import gradio
from limpid.serving.limits import Limits
from limpid.serving.page import Page

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'; "
    "base-uri 'self'; form-action 'self'; object-src 'none'"
)


# What the page asks for, by the beginning of its path or all of it. gradio has more, such as a converter of videos.
_READ = ("/assets/", "/static/", "/gradio_api/file=", "/gradio_api/heartbeat/")
_READ_WHOLE = (
    "/",
    "/config",
    "/favicon.ico",
    "/manifest.json",
    "/robots.txt",
    "/theme.css",
    "/gradio_api/info",
    "/gradio_api/queue/data",
    "/gradio_api/startup-events",
    "/gradio_api/theme.css",
    "/gradio_api/upload_progress",
)
_WRITTEN = (
    "/gradio_api/cancel",
    "/gradio_api/queue/join",
    "/gradio_api/reset",
    "/gradio_api/run/predict",
    "/gradio_api/upload",
)


def application(page: Page, host: str) -> FastAPI:
    """The web application of `page`, an ASGI application.

    Args:
        page: what stands behind it.
        host: the address it will listen on. On a loopback address, requests under another host's name are refused, so
            that no other web site can reach it through a name of its own.
    """
    gr = gradio()
    theme = gr.themes.Default(
        primary_hue="teal", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
    )
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    undescribed: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None}
    outer = FastAPI(**undescribed)
    outer.add_middleware(Limits, page=page)
    outer.add_middleware(_RefuseWhatThePageDoesNotUse)
    outer.add_middleware(_RefuseOtherSites)
    if is_loopback(host):
        outer.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", host])
    outer.add_middleware(_Headers)
    add_endpoints(outer, page)
    built = blocks.blocks(page)
    served: FastAPI = gr.mount_gradio_app(
        outer,
        built,
        path="/",
        app_kwargs=undescribed,
        max_file_size=page.most_bytes,
        footer_links=[],
        run_history=False,
        show_error=False,  # gradio's sentences name folders of this machine; Limpid's own are shown in any case
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        css=blocks.STYLE,
        theme=theme,
    )
    # gradio lets requests name only files that were uploaded, but checks it only where it launched the page itself.
    built.has_launched = True
    return served


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class _Headers:
    """ASGI middleware: browsers load nothing from elsewhere, show the page in no other, and tell nobody of it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"content-security-policy", _POLICY.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self.app(scope, receive, with_headers)


class _RefuseWhatThePageDoesNotUse:
    """ASGI middleware: of gradio's many addresses only those that the page asks for are there."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import JSONResponse

        if scope["type"] == "http" and _names_no_place(scope):
            refused = JSONResponse({"error": "The address holds letters that no address has."}, 400)
            await refused(scope, receive, send)
        elif scope["type"] == "lifespan" or (scope["type"] == "http" and _is_used(scope["method"], scope["path"])):
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await JSONResponse({"error": "There is nothing here."}, 404)(scope, receive, send)


def _names_no_place(scope: Scope) -> bool:
    """Whether an address holds control characters, which no name of a file has, such as NUL."""
    from urllib.parse import unquote

    return not f"{scope['path']}{unquote(scope['query_string'].decode('latin-1'))}".isprintable()


def _is_used(method: str, path: str) -> bool:
    if path.startswith("/api/"):
        return True
    if method in ("GET", "HEAD"):
        return path in _READ_WHOLE or path.startswith(_READ)
    return method == "POST" and path in _WRITTEN


class _RefuseOtherSites:
    """ASGI middleware: what other web sites have a visitor's browser send is refused; opening the page is not."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import JSONResponse

        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD") and _is_of_another_site(scope):
            refused = JSONResponse({"error": "Requests of other web sites are refused."}, 403)
            await refused(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _is_of_another_site(scope: Scope) -> bool:
    """Whether a browser says that another site made this request; programs say nothing of the kind."""
    from urllib.parse import urlsplit

    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get(b"origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != headers.get(b"host")
    except ValueError:  # no address
        return True
