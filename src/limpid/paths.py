"""Where things lie: the configs and experiments of a checkout or a wheel, the run store, the data root."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

_PACKAGE = Path(__file__).resolve().parent


def shipped(kind: str) -> Path:
    """The folder `conf` or `experiments` that comes with Limpid: the checkout's if there is one, else the wheel's."""
    checkout = _PACKAGE.parents[1] / kind
    return checkout if (checkout.parent / "pyproject.toml").is_file() and checkout.is_dir() else _PACKAGE / kind


def config_folders(kind: str) -> list[Path]:
    """Every folder `kind` is looked for in, the user's own (in the current directory) first."""
    own, ours = Path.cwd() / kind, shipped(kind)
    return [own, ours] if own.is_dir() and own.resolve() != ours.resolve() else [ours]


def leads_out(path: str) -> bool:
    """Whether `path` is absolute, or leads above the folder that it begins in."""
    pure = PurePath(os.path.normpath(path))
    return pure.is_absolute() or pure.parts[:1] == (os.pardir,)


def runs() -> Path:
    """The run store: `LIMPID_RUNS`, by default `runs` in the current directory."""
    return Path(os.environ.get("LIMPID_RUNS") or "runs")
