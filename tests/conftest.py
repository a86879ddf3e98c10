"""What all tests share: the command as a user runs it, quiet libraries, one thread so that tests share two cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
#: A developer's own weights are not a test's, and no test fetches any over the network.
_NO_WEIGHTS = {
    "LIMPID_ZOO": "/nonexistent",
    "LIMPID_PUBLISHED": "/nonexistent",
    "LIMPID_WEIGHTS_URL": "http://127.0.0.1:9",
}
os.environ.update(_NO_WEIGHTS)

ROOT = Path(__file__).resolve().parents[1]

#: Seconds that a command may take.
_PATIENCE = 600

Limpid = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a command that runs in `folder`, with its own run store and no data."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LIMPID_")}
    return {
        **kept,
        "LIMPID_RUNS": str(folder / "runs"),
        **_NO_WEIGHTS,
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        **more,
    }


class CommandServer:
    """Commands in processes of their own, forked from one that has the libraries; see tests/command_server.py."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """What became of `limpid ARGUMENTS` in `folder`."""
        if self._process is None:
            words = [sys.executable, "-m", "tests.command_server"]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self._process = subprocess.Popen(words, cwd=ROOT, env=environment(folder), text=True, **pipes)
        assert self._process.stdin
        assert self._process.stdout
        with tempfile.TemporaryDirectory() as place:
            files = {name: Path(place, name) for name in ("stdout", "stderr")}
            for file in files.values():
                file.touch()
            asked = {"arguments": arguments, "folder": str(folder), "environment": dict(env)}
            line = json.dumps({**asked, **{name: str(file) for name, file in files.items()}})
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
            hangs = threading.Timer(_PATIENCE, self._process.kill)
            hangs.start()
            code = int(self._process.stdout.readline())
            hangs.cancel()
            said = [file.read_text(encoding="utf-8", errors="surrogateescape") for file in files.values()]
        return subprocess.CompletedProcess(list(arguments), code, *said)

    def end(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.communicate()


@pytest.fixture(scope="session")
def commands() -> Iterator[CommandServer]:
    """Runs commands without their seconds of starting."""
    server = CommandServer()
    yield server
    server.end()


@pytest.fixture
def limpid(tmp_path: Path, commands: CommandServer) -> Limpid:
    """Runs `limpid ARGUMENTS` in a fresh folder as a user would; checks the exit status."""

    def run(*arguments: str, expect: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        done = commands.run(arguments, tmp_path, environment(tmp_path, **more))
        assert done.returncode == expect, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images for measurements; tests that need it are skipped elsewhere."""
    folder = Path(os.environ.get("LIMPID_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("needs real images: set LIMPID_DATA to a folder that holds RESIDE/")
    return folder.resolve()
