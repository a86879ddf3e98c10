"""Pairs, loaders and Trainers as a user of Lightning has them: nothing of Limpid's own but the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset


def pairs(count: int = 6, side: int = 24) -> TensorDataset:
    """`count` pairs of a degraded and a clear image."""
    generator = torch.Generator().manual_seed(3)
    clear = torch.rand(count, 3, side, side, generator=generator)
    return TensorDataset(0.6 * clear + 0.3, clear)


def loader(count: int = 6, batch_size: int = 2, **settings: Any) -> DataLoader[Any]:
    """A DataLoader of tuples `(input, target)`."""
    return DataLoader(pairs(count), batch_size=batch_size, **settings)


def trainer(folder: Path, **settings: Any) -> lightning.Trainer:
    """A quiet Trainer on the CPU."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    return lightning.Trainer(**{**quiet, "default_root_dir": folder, "enable_checkpointing": False, **settings})
