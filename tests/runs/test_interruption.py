"""What ends a run from outside is a sentence or an interruption, whatever it is."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from limpid.runs import interruption
from limpid.runs.interruption import Interrupted, end_in_order, interruptible
from limpid.store.run_directory import Run

DIED = {
    "DataLoader worker (pid 7531) is killed by signal: Killed. ": "was ended by the signal 'Killed' after step 63; the "
    "machine most likely ran out of memory: give fewer data.workers, or the machine more memory.",
    "DataLoader worker (pid 7531) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
    "shared memory.": "was ended by the signal 'Bus error' after step 63; the shared memory in /dev/shm is full: give "
    "fewer data.workers or a smaller data.batch_size, or more shared memory (docker run --shm-size=2g).",
    "DataLoader worker (pid 7531) is killed by signal: Segmentation fault. ": "was ended by the signal 'Segmentation "
    "fault' after step 63; a library that decodes images crashed: data.workers=0 shows at which image.",
    "DataLoader worker (pid(s) 7531) exited unexpectedly": "ended by itself after step 63; see what it said above; "
    "data.workers=0 loads images without processes.",
}


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(interruption, "_MOMENT", 0.0)
    numbers = [getattr(signal, name) for name in (*interruption._ENDING, "SIGCHLD")]
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
    interruption._kept.clear()


@pytest.mark.parametrize("said", DIED)
def test_a_data_loading_process_that_dies_is_a_sentence(said: str) -> None:
    with pytest.raises(Interrupted) as raised, interruptible(lambda: 63):
        raise RuntimeError(said)
    assert str(raised.value) == (
        f"A data-loading process (pid 7531) {DIED[said]} The same command continues from the last checkpoint."
    )


def test_other_errors_pass_and_an_interruption_comes_before_its_consequences() -> None:
    with pytest.raises(RuntimeError, match="^of our own$"), interruptible(lambda: 0):
        raise RuntimeError("of our own")
    with pytest.raises(KeyboardInterrupt, match="ended by SIGTERM"), interruptible(lambda: 0):
        raise_after(SystemExit(1))  # as Lightning does
    with pytest.raises(KeyboardInterrupt), interruptible(lambda: 0):
        raise_after(RuntimeError(next(iter(DIED))))


def raise_after(error: BaseException) -> None:
    try:
        raise KeyboardInterrupt("ended by SIGTERM")
    except KeyboardInterrupt:
        raise error  # noqa: B904 - it comes of what is done after an interruption


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_a_signal_that_ends_a_process_interrupts_it_unless_something_else_was_asked_for(name: str) -> None:
    number = getattr(signal, name)
    signal.signal(number, signal.SIG_DFL)
    end_in_order()
    with pytest.raises(KeyboardInterrupt, match=f"ended by {name}"):
        os.kill(os.getpid(), number)
    os.kill(os.getpid(), number)  # a second one does not break into the closing
    signal.signal(number, signal.SIG_IGN)  # as nohup has it
    end_in_order()
    assert signal.getsignal(number) is signal.SIG_IGN


def test_an_interrupted_run_says_so_and_at_which_step_it_continues(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with run.locked():
        run.begin({}, {"job": "7"})
        run.progress(65, 400)
        run.interrupt(63)
    assert {key: run.status()[key] for key in ("status", "step", "steps")} == {
        "status": "interrupted",
        "step": 63,
        "steps": 400,
    }
    assert run.environment() == {"job": "7"}
    with run.locked():
        run.interrupt(63, was_done=True)
    assert run.status()["status"] == "done"
