"""The processes of a run on one machine: a command starts and watches them, and each tells it how it ended.

Each is started as `python -m limpid.runs.runner RUN`; the command says what went wrong, once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from limpid.errors import UserError
from limpid.runs.interruption import Interrupted
from limpid.store.atomic_io import json_text

_REPORT = "LIMPID_REPORT"  # tells a process where to say how it ended, and that a command watches it
_GRACE = 3.0  # seconds that the processes have to close their loggers before they are killed

#: PyTorch would warn at every start that all parameters are used, which trainer/ddp.yaml need not know.
QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR"}


class ProcessFailed(RuntimeError):  # noqa: N818 - reads as what happened
    """A process of a run failed or was killed; the others were ended. Its note is the traceback, where there is one."""


# The command that starts and watches -------------------------------------------------------------------------------


class _Process:
    """One process of a run, started here: in a session of its own, at the other end of a pipe it cannot outlive."""

    def __init__(self, run: Path, rank: int, world: int, port: int, reports: Path) -> None:
        self.rank, self.report_file = rank, reports / f"{rank}.json"
        self.log = run / "logs" / f"process-{rank}.log"
        threads = max(1, len(os.sched_getaffinity(0)) // world) if hasattr(os, "sched_getaffinity") else 1
        environment = {
            "OMP_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "PASSIVE",
            **QUIET,
            **os.environ,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(world),
            "LOCAL_WORLD_SIZE": str(world),
            "GROUP_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",  # the command holds the store: no port is free, then taken
            _REPORT: str(self.report_file),
        }
        command = [sys.executable, "-m", "limpid.runs.runner", str(run)]
        out: int | BinaryIO = 2  # the first process shows its progress; stdout is for the answer
        if rank > 0:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            out = self.log.open("ab")
        self.popen = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True
        )
        if not isinstance(out, int):
            out.close()
        self.ended: float | None = None

    @property
    def code(self) -> int | None:
        """The exit status of the process, or None while it runs."""
        code = self.popen.poll()
        if code is not None and self.ended is None:
            self.ended = time.time()
        return code

    @property
    def report(self) -> dict[str, Any]:
        """The process's own report on how it ended; empty if it left none."""
        return json.loads(self.report_file.read_text(encoding="utf-8")) if self.report_file.is_file() else {}

    def kill(self) -> None:
        """End it and everything it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        if self.popen.stdin is not None:
            self.popen.stdin.close()


def launch(run: Path, world: int) -> None:
    """Start the `world` processes of a run on this machine, and wait until all are done.

    Raises:
        UserError: one of them refused what was asked.
        ProcessFailed: one of them failed or was killed; the others were ended.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with tempfile.TemporaryDirectory(prefix="limpid-") as reports:
        processes: list[_Process] = []
        try:
            for rank in range(world):
                processes.append(_Process(run, rank, world, store.port, Path(reports)))
            _watch(processes)
        except BaseException:
            _interrupt(processes)
            raise
        finally:
            for process in processes:
                process.kill()


def _watch(processes: list[_Process]) -> None:
    """Wait until all are done or one has failed; say which failed first."""
    while any(process.code is None for process in processes):
        if any(process.code for process in processes):
            time.sleep(0.3)  # a failure draws others after it; the reports tell which came first
            break
        time.sleep(0.05)
    failed = [process for process in processes if process.code]
    if not failed:
        return
    first = min(failed, key=_likely_cause)
    report = first.report
    if "refused" in report:
        raise (Interrupted if report["interrupted"] else UserError)(report["refused"])
    if "lost" in report:
        raise ProcessFailed(report["lost"])
    code, world = first.code or 0, len(processes)
    if code < 0:
        why = f"was killed by {signal.Signals(-code).name}"
        why += " (if nobody did that, the machine ran out of memory)" if -code == signal.SIGKILL else ""
    else:
        why = f"failed: {report['error']}" if "error" in report else f"ended with status {code}"
    others = "the other was" if world == 2 else f"the other {world - 1} were"
    where = f" {first.log} has what it said." if first.rank > 0 and first.log.stat().st_size else ""
    failure = ProcessFailed(
        f"Process {first.rank} of {world} {why}; {others} ended, and the same command continues from the last "
        f"checkpoint.{where}"
    )
    if "traceback" in report:
        failure.add_note(report["traceback"].rstrip())
    raise failure


def told(failure: ProcessFailed) -> str:
    """The text for the user: the traceback of the process that failed, if it left one, and the sentence."""
    return "\n".join([*getattr(failure, "__notes__", []), str(failure)])


def _likely_cause(process: _Process) -> tuple[int, float]:
    """The sort key of a failed process, least for the likely cause: a refusal, then a kill, then an error, by time."""
    report, code = process.report, process.code or 0
    killed = code < 0 and code != -signal.SIGABRT
    order = 1 if killed else 2
    if "refused" in report:
        order = 0
    return order, report.get("time", process.ended or time.time())


def _interrupt(processes: list[_Process]) -> None:
    """Ask all to end and give them a moment for it."""
    for process in processes:
        if process.code is None:
            process.popen.send_signal(signal.SIGINT)
    deadline = time.monotonic() + _GRACE
    while any(process.code is None for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)


# A process that is watched -------------------------------------------------------------------------------------------


def watched() -> bool:
    """Whether a command started this process and watches it."""
    return _REPORT in os.environ


def take_part(job: Callable[[], object]) -> int:
    """The exit status after doing `job` as one of several processes, with a report for the command that watches.

    The process ends at once when the command that started it does, however that ended.
    """
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    try:
        job()
    except UserError as error:
        _leave({"refused": str(error), "interrupted": isinstance(error, Interrupted)})
        return 2
    except ProcessFailed as error:
        _leave({"lost": str(error)})
        return 1
    except KeyboardInterrupt as interrupt:
        if str(interrupt):
            _leave({"error": f"it was {interrupt}"})
        return 130
    except Exception as error:
        last = traceback.format_exception_only(error)[-1].strip()
        _leave({"error": last, "traceback": traceback.format_exc()})
        return 1
    return 0


def _leave(report: dict[str, object]) -> None:
    file = Path(os.environ[_REPORT])
    beside = file.with_suffix(".part")
    beside.write_text(json_text({**report, "time": time.time()}), encoding="utf-8")
    beside.replace(file)


def _end_with_the_command() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)  # data-loading processes too
