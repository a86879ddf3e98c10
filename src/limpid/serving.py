"""A web page to try restoration on one's own photographs: what it does with one, how it looks, how it is served.

Nothing leaves the machine: no analytics, no fonts or scripts from elsewhere (a Content-Security-Policy forbids them),
no public link. The page takes one photograph at a time, of bounded size, and keeps none.
"""

from __future__ import annotations

import functools
import html
import ipaddress
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from limpid.errors import CannotRun, UserError, nearest

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from torch import nn

    from limpid.data.photo_io import Pixels

#: How many photographs may wait; further ones are turned away.
QUEUE = 8
#: Seconds that files are kept on disk, at most and about: uploads, results, and what the slider shows.
KEPT = 600
#: An uploaded file may take this many bytes per pixel that is allowed: what 16 bit with alpha take uncompressed.
BYTES_PER_PIXEL = 8
#: The longest side, in pixels, of what the slider shows; the download has every pixel.
_SHOWN = 1600

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'; "
    "base-uri 'self'; form-action 'self'; object-src 'none'"
)
_STYLE = """
.gradio-container { max-width: 60rem !important; margin: auto !important; }
footer { display: none !important; }
"""


class Method(NamedTuple):
    """What the page offers: the name that `limpid predict model=` takes, what it is in a sentence, how it is made."""

    name: str
    about: str
    make: Callable[[], nn.Module]


class Result(NamedTuple):
    """What one photograph became.

    Attributes:
        shown: the photograph and the restored one, upright, as JPEGs of at most 1600 pixels a side.
        download: the restored one as a PNG with every pixel, the photograph's bit depth, alpha, profile and EXIF.
        says: method, size and seconds in a line.
    """

    shown: tuple[str, str]
    download: str
    says: str


def methods(names: Sequence[str] = ()) -> list[Method]:
    """The methods of these names, or all that can restore: the priors, and networks whose weights the zoo holds.

    Raises:
        UserError: a name is none of them.
    """
    known = {method.name: method for method in [*_priors(), *_trained()]}
    for name in names:
        if name not in known:
            hint = nearest(name, known) or f"; there are {', '.join(known)}."
            raise UserError(f"There is no method {name!r} that restores without training{hint}")
    return [known[name] for name in names or known]


def _priors() -> list[Method]:
    """Methods that learn nothing, but for the trivial ones."""
    from limpid.config.registry import build, network_config, registered

    offered = []
    for name in sorted(registered(), key=lambda name: (name != "wmcp", name)):  # our own comes first
        target = str(network_config(name).get("_target_"))
        if target.startswith("limpid.priors.") and not target.startswith("limpid.priors.trivial."):
            offered.append(Method(name, _first_line(target), functools.partial(build, name)))
    return offered


def _first_line(target: str) -> str:
    from limpid.config.instantiate import locate

    return str(locate(target, "network").__doc__ or "").strip().splitlines()[0]


def _trained() -> list[Method]:
    """Networks whose weights the zoo holds, by the names of their cards."""
    import limpid
    from limpid import zoo

    methods = []
    for card in zoo.cards().values():
        text = card.good_for or f"{card.network}, {card.summary()}"
        methods.append(Method(card.name, text, functools.partial(limpid.load, f"{zoo.PREFIX}{card.name}")))
    return methods


