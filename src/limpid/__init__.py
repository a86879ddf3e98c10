"""Limpid: image-restoration experiments in which every row of every table is one override.

`limpid.build("ffa_net")` gives any network or prior by its name, `limpid.load("rfd_student")` one with trained weights,
`limpid.model("rfd_student")` the LightningModule that trains it;
`limpid.metrics` scores images; the command `limpid` does the rest. Importing this package imports neither torch nor
Hydra.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

__all__ = ["__version__", "build", "load", "model"]


def __getattr__(name: str) -> Any:
    """Import `build`, `load` and `model` only when they are asked for, so that `limpid --help` stays instant."""
    if name == "build":
        from limpid.config.registry import build

        return build
    if name == "load":
        from limpid.checkpoint import trained

        return trained
    if name == "model":
        from limpid.models.build import model

        return model
    raise AttributeError(f"module 'limpid' has no attribute {name!r}")
