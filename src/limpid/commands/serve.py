"""`limpid serve`: a web page to try restoration on one's own photographs."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

from limpid.commands.command_parser import CommandParser
from limpid.errors import UserError

_EPILOG = """The page takes one photograph at a time and keeps none. It listens on this machine alone unless --host says
otherwise; it has no password, so that on another address everybody who reaches it can use it.

  limpid serve
  limpid serve --methods wmcp,dcp --max-megapixels 100"""


def run(arguments: list[str]) -> int:
    """The exit status, once the server was interrupted."""
    flags = _parser().parse_args(arguments)
    if flags.max_megapixels <= 0:
        raise UserError(f"--max-megapixels is {flags.max_megapixels:g}, but it must be above 0.")
    flags.host = flags.host or "127.0.0.1"  # an empty address would be all of them
    _refuse_taken(flags.host, flags.port)
    with tempfile.TemporaryDirectory(prefix="limpid-serve-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # where gradio puts uploads; it reads this when it is imported
        return _serve(flags, Path(folder))


def _serve(asked: argparse.Namespace, folder: Path) -> int:
    from limpid import serving

    names = [name.strip() for name in asked.methods.split(",") if name.strip()]
    page = serving.Page(serving.methods(names, str(asked.device)), asked.max_megapixels, folder)
    page.keep_clean()
    application = serving.application(page, asked.host)
    from limpid.serving.server import Server

    server = Server(application, asked.host, asked.port)
    if not serving.is_loopback(asked.host):
        print(f"Everybody who reaches {asked.host} can use the page: it has no password.", file=sys.stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended either way, the folder is removed
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="limpid serve",
        description="A web page to try restoration: drop a photograph, choose methods, slide before and after. "
        "Programs post to /api/restore.",
        epilog=_EPILOG,
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1: this machine alone)")
    parser.add_argument("--port", type=int, default=7860, help="7860 by default")
    parser.add_argument("--methods", default="", metavar="NAME,...", help="which to offer; by default all there are")
    parser.add_argument("--device", default="auto", help="where networks run: auto, cpu, cuda, cuda:1, mps (auto)")
    parser.add_argument("--max-megapixels", type=float, default=50, help="larger photographs are refused (50)")
    return parser


def _refuse_taken(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before anything is loaded.

    Raises:
        UserError: it is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), port))
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UserError(f"Cannot listen on {host} port {port} ({why}); give another --port or --host.") from error
