"""A training whose last checkpoint is damaged goes on from the one before it, and ends with the same bits."""

from __future__ import annotations

import copy
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.specs import spec_of

from limpid import checkpoint
from limpid.errors import UserError
from limpid.models import Restorer
from limpid.runs.runner import perform
from limpid.runs.spec import RunSpec

_SMALL = (
    *("trainer.max_steps=6", "callbacks.checkpoint.every=2", "trainer.val_check_interval=6", "log_every=1"),
    *("data.val.clean.count=1", "data.test.scenes.clean.count=1", "data.batch_size=1"),
)


@dataclasses.dataclass(frozen=True)
class _Interrupted:
    """A run that ended in its sixth step, and the same run whole."""

    spec: RunSpec
    folder: Path
    whole: Path

    def copied(self, folder: Path) -> RunSpec:
        """The interrupted run in another folder."""
        shutil.copytree(self.folder, folder)
        return dataclasses.replace(copy.deepcopy(self.spec), directory=folder)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> _Interrupted:
    folder = tmp_path_factory.mktemp("runs")
    spec = spec_of("aod_net", folder / "cut", *_SMALL)
    perform(dataclasses.replace(copy.deepcopy(spec), directory=folder / "whole"))
    original = Restorer.training_step

    def dies(self: Restorer, batch: Any, batch_idx: int) -> Any:
        if batch_idx == 5:
            raise KeyboardInterrupt
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Restorer, "training_step", dies)
        with pytest.raises(KeyboardInterrupt):
            perform(copy.deepcopy(spec))
    return _Interrupted(spec, folder / "cut", folder / "whole")


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _rewritten(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A change of the content, written as a whole file of whose sha256 nothing is known."""

    def apply(file: Path) -> None:
        content = torch.load(file, weights_only=True)
        change(content)
        torch.save(content, file)
        file.with_name(checkpoint.RECORD).unlink()

    return apply


def _other_weights(file: Path) -> None:
    content = torch.load(file, weights_only=True)
    content["state_dict"]["network.conv1.bias"] += 1e-3
    torch.save(content, file)


_DAMAGE: dict[str, Callable[[Path], None]] = {
    "a flipped bit": _flip,
    "cut": lambda file: file.write_bytes(file.read_bytes()[:1000]),  # type: ignore[dict-item, return-value]
    "empty": lambda file: file.write_bytes(b""),  # type: ignore[dict-item, return-value]
    "other weights in a whole file": _other_weights,
    "weights that are no numbers": _rewritten(lambda c: c["state_dict"]["network.conv1.bias"].fill_(float("nan"))),
    "loops of another type": _rewritten(lambda c: c["loops"].update(fit_loop=5)),
    "no optimizers": _rewritten(lambda c: c.update(optimizer_states=None)),
    "moments that are text": _rewritten(lambda c: c["optimizer_states"][0]["state"].update({0: "x"})),
}


@pytest.mark.parametrize("damage", _DAMAGE)
def test_it_goes_on_from_the_one_before_and_says_so(
    damage: str, interrupted: _Interrupted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = interrupted.copied(tmp_path / "run")
    last = spec.directory / "checkpoints" / "last.ckpt"
    _DAMAGE[damage](last)
    capsys.readouterr()
    perform(spec)
    told = capsys.readouterr().err
    assert f"The checkpoint {last} cannot be used (" in told
    assert f"; continues from {checkpoint.previous(last)} after 2 steps." in told
    for name in ("last.ckpt", "best.ckpt"):
        states = [
            checkpoint.read(run / "checkpoints" / name)["state_dict"] for run in (interrupted.whole, spec.directory)
        ]
        assert all(torch.equal(value, states[1][key]) for key, value in states[0].items()), name
    for name in ("curves.csv", "per_image.csv"):
        assert (spec.directory / name).read_bytes() == (interrupted.whole / name).read_bytes()


def test_without_a_whole_one_it_is_refused_and_nothing_is_lost(interrupted: _Interrupted, tmp_path: Path) -> None:
    spec = interrupted.copied(tmp_path / "run")
    folder = spec.directory / "checkpoints"
    for name in ("last.ckpt", "last.previous.ckpt"):
        _flip(folder / name)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(UserError, match=r"last.ckpt cannot be used \(.*\), and there is no whole one.*rerun=true"):
        perform(spec)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
