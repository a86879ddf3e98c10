"""Malformed command lines, each with one value that a setting cannot have: a sentence, or a run that ends."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from tests.config import fuzz_values
from tests.fuzz.commands import Fault, ran
from tests.fuzz.images import every_format_once

#: Words by which what is taken ends soon.
_SHORT = {
    "train": ["trainer.max_steps=1", "data.test_images=1"],
    "test": ["data.test_images=1"],
}


def command_lines(chance: random.Random, folder: Path) -> str:
    """How one malformed command line ends.

    Raises:
        Fault: besides what `ran` finds, a command that is refused has left the folder of a run.
    """
    command, *words, malformed = chance.choice(_drawn())
    (folder / "a.png").write_bytes(every_format_once()["png"])
    short = [word for word in _SHORT.get(command, []) if word.partition("=")[0] != malformed.partition("=")[0]]
    outcome = ran([command, *words, *short, malformed], folder)
    runs = [path for path in folder.glob("runs/**/config.yaml") if ".sweeps" not in path.parts]
    if outcome.code == 2 and runs:
        raise Fault(f"refused, but {runs[0]} is left, of {malformed[:200]!r}: {outcome.err[-300:]}")
    return outcome.word


@cache
def _drawn() -> list[tuple[str, ...]]:
    return list(fuzz_values.command_lines(0))
