"""Limpid: image-restoration experiments in which every row of every table is one override.

`limpid.restore(image, "wmcp")` restores an image of any kind. `limpid.build("ffa_net")` gives any network or prior by
its name, `limpid.load("rfd_student")` one with trained weights, `limpid.model("rfd_student")` the LightningModule that
trains it. `limpid.run(["+rfd/table5=student"])` does a run, `limpid.results("rfd/table5")` is a data frame of what
papers print and what was measured; `limpid.metrics` scores images; the command `limpid` does the rest.

Importing this package imports neither torch nor Hydra.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

__all__ = ["__version__", "build", "load", "model", "restore", "results", "run"]


def __getattr__(name: str) -> Any:
    """Import each of these only when it is asked for, so that `limpid --help` stays instant."""
    if name == "build":
        from limpid.config.registry import build

        return build
    if name == "load":
        from limpid.checkpoint import trained

        return trained
    if name == "restore":
        from limpid.restoration import restore

        return restore
    if name == "run":
        from limpid.runs.runner import run

        return run
    if name == "results":
        import importlib

        return importlib.import_module("limpid.results")  # the package itself can be called
    if name == "model":
        from limpid.models.build import model

        return model
    raise AttributeError(f"module 'limpid' has no attribute {name!r}")
