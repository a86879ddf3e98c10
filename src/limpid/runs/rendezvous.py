"""How the processes of a run meet, how they see that they share a store, and how one tells which of them is lost.

PyTorch's own messages name a socket where a process is lost or never comes; here each process is known by its rank.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from limpid.errors import UserError
from limpid.runs.distributed import Place
from limpid.runs.processes import ProcessFailed

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

_BEAT = 1.0  # seconds between two signs of life
_SEEN_WITHIN = 10.0  # seconds until a file that one process wrote must be there for the others

_ENDED = (
    "Process {rank} of {world} ended before the run began, or said nothing within trainer.timeout_minutes; see what it "
    "says."
)
_SILENT = "gave no sign of life for three seconds: ended, stopped or cut off"
_MEETINGS = itertools.count()
_CONTINUES = "the same command continues from the last checkpoint"


def meeting(place: Place, minutes: float | None, store: Path) -> Rendezvous | None:
    """The processes of a run, once all are there and see the run store; None where this is the only one so far.

    Args:
        place: of this process.
        minutes: how long to wait for the others; None for PyTorch's own limit.
        store: the folder that all must see.

    Raises:
        UserError: one of them does not come, or does not see the store.
    """
    from lightning_utilities.core.rank_zero import rank_zero_only
    from torch.distributed.constants import default_pg_timeout

    # A machine's environment may hold the rank of another program, by which nothing would be logged.
    rank_zero_only.rank = place.rank  # type: ignore[attr-defined]
    if place.world == 1 or place.starts:
        return None
    limit = default_pg_timeout if minutes is None else timedelta(minutes=minutes)
    environment = place.environment
    met = Rendezvous(place, environment.main_address, environment.main_port, limit)
    if not place.watched:
        met.require_shared(store)
    return met


class Rendezvous:
    """The processes of a run, each with its rank, and where they leave word for each other.

    Args:
        place: of this process.
        address: the host name of the first process.
        port: where the first process, or the launcher, holds the store.
        limit: how long to wait for a process that does not come.

    Raises:
        UserError: the address cannot be found, the port is taken, nobody answers there, or some process does not come
            within the limit.
    """

    def __init__(self, place: Place, address: str, port: int, limit: timedelta) -> None:
        self.place = place
        self.limit = limit
        self._address = (address, port)
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        # The launcher's store outlives an attempt, and a run may come after others that it needs.
        self._prefix = f"limpid/{attempt}/{next(_MEETINGS)}"
        self._store = self._connected(limit)
        self._call_the_roll()

    def require_shared(self, folder: Path) -> None:
        """Refuse a folder that not all processes see: the first one writes a file there, and the others look for it.

        Args:
            folder: the run store.

        Raises:
            UserError: naming the processes that do not see it, and their machines.
        """
        first = self.place.rank == 0
        if first:
            self._tell("token", self._write_token(folder))
        token = self._told("token", 0)
        if not token:
            raise UserError(f"Process 0 on {self._host(0)} cannot write to the run store {folder}; see what it says.")
        self._tell(f"sees/{self.place.rank}", "yes" if first or _appears(Path(token)) else "no")
        blind = [rank for rank in range(self.place.world) if self._told(f"sees/{rank}", rank) != "yes"]
        named = self._named(blind)
        self._settle()
        if first:
            Path(token).unlink(missing_ok=True)
        if blind:
            raise UserError(
                f"The run store {folder} of process 0 on {self._host(0)} is not there for {named}; choose "
                "a folder that all machines share (LIMPID_RUNS=FOLDER), or run on one machine with trainer=ddp."
            )

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Give signs of life while the block runs, and say which process is lost where it fails for that.

        Raises:
            ProcessFailed: another process is gone or hangs; or one that is alive took longer than the limit.
        """
        ended = threading.Event()
        beating = threading.Thread(target=self._beat, args=(self._connected(self.limit), ended), daemon=True)
        beating.start()
        try:
            yield
        except RuntimeError as error:
            why = self._why_lost(str(error))
            if why is None:
                raise
            raise ProcessFailed(f"{why}; the others end, and {_CONTINUES}.") from error
        finally:
            ended.set()

    def _connected(self, limit: timedelta) -> TCPStore:
        from torch.distributed import DistNetworkError, TCPStore  # type: ignore[attr-defined]

        address, port = self._address
        holds = self.place.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
        try:
            socket.getaddrinfo(address, port)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise UserError(
                f"The machine {address!r}, on which the first process should run, cannot be found from "
                f"{socket.gethostname()} ({why}); set MASTER_ADDR to its name or address."
            ) from error
        try:
            return TCPStore(address, port, is_master=holds, wait_for_workers=False, timeout=limit, multi_tenant=True)
        except DistNetworkError as error:
            if holds:
                raise UserError(
                    f"Port {port} of {socket.gethostname()} is taken, and the processes of this run should meet there; "
                    "set MASTER_PORT to a free one, the same for all of them."
                ) from error
            raise UserError(
                f"Process {self.place.rank} of {self.place.world} on {socket.gethostname()} did not reach the first "
                f"process at {address}:{port} within {_words(limit)} (trainer.timeout_minutes); see whether that one "
                "runs and the machines reach each other (MASTER_ADDR, MASTER_PORT)."
            ) from error

    def _call_the_roll(self) -> None:
        """Wait until every process has said that it is there."""
        rank, world = self.place.rank, self.place.world
        self._tell(f"host/{rank}", socket.gethostname())
        deadline = time.monotonic() + self.limit.total_seconds()
        absent = [other for other in range(world) if not self._comes(other, deadline)]
        if absent:
            raise UserError(
                f"{_processes(absent)} of {world} did not come within {_words(self.limit)} "
                "(trainer.timeout_minutes); see whether all of them were started, and what those say that were."
            )

    def _comes(self, rank: int, deadline: float) -> bool:
        from torch.distributed import DistNetworkError

        left = max(0.001, deadline - time.monotonic())
        try:
            self._store.wait([f"{self._prefix}/host/{rank}"], timedelta(seconds=left))
        except DistNetworkError as error:
            raise UserError(_ENDED.format(rank=0, world=self.place.world)) from error
        except RuntimeError:
            return False
        return True

    def _settle(self) -> None:
        """Have the first process, which may hold the store, wait until all have read what they need of it."""
        self._tell(f"settled/{self.place.rank}", "yes")
        if self.place.rank == 0:
            for rank in range(self.place.world):
                self._told(f"settled/{rank}", rank)

    def _tell(self, key: str, value: str) -> None:
        self._store.set(f"{self._prefix}/{key}", value)

    def _told(self, key: str, by: int) -> str:
        """What the process `by` tells under that key, waited for.

        Raises:
            UserError: it says nothing within the limit, or the store is gone with the process that held it.
        """
        try:
            return bytes(self._store.get(f"{self._prefix}/{key}")).decode()
        except RuntimeError as error:
            raise UserError(_ENDED.format(rank=by, world=self.place.world)) from error

    def _host(self, rank: int) -> str:
        return self._told(f"host/{rank}", rank)

    def _named(self, ranks: list[int]) -> str:
        return " and ".join(f"process {rank} on {self._host(rank)}" for rank in ranks)

    def _write_token(self, folder: Path) -> str:
        token = folder / f".seen-by-all-{secrets.token_hex(8)}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            token.touch()
        except OSError:
            self._tell("token", "")
            raise
        return str(token)

    def _beat(self, store: TCPStore, ended: threading.Event) -> None:
        """Count up in the store, in a thread of its own with a connection of its own."""
        from torch.distributed import DistError

        while not ended.wait(_BEAT):
            try:
                store.add(f"{self._prefix}/beat/{self.place.rank}", 1)
            except DistError:  # the first process is gone, and whoever waits for it will say so
                return

    def _why_lost(self, message: str) -> str | None:
        """Which process is lost, in a phrase; None where all are well and the failure is this process's own."""
        world = self.place.world
        still = self._asked_in_time()
        if still is None:  # the first process held the store, if no launcher did
            return None if self.place.rank == 0 else f"Of the {world} processes, process 0 {_SILENT}"
        if still:
            named = " and ".join(f"process {rank} on {host}" for rank, host in still.items())
            return f"Of the {world} processes, {named} {_SILENT}"
        if "timed out" in message.lower():
            return (
                f"Process {self.place.rank} of {world} waited {_words(self.limit)} (trainer.timeout_minutes) for the "
                "others, which are alive but still at work; give them more minutes"
            )
        return None

    def _asked_in_time(self) -> dict[int, str] | None:
        """The processes that give no sign of life, and their machines; None where the store does not answer."""
        answers: list[dict[int, str]] = []

        def ask() -> None:
            with contextlib.suppress(RuntimeError, UserError):
                answers.append(self._silent())

        asking = threading.Thread(target=ask, daemon=True)  # a store whose process is stopped never answers
        asking.start()
        asking.join(10 * _BEAT)
        return answers[0] if answers else None

    def _silent(self) -> dict[int, str]:
        others = [rank for rank in range(self.place.world) if rank != self.place.rank]
        before = {rank: self._beats(rank) for rank in others}
        time.sleep(3 * _BEAT)
        still = [rank for rank in others if self._beats(rank) == before[rank]]
        return {rank: self._host(rank) for rank in still}

    def _beats(self, rank: int) -> int:
        return self._store.add(f"{self._prefix}/beat/{rank}", 0)


def _appears(file: Path) -> bool:
    """Whether the file is there within some seconds: network file systems take their time."""
    deadline = time.monotonic() + _SEEN_WITHIN
    while not file.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _words(limit: timedelta) -> str:
    seconds = limit.total_seconds()
    return f"{seconds / 60:.3g} minutes" if seconds >= 60 else f"{seconds:.3g} seconds"


def _processes(ranks: list[int]) -> str:
    numbers = ", ".join(map(str, ranks))
    return f"Process {numbers}" if len(ranks) == 1 else f"Processes {numbers}"
