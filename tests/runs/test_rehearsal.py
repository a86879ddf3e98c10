"""What fails at the first step is put down to the settings that were typed, and to nothing else than those."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tests.specs import words
from torch.utils.data import DataLoader, Dataset

from limpid.errors import UserError
from limpid.runs.interruption import Interrupted
from limpid.runs.processes import ProcessFailed
from limpid.runs.rehearsal import first_step_explained
from limpid.runs.resolve import resolve
from limpid.runs.runner import Runner
from limpid.runs.spec import RunSpec
from limpid.store.run_directory import Run

TYPED = "network.groups=2"


@pytest.fixture(scope="module")
def composed() -> RunSpec:
    return resolve(words("rfd/table5/student", "data=scenes", TYPED))


@pytest.fixture
def spec(composed: RunSpec, tmp_path: Path) -> RunSpec:
    return dataclasses.replace(composed, directory=tmp_path)


def said(spec: RunSpec, do: Callable[[], object]) -> str:
    with pytest.raises(UserError) as raised, first_step_explained(spec, Run(spec.directory)):
        do()
    return str(raised.value)


def fail() -> None:
    raise RuntimeError("sizes of\n tensors do not match.")


def test_the_reason_and_the_typed_settings_are_told(spec: RunSpec) -> None:
    sentence = said(spec, fail)
    assert sentence.startswith("The run fails at its first step (sizes of tensors do not match); change what ")
    assert TYPED in sentence
    assert "rfd" not in sentence, "a row is no setting"
    assert said(dataclasses.replace(spec, mode="test"), fail).startswith("The run fails while it tests (sizes of")


@pytest.mark.parametrize("case", ["nothing typed", "a step done", "a lost process"])
def test_what_the_settings_do_not_explain_passes(spec: RunSpec, case: str) -> None:
    error: RuntimeError = ProcessFailed("process 1 is lost") if case == "a lost process" else RuntimeError("ours")
    if case == "nothing typed":
        spec = dataclasses.replace(spec, overrides=("+rfd/table5=student",))
    if case == "a step done":
        Run(spec.directory).progress(1, 4)
    with pytest.raises(RuntimeError) as raised, first_step_explained(spec, Run(spec.directory)):
        raise error
    assert raised.value is error


class Broken(Dataset[int]):
    """Images that cannot be read."""

    def __getitem__(self, index: int) -> int:
        raise ValueError(f"image {index} is of no use.")


def load() -> object:
    return next(iter(DataLoader(Broken(), sampler=[4], num_workers=1)))


def test_of_a_data_loading_process_only_the_reason_is_told(spec: RunSpec) -> None:
    assert said(spec, load).startswith("The run fails at its first step (image 4 is of no use); change what ")


def test_classes_of_ones_own_keep_their_tracebacks(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ModuleType("my_networks.unet")
    exec("def forward():\n    raise ValueError('mine')", own.__dict__)
    monkeypatch.setitem(sys.modules, "my_networks.unet", own)
    assert "(mine)" in said(spec, own.forward)
    trusted = dataclasses.replace(spec, config={**spec.config, "allow_targets": ["my_networks"]})
    for do, text in ((own.forward, "^mine$"), (load, "Original Traceback")):
        with pytest.raises(ValueError, match=text), first_step_explained(trusted, Run(spec.directory)):
            do()
    assert "sizes of tensors" in said(trusted, fail), "its own code was not at work"


class Meeting:
    """Processes of which one is lost."""

    @contextmanager
    def watched(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise ProcessFailed("Of the 2 processes, process 1 is gone.") from error


def test_a_lost_process_and_a_dead_loader_are_not_put_down_to_the_settings(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limpid.runs.interruption._MOMENT", 0.0)
    progress = SimpleNamespace(total=SimpleNamespace(completed=0))
    trainer: Any = SimpleNamespace(fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)))
    runner = Runner(spec)

    def die() -> None:
        raise RuntimeError("DataLoader worker (pid 7531) is killed by signal: Killed. ")

    with pytest.raises(Interrupted, match="A data-loading process"):
        runner._in_company(trainer, die)
    with pytest.raises(UserError, match="sizes of tensors do not match"):
        runner._in_company(trainer, fail)
    runner.meeting = Meeting()  # type: ignore[assignment]
    with pytest.raises(ProcessFailed, match="process 1 is gone"):
        runner._in_company(trainer, fail)
