"""Damaged checkpoint files: a sentence, or the values that are in them."""

from __future__ import annotations

import random
import tempfile
from functools import cache
from pathlib import Path

import torch

from limpid import checkpoint
from tests.checkpoint_mutations import mutated
from tests.fuzz.commands import ran
from tests.test_damaged_checkpoint_files import content

#: Mutations of one case.
_FILES = 6


def checkpoints(chance: random.Random, folder: Path) -> str:
    """How `limpid profile ckpt=FILE` and `limpid zoo import` end for some mutations of a small network's checkpoint."""
    words = []
    for number, (_, path) in enumerate(mutated(_whole(), chance.randrange(10**9), folder)):
        if number == _FILES:
            break
        asked = ["profile", "model=aod_net", f"ckpt={path}", "image_size=[16,16]", "repeats=1", "device=cpu"]
        if chance.random() < 0.4:
            asked = ["zoo", "import", "aod_net", str(path), "--name", f"imported_{number}", "--to", str(folder / "zoo")]
        words.append(ran(asked, folder).word)
    return "refused" if "refused" in words else "done"


@cache
def _whole() -> Path:
    """The checkpoint of a small network with weights drawn from a seed."""
    torch.manual_seed(0)
    file = Path(tempfile.mkdtemp(prefix="limpid-fuzz-")) / "whole.ckpt"
    checkpoint.save(content(), file)
    return file
