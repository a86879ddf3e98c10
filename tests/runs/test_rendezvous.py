"""How processes meet: who does not come, who does not see the store, who is lost; each is a thread here."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from lightning.pytorch.strategies import DDPStrategy

from limpid.config import instantiate
from limpid.errors import UserError
from limpid.runs import rendezvous
from limpid.runs.distributed import Place
from limpid.runs.processes import ProcessFailed
from limpid.runs.rendezvous import Rendezvous
from limpid.runs.trainer import Trainer

LONG, SHORT = timedelta(seconds=60), timedelta(seconds=0.5)


@pytest.fixture(autouse=True)
def first_meeting(monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes of their own, all count their meetings alike."""
    monkeypatch.setattr(rendezvous, "_MEETINGS", iter([0] * 9))
    monkeypatch.setattr(rendezvous, "_BEAT", 0.1)
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)


def port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def both_met() -> list[Rendezvous]:
    at = port()
    with ThreadPoolExecutor(2) as pool:
        coming = [pool.submit(Rendezvous, Place(rank, 2), "127.0.0.1", at, LONG) for rank in range(2)]
        return [one.result() for one in coming]


def test_who_does_not_come_is_named_with_the_limit() -> None:
    with pytest.raises(UserError, match=r"^Processes 1, 2 of 3 did not come within 0.5 seconds \(trainer.timeout_min"):
        Rendezvous(Place(0, 3), "127.0.0.1", port(), SHORT)


def test_a_machine_that_is_not_found_and_a_port_that_is_taken_are_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listening:
        listening.bind(("", 0))
        listening.listen()
        taken = listening.getsockname()[1]
        with pytest.raises(UserError, match=f"^Port {taken} of .* is taken, .* set MASTER_PORT to a free one"):
            Rendezvous(Place(0, 2), "127.0.0.1", taken, SHORT)
    with pytest.raises(
        UserError, match=r"^Process 1 of 2 on .* did not reach the first process at 127.0.0.1:.* 0.5 sec"
    ):
        Rendezvous(Place(1, 2), "127.0.0.1", port(), SHORT)
    with pytest.raises(
        UserError, match=r"^The machine 'a\.\.b', on which the first process should run, cannot be found"
    ):
        Rendezvous(Place(1, 2), "a..b", 1, SHORT)


def test_a_store_that_one_process_does_not_see_is_told_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shared(meeting: Rendezvous) -> str:
        try:
            meeting.require_shared(tmp_path / "runs")
        except UserError as error:
            return str(error)
        return "shared"

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(shared, both_met())) == ["shared"] * 2
        monkeypatch.setattr(rendezvous, "_appears", lambda file: False)
        host = socket.gethostname()
        assert set(pool.map(shared, both_met())) == {
            f"The run store {tmp_path / 'runs'} of process 0 on {host} is not there for process 1 on {host}; choose a "
            "folder that all machines share (LIMPID_RUNS=FOLDER), or run on one machine with trainer=ddp."
        }
    assert list((tmp_path / "runs").iterdir()) == []


def test_who_gives_no_sign_of_life_is_named_and_who_is_well_is_not() -> None:
    first, second = both_met()
    lost = pytest.raises(
        ProcessFailed, match=r"^Of the 2 processes, process 1 on .* gave no sign of life for three seconds: end"
    )
    with lost, first.watched():
        raise RuntimeError("Connection closed by peer [127.0.0.1]:1234")
    with second.watched():  # process 1 is well, so that the error is this process's own
        with pytest.raises(RuntimeError, match="^an error of the first one's own"), first.watched():
            raise RuntimeError("an error of the first one's own")
        late = pytest.raises(
            ProcessFailed, match=r"waited 1 minutes .* for the others, which are alive but still at wo"
        )
        with late, first.watched():
            raise RuntimeError("Timed out waiting 60000ms for recv operation to complete")


@pytest.mark.filterwarnings("ignore:.*srun.*")
def test_the_limit_reaches_the_strategy_and_is_a_time() -> None:
    made = Trainer(accelerator="cpu", devices=2, strategy="ddp_find_unused_parameters_true", timeout_minutes=1.5)
    assert isinstance(made.strategy, DDPStrategy)
    assert made.strategy._timeout == timedelta(seconds=90)
    assert made.strategy._ddp_kwargs == {"find_unused_parameters": True}
    for wrong in (0, -1, float("nan"), float("inf"), 1e9, True, "10"):
        with pytest.raises(UserError, match=r"^trainer\.timeout_minutes is .*, but it must be "):
            instantiate.check({"_target_": "limpid.runs.trainer.Trainer", "timeout_minutes": wrong}, "trainer")
