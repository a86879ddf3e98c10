"""Rows as tests need them: composed, and as runs in a folder of the test's own."""

from __future__ import annotations

import copy
import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

from limpid.config.compose import Composed, compose
from limpid.runs.prerequisites import fulfil
from limpid.runs.resolve import resolve
from limpid.runs.spec import RunSpec
from limpid.store.fingerprint import weighted_terms

#: What makes a run of a row small: two steps on made scenes.
SMALL = ("budget=smoke", "data=scenes", "trainer=cpu", "data.workers=0")


def words(place: str, *overrides: str) -> tuple[str, ...]:
    """The words of the command line that ask for the row `paper/table/name`, or for a model without a row."""
    if "/" not in place:  # without a row there is none to compare with, so that composing takes half as long
        return (f"model={place}", *overrides)
    paper, table, name = place.split("/")
    return (f"+{paper}/{table}={name}", *overrides)


@cache
def composed(place: str, *overrides: str) -> Composed:
    """The composed configuration of a row; shared by all tests of a process, so it is not to be changed."""
    return compose(words(place, *overrides))


def config(place: str, *overrides: str) -> dict[str, Any]:
    """The plain configuration of a row, a copy of its own."""
    return copy.deepcopy(composed(place, *overrides).config)


def terms(place: str, *overrides: str) -> dict[str, Any]:
    """The terms of a row's loss that are not switched off, as plain values."""
    loss = weighted_terms(config(place, *overrides)["loss"])
    assert loss is not None
    found: dict[str, Any] = loss["terms"]
    return found


def spec_of(place: str, folder: Path, *overrides: str) -> RunSpec:
    """A small run of a row in `folder`, its prerequisites fulfilled."""
    spec = resolve(words(place, *SMALL, *overrides))
    return dataclasses.replace(fulfil(spec, lambda needed: None), directory=folder)


def same_run(spec: RunSpec) -> RunSpec:
    """The run under a fingerprint that it shares with others, so that it goes on where they ended."""
    return dataclasses.replace(spec, fingerprint="same")


def over_again(spec: RunSpec) -> RunSpec:
    """The run with ``rerun=true``."""
    return dataclasses.replace(spec, config={**spec.config, "rerun": True})
