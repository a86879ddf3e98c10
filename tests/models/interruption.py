"""A run that a power cut ends, and the same command again: what every system must survive."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.specs import spec_of

from limpid import checkpoint
from limpid.models import Restorer
from limpid.runs.runner import perform


class Killed(Exception):
    """Stands for a power cut."""


def interrupted(place: str, folder: Path, system: type[Restorer], at: int, *settings: str) -> dict[str, Any]:
    """Train the row `place` once as it is, and once with a power cut in batch `at`; both must end alike.

    Weights and scores are compared to the bit, curves to the letter.

    Returns:
        The checkpoint that was there after the power cut, and both last ones: `cut`, `whole`, `killed`.
    """
    config = spec_of(place, folder / "killed", *settings)
    whole = perform(dataclasses.replace(copy.deepcopy(config), directory=folder / "whole"))
    original = system.training_step

    def dies(self: Restorer, batch: Any, batch_idx: int) -> Any:
        if batch_idx == at:
            raise Killed
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "training_step", dies)
        with pytest.raises(Killed):
            perform(config)
    cut = checkpoint.read(folder / "killed" / "checkpoints" / "last.ckpt")
    assert perform(config).metrics == whole.metrics
    ends = {run: checkpoint.read(folder / run / "checkpoints" / "last.ckpt") for run in ("whole", "killed")}
    first, second = (ends[run]["state_dict"] for run in ends)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    curves = [(folder / run / "curves.csv").read_text() for run in ends]
    assert curves[0] == curves[1]
    return {"cut": cut, **ends}


def parts(state: dict[str, Any]) -> set[str]:
    """The first words of the names of what a checkpoint holds."""
    return {name.split(".")[0] for name in state["state_dict"]}
