"""Cases of one kind, one after the other in a process of their own, with a line of JSON about each."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.commands import Fault

#: Each kind by the function that tries one case of it: given the case's chance and its empty folder.
KINDS = {
    "photographs": "images:photographs",
    "metadata": "images:metadata",
    "checkpoints": "checkpoints:checkpoints",
    "command_lines": "command_lines:command_lines",
    "requests": "requests:requests",
}

Try = Callable[[random.Random, Path], str]


def tried(kind: str, seed: int, number: int, one: Try) -> dict[str, object]:
    """What became of a case: its word, its seconds, the most memory that the process took, and a fault if it was one."""
    folder = Path(tempfile.mkdtemp(prefix="limpid-fuzz-"))
    os.chdir(folder)
    began = time.perf_counter()
    fault = None
    word = "fault"
    try:
        word = one(random.Random(f"{seed}/{kind}/{number}"), folder)
    except Fault as error:
        fault = str(error)
    except Exception:
        fault = traceback.format_exc()
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.perf_counter() - began
    return {"case": number, "word": word, "seconds": seconds, "megabytes": _most_megabytes(), "fault": fault}


def _most_megabytes() -> int:
    """The most memory of this process since it was asked last."""
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")  # begins anew
    return int(peak.split()[1]) // 1024


def main(kind: str, seed: int, first: int, last: int | None) -> None:
    """Try cases of a kind, from the first to the last, or until this process is ended."""
    module, name = KINDS[kind].split(":")
    one: Try = getattr(importlib.import_module(f"tests.fuzz.{module}"), name)
    said, sys.stdout = sys.stdout, sys.stderr
    for number in itertools.count(first) if last is None else range(first, last + 1):
        print(json.dumps({"begun": number}), file=said, flush=True)
        print(json.dumps(tried(kind, seed, number, one)), file=said, flush=True)


if __name__ == "__main__":
    asked = sys.argv[1:]
    main(asked[0], int(asked[1]), int(asked[2]), int(asked[3]) if len(asked) > 3 else None)
