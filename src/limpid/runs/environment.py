"""The environment of a run: versions, machine, the commit of a checkout; and other libraries' messages, kept off it."""

from __future__ import annotations

import logging
import os
import platform
import subprocess
import warnings
from importlib.metadata import version

import torch

from limpid import __version__
from limpid.paths import shipped

_PACKAGES = (
    "torch",
    "lightning",
    "hydra-core",
    "omegaconf",
    "torchmetrics",
    "kornia",
    "albumentations",
    "numpy",
)


def describe() -> dict[str, object]:
    """The versions, the machine and the commit, as plain values for environment.json."""
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "limpid": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "devices": devices,
    }


def _commit() -> str | None:
    """The commit of the checkout Limpid runs from, with `+` if files differ from it; None in an installed package."""
    folder = shipped("conf").parent
    if not (folder / ".git").exists():
        return None
    try:
        outputs = [
            subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return outputs[0].strip() + ("+" if outputs[1].strip() else "")


def quieten() -> None:
    """Keep other libraries' chatter off stderr; what a person needs is said by the callbacks."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*`srun` command is available on your system but is not used.*",  # `limpid.runs.distributed` knows
        ".*resuming from a checkpoint that ended before the epoch ended.*",  # our sampler does resume
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
        ".*lr_scheduler.step.*before.*optimizer.step.*",
        ".*sync_dist=True.*",  # scores are gathered before they are logged, and are the same on all processes
        ".*WeightAveraging callback with a model that overrides the configure_model.*",  # which does nothing then
    ):
        warnings.filterwarnings("ignore", message=message)
