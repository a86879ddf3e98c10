"""What all tests share: the command as a user runs it, quiet libraries, one thread so that tests share two cores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["LIMPID_ZOO"] = "/nonexistent"  # a developer's own weights are not a test's

ROOT = Path(__file__).resolve().parents[1]

Limpid = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a command that runs in `folder`, with its own run store and no data."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LIMPID_")}
    return {
        **kept,
        "LIMPID_RUNS": str(folder / "runs"),
        "LIMPID_ZOO": "/nonexistent",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        **more,
    }


@pytest.fixture
def limpid(tmp_path: Path) -> Limpid:
    """Runs `limpid ARGUMENTS` in a fresh folder as a user would; checks the exit status."""

    def run(*arguments: str, expect: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from limpid.cli import main; main()", *arguments]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(tmp_path, **more),
            capture_output=True,
            text=True,
            timeout=600,
        )
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
