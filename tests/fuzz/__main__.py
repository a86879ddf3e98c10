"""Try hostile inputs for some minutes: python -m tests.fuzz --minutes 10 --seed 0.

A fault is an exception, a traceback, a status other than 0 and 2, a refusal without a sentence, an unfinished file that
stays, a case with more than a minute of work, or a process that takes more than a gigabyte. Each is printed with the
command that repeats it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import queue
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.worker import KINDS

ROOT = Path(__file__).resolve().parents[2]
#: Seconds that processors may work for a case, and for the first one, with which the libraries are loaded.
PATIENCE = 60.0
FIRST = 180.0
#: How many times as long a case may take on a machine that is busy with other things.
SLOWER = 5
#: How many faults of a kind are printed, and the last letters of each.
SHOWN = 10
LETTERS = 1000
#: The most memory of a process.
MEGABYTES = 1024
#: A process that took more is replaced, as a command has one of its own.
RENEWED = 600


@dataclass
class Found:
    """What came of one kind.

    Attributes:
        words: how many cases ended how.
        seconds: of the slowest case.
        megabytes: the most memory.
        faults: a text for each, and its case.
    """

    words: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    megabytes: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)


def fuzz(kind: str, seed: int, minutes: float) -> Found:
    """What came of the cases of a kind within so many minutes."""
    found = Found()
    end = time.monotonic() + 60 * minutes
    first = 0
    while time.monotonic() < end:
        first = _until_it_hangs(kind, seed, first, end, found)
    return found


def _until_it_hangs(kind: str, seed: int, first: int, end: float, found: Found) -> int:
    """Try cases in one process, add what came of them to `found`, and give the number of the next case."""
    words = [sys.executable, "-m", "tests.fuzz.worker", kind, str(seed), str(first)]
    with TemporaryDirectory(prefix="limpid-fuzz-", ignore_cleanup_errors=True) as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        environment["TMPDIR"] = folder  # whose content goes with the process, which is killed in the middle of a case
        return _watched(words, environment, first, end, found)


def _watched(words: Sequence[str], environment: Mapping[str, str], first: int, end: float, found: Found) -> int:
    """Read what a process says of its cases until it ends, hangs, or the time is over; give the next case's number."""
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
        said: list[bytes] = []
        threading.Thread(target=lambda: said.extend(process.stderr or []), daemon=True).start()
        number, patience = first, FIRST
        try:
            while time.monotonic() < end:
                line = _next(lines, process.pid, patience, end)
                if line is None:
                    if time.monotonic() < end:
                        found.faults.append((number, f"no end after {patience:.0f} s"))
                    return number + 1
                if not line:
                    why = b"".join(said[-3:]).decode(errors="replace")
                    found.faults.append((number, f"the process ended with {process.wait()}: {why}"))
                    return number + 1
                told = json.loads(line)
                if "begun" in told:
                    number = told["begun"]
                    continue
                patience = PATIENCE
                _add(told, found)
                if int(str(told["megabytes"])) > RENEWED:
                    return number + 1
            return number + 1
        finally:
            process.kill()


def _next(lines: queue.Queue[bytes], pid: int, patience: float, end: float) -> bytes | None:
    """The next line of a process; None where it has worked, or was waited for much longer, than the patience allows."""
    before, last = _worked(pid), min(end, time.monotonic() + SLOWER * patience)
    while time.monotonic() < last and _worked(pid) - before < patience:
        with contextlib.suppress(queue.Empty):
            return lines.get(timeout=1.0)
    return None


def _worked(pid: int) -> float:
    """Seconds that processors have worked for a process."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def _read(stream: object, lines: queue.Queue[bytes]) -> None:
    for line in stream:  # type: ignore[attr-defined]
        lines.put(line)
    lines.put(b"")


def _add(told: dict[str, object], found: Found) -> None:
    found.words[str(told["word"])] += 1
    found.seconds = max(found.seconds, float(str(told["seconds"])))
    found.megabytes = max(found.megabytes, int(str(told["megabytes"])))
    if told["fault"]:
        found.faults.append((int(str(told["case"])), str(told["fault"])))
    elif int(str(told["megabytes"])) > MEGABYTES:
        found.faults.append((int(str(told["case"])), f"{told['megabytes']} MB"))


def main() -> int:
    """The exit status: 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="in all (10)")
    parser.add_argument("--seed", type=int, default=None, help="by default one that is drawn, and printed")
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"by default all: {', '.join(KINDS)}")
    parser.add_argument("--processes", type=int, default=2, help="kinds at once (2)")
    asked = parser.parse_args()
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    kinds = asked.kinds.split(",")
    print(f"seed {seed}", flush=True)
    share = asked.minutes / math.ceil(len(kinds) / asked.processes)  # the last kinds may have a processor to themselves
    has_faults = False
    with ThreadPoolExecutor(asked.processes) as executor:
        for kind, found in zip(kinds, executor.map(lambda kind: fuzz(kind, seed, share), kinds), strict=True):
            _show(kind, seed, found)
            has_faults |= bool(found.faults)
    return 1 if has_faults else 0


def _show(kind: str, seed: int, found: Found) -> None:
    words = ", ".join(f"{count} {word}" for word, count in sorted(found.words.items())) or "none"
    print(f"{kind}: {words}; slowest {found.seconds:.1f} s, {found.megabytes} MB at most", flush=True)
    for number, fault in found.faults[:SHOWN]:
        again = f"python -m tests.fuzz.worker {kind} {seed} {number} {number}"
        print(f"FAULT {fault.strip()[-LETTERS:]}\n  again: {again}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
