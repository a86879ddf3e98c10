"""What ends a run from outside: signals, and data-loading processes that die. The run is interrupted and continues."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from limpid.errors import UserError

#: Sent by a queue before the time is up (TERM, USR1 or USR2 with `--signal`), and when a terminal closes (HUP).
_ENDING = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")

_LOADER_DIED = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? (?P<pid>[\d, ]+)\) (?:is killed by signal: (?P<by>[\w ]+)|exited)"
)

#: What it means that a data-loading process was ended by a signal, and what helps, by the words of the system.
_REASONS = {
    "Killed": "the machine most likely ran out of memory: give fewer data.workers, or the machine more memory",
    "Bus error": "the shared memory in /dev/shm is full: give fewer data.workers or a smaller data.batch_size, or more "
    "shared memory (docker run --shm-size=2g)",
    "Segmentation fault": "a library that decodes images crashed: data.workers=0 shows at which image",
    "Terminated": "somebody or a queue ended it",
}

#: How long to wait for a signal that a whole group of processes was sent: a data-loading process may die first.
_MOMENT = 0.5


class Interrupted(UserError):  # noqa: N818 - it reads as what happened
    """The machine ended a part of the run; the same command continues from the last checkpoint."""


def end_in_order() -> None:
    """Let the signals that end a process do what Ctrl-C does, where nothing else was asked for.

    A signal that is ignored (`nohup`) or has a handler (submitit's) stays as it is.
    """
    for name in _ENDING:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            _set(number, _end)


def _set(number: int, handler: Any) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one would break into the closing
    _hear_of_loaders(False)  # they may have had the same signal
    raise KeyboardInterrupt(f"ended by {signal.Signals(number).name}")


#: PyTorch's handler, which raises an error wherever the program is when a data-loading process ends; kept while a run
#: is closed, when more of them may end.
_kept: list[Any] = []


def _hear_of_loaders(does: bool) -> None:
    """Let PyTorch's handler work, or keep it until the next run begins."""
    if does and _kept:
        _set(signal.SIGCHLD, _kept.pop())
        return
    handler = signal.getsignal(signal.SIGCHLD)
    if not does and callable(handler) and handler is not _nothing:
        _kept.append(handler)
        _set(signal.SIGCHLD, _nothing)


def _nothing(number: int, frame: FrameType | None) -> None:
    """What is done with a signal that came already: with no handler at all, Python would print a traceback."""


@contextmanager
def interruptible(step: Callable[[], int]) -> Iterator[None]:
    """Turn Lightning's way to end after Ctrl-C into the usual one, and a data-loading process's death into a sentence.

    Args:
        step: how many batches are trained by then.

    Raises:
        KeyboardInterrupt: the run is to end.
        Interrupted: a data-loading process died.
    """
    _hear_of_loaders(True)
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt(str(error.__context__ or "")) from error
    except RuntimeError as error:
        died = _LOADER_DIED.search(str(error))
        if died is None:
            raise
        _hear_of_loaders(False)  # the others follow
        if isinstance(error.__context__, KeyboardInterrupt | SystemExit):
            raise KeyboardInterrupt from error
        time.sleep(_MOMENT)  # where the whole group was signalled, this process's turn comes now
        raise Interrupted(_sentence(died["pid"], died["by"], step())) from error


def _sentence(pid: str, by: str | None, step: int) -> str:
    how = "ended by itself" if by is None else f"was ended by the signal {by.strip()!r}"
    reason = _REASONS.get((by or "").strip(), "see what it said above; data.workers=0 loads images without processes")
    return (
        f"A data-loading process (pid {pid}) {how} after step {step}; {reason}. The same command continues from the "
        "last checkpoint."
    )
