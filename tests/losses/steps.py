"""Training steps for terms of a loss, made of what a test has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from limpid.losses import Step


def step(output: Any, batch: Mapping[str, Any]) -> Step:
    """A step with `output`, and with `batch` as its other attributes; without an input it has an empty one."""
    given = {"input": torch.empty(0), "target": None, **batch}
    return Step(output=output, **given)
