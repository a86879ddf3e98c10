"""Reading ahead: what is read when, how much is held at once, and where errors land."""

from __future__ import annotations

import threading
import time
import weakref

import pytest

from limpid.predicting.overlap import Outcome, Worker, read_ahead


class Photograph:
    """Something that can be counted."""


def test_the_next_one_is_read_while_this_one_is_worked_on() -> None:
    reading = [threading.Event() for _ in range(4)]

    def read(number: int) -> int:
        reading[number].set()
        return number

    for number, outcome in read_ahead(range(4), read, lambda number: True):
        assert outcome.take() == number
        if number < 3:
            assert reading[number + 1].wait(5)
        if number < 2:
            assert not reading[number + 2].wait(0.02)  # one ahead, no further


def test_large_ones_are_read_in_their_turn() -> None:
    begun: list[int] = []
    for number, outcome in read_ahead(range(4), lambda n: begun.append(n), lambda n: n != 2):
        outcome.take()
        time.sleep(0.02)
        assert begun == list(range({0: 2, 1: 2, 2: 3, 3: 4}[number]))


def test_errors_land_at_their_own_photograph() -> None:
    def read(number: int) -> int:
        if number % 2:
            raise MemoryError(number)
        return number

    for number, outcome in read_ahead(range(4), read, lambda number: True):
        if number % 2:
            with pytest.raises(MemoryError, match=str(number)):
                outcome.take()
        else:
            assert outcome.take() == number


def test_no_photograph_is_held_longer_than_it_is_needed() -> None:
    held: list[weakref.ref[Photograph]] = []

    def read(number: int) -> Photograph:
        photograph = Photograph()
        held.append(weakref.ref(photograph))
        return photograph

    for number, outcome in read_ahead(range(5), read, lambda number: True):
        photograph = outcome.take()
        assert sum(one() is not None for one in held) <= 2  # this one, and the next
        del photograph, number


def test_a_worker_does_its_jobs_in_order_and_goes_on_after_an_error() -> None:
    worker, done = Worker("test"), []
    outcomes: list[Outcome[None]] = [worker.submit(lambda: done.append(1)), worker.submit(lambda: 1 / 0)]
    outcomes.append(worker.submit(lambda: done.append(2)))
    with pytest.raises(ZeroDivisionError):
        outcomes[1].take()
    outcomes[2].take()
    assert done == [1, 2]
    worker.end()