class Page:
    """What stands behind the page.

    Args:
        offered: the methods, the first chosen at the beginning.
        megapixels: larger photographs are refused.
        device: where networks run.
        folder: where files are put, and from where the server may hand them out.
    """

    def __init__(self, offered: Sequence[Method], megapixels: float, folder: Path, device: str = "cpu") -> None:
        from limpid.config.instantiate import construct
        from limpid.config.recipes import option

        self.offered = list(offered)
        self.megapixels = megapixels
        self.folder = folder
        self._device = device
        self._inference = construct(option("inference", "adaptive"), "inference")
        self._made: dict[str, nn.Module] = {}

    @property
    def most_bytes(self) -> int:
        """The greatest size of an uploaded file in bytes."""
        return int(self.megapixels * 1e6 * BYTES_PER_PIXEL)

    def restore(self, photograph: str | None, method: str) -> Result:
        """The restored photograph of an upload, as the page shows it and as it is downloaded.

        Args:
            photograph: where the upload lies; None where there is none.
            method: the name of one that is offered.

        Raises:
            UserError: there is no photograph, it is too large or cannot be read, or the method is not offered. The
                sentence names the file without its folder.
        """
        import torch

        from limpid.data.photo_io import read_photograph, size_of, write_photograph

        if photograph is None:
            raise UserError("There is no photograph yet; drop one first.")
        source, began = Path(photograph), time.perf_counter()
        try:
            self._refuse_large(source, size_of(source))
            original = read_photograph(source, self.megapixels)
        except UserError as error:
            raise UserError(str(error).replace(str(source), source.name)) from error
        network = self._network(method)
        x = torch.from_numpy(original.pixels.transpose(2, 0, 1))[None]
        restored = self._inference(network, x)[0].permute(1, 2, 0).numpy()
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        download = folder / f"{source.stem}.png"
        write_photograph(download, restored, original)
        before, after = folder / "before.jpg", folder / "after.jpg"
        _show(before, original.pixels, original.profile)
        _show(after, restored, original.profile)
        height, width = restored.shape[:2]
        seconds = time.perf_counter() - began
        return Result((str(before), str(after)), str(download), f"{method}, {width} × {height} pixels, {seconds:.1f} s")

    def _refuse_large(self, source: Path, size: tuple[int, int]) -> None:
        if size[0] * size[1] > self.megapixels * 1e6:
            raise UserError(
                f"{source} has {size[0]} × {size[1]} pixels, more than the {self.megapixels:g} megapixels that this "
                "page takes; make it smaller, or start limpid serve with a larger --max-megapixels."
            )

    def _network(self, name: str) -> nn.Module:
        if name not in self._made:
            makers = {method.name: method.make for method in self.offered}
            if name not in makers:
                raise UserError(f"There is no method {name!r} on this page{nearest(name, makers) or '.'}")
            self._made[name] = makers[name]().eval().to(self._device)
        return self._made[name]

    def blocks(self) -> Any:
        """The page itself, as gradio's `Blocks`."""
        gr = _gradio()

        def restore(photograph: str | None, method: str) -> tuple[object, ...]:
            try:
                result = self.restore(photograph, method)
            except UserError as error:
                raise gr.Error(html.escape(str(error)), print_exception=False) from error
            return (
                gr.update(value=result.shown, visible=True),
                result.says,
                gr.update(value=result.download, visible=True),
            )

        def clear() -> tuple[object, ...]:
            return gr.update(value=None, visible=False), "", gr.update(value=None, visible=False)

        names = [method.name for method in self.offered]
        with gr.Blocks(title="Limpid", analytics_enabled=False, delete_cache=(60, KEPT)) as blocks:
            gr.Markdown(
                "# Limpid\nDrop a photograph, choose a method, and slide between before and after. "
                f"PNG, JPEG, TIFF, WebP or BMP, up to {self.megapixels:g} megapixels."
            )
            with gr.Row():
                photograph = gr.File(label="Photograph", file_types=_suffixes(), height=150)
                with gr.Column():
                    method = gr.Radio(names, value=names[0], label="Method")
                    button = gr.Button("Restore", variant="primary")
            slider = gr.ImageSlider(
                label="Before and after",
                show_label=False,
                interactive=False,
                visible=False,
                max_height=640,
                buttons=["fullscreen"],
            )
            says = gr.Markdown()
            download = gr.DownloadButton("Download as PNG", visible=False)
            with gr.Accordion("The methods", open=False):
                gr.Markdown("\n".join(f"- **{m.name}**: {m.about}" for m in self.offered))
            result = [slider, says, download]
            photograph.change(clear, None, result, api_visibility="private", queue=False, show_progress="hidden")
            button.click(restore, [photograph, method], result, api_visibility="private", trigger_mode="once")
        return blocks.queue(max_size=QUEUE, default_concurrency_limit=1)


def application(page: Page, host: str) -> FastAPI:
    """The web application of `page`, an ASGI application.

    Args:
        page: what stands behind it.
        host: the address it will listen on. On a loopback address, requests under another host's name are refused, so
            that no other web site can reach it through a name of its own.
    """
    gr = _gradio()
    theme = gr.themes.Default(
        primary_hue="teal", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ).set(button_primary_background_fill="*primary_700", button_primary_background_fill_hover="*primary_800")
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    undescribed: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None}
    outer = FastAPI(**undescribed)
    if is_loopback(host):
        outer.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", host])
    outer.add_middleware(_Headers)
    served: FastAPI = gr.mount_gradio_app(
        outer,
        page.blocks(),
        path="/",
        app_kwargs=undescribed,
        max_file_size=page.most_bytes,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        css=_STYLE,
        theme=theme,
    )
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


def _gradio() -> Any:
    """The module gradio, told to be quiet before it is imported.

    Raises:
        CannotRun: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio
    except ImportError as error:
        raise CannotRun("limpid serve needs gradio; install it with pip install 'limpid[serve]'.") from error
    return gradio


def _suffixes() -> list[str]:
    from limpid.data.photo_io import FORMATS

    return sorted(FORMATS)


def _show(path: Path, pixels: Pixels, profile: bytes | None) -> None:
    from limpid.results.contact_sheet import side_by_side

    picture = side_by_side([pixels])
    picture.thumbnail((_SHOWN, _SHOWN))
    picture.save(path, "JPEG", quality=92, icc_profile=profile)
