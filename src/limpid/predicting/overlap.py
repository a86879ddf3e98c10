"""Reading the next photograph and writing the last one while the network works on the one between."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")
#: Seconds that an interruption waits for a file that is being written, so that it is whole; and for one being read.
_PATIENCE = 3.0
_PATIENCE_TO_READ = 1.0


class Outcome(Generic[Value]):
    """What a job gave or raised, once it has ended."""

    def __init__(self, job: Callable[[], Value]) -> None:
        self._jobs = [job]  # emptied, as the values are, so that nothing large is held longer than it is needed
        self._values: list[Value] = []
        self._error: Exception | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        """Do the job, here."""
        try:
            self._values.append(self._jobs.pop()())
        except Exception as error:
            self._error = error
        finally:
            self._ended.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended, after waiting for at most `seconds`."""
        return self._ended.wait(seconds)

    def take(self) -> Value:
        """What the job gave, which is handed over and not kept.

        Raises:
            Exception: what the job raised.
        """
        self.wait()
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._values.pop()


class Worker:
    """A thread that does one job after the other. It does not keep the program from ending."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Outcome[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], Value]) -> Outcome[Value]:
        """The outcome of `job`, which is done after those before it."""
        outcome = Outcome(job)
        self._jobs.put(outcome)
        return outcome

    def end(self, patience: float = _PATIENCE) -> None:
        """End the thread after the jobs it was given; wait for them, but for `patience` seconds at most."""
        self._jobs.put(None)
        self._thread.join(patience)

    def _work(self) -> None:
        while (outcome := self._jobs.get()) is not None:
            outcome.run()
            del outcome  # or its photograph would be held until the next one comes


def read_ahead(
    items: Sequence[Item], read: Callable[[Item], Value], may_overlap: Callable[[Item], bool]
) -> Iterator[tuple[Item, Outcome[Value]]]:
    """Each item with the outcome of reading it; the next one is read while the caller works on it.

    Args:
        items: what is read.
        read: reads one.
        may_overlap: whether there is memory for an item beside another; otherwise it is read when its turn comes.
    """
    reader = Worker("reader")
    try:
        waiting: Outcome[Value] | None = None
        for number, item in enumerate(items):
            here = waiting or reader.submit(_job(read, item))
            here.wait()
            following = items[number + 1 : number + 2]
            waiting = None
            if following and may_overlap(item) and may_overlap(following[0]):
                waiting = reader.submit(_job(read, following[0]))
            yield item, here
    finally:
        reader.end(_PATIENCE_TO_READ)


def _job(read: Callable[[Item], Value], item: Item) -> Callable[[], Value]:
    return lambda: read(item)
