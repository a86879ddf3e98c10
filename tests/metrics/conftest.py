"""What the metrics' tests share: LIVE's parameters, and photographs as tensors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.io import imread
from torch import Tensor

from tests.conftest import ROOT


def tensor(image: np.ndarray[Any, Any]) -> Tensor:
    """`(1, C, H, W)` uint8 of an image `(H, W, 3)` or `(H, W)`."""
    image = image if image.ndim == 3 else image[..., None]
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]


def photograph(path: Path) -> Tensor:
    """The image in a file, as `tensor`."""
    if not path.is_file():
        pytest.skip(f"needs {path.name}, which may not be redistributed")
    return tensor(imread(path))


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of LIVE's parameter files; tests that need it are skipped elsewhere."""
    folder = Path(os.environ.get("LIMPID_PARAMS") or ROOT.parent / "shared" / "params")
    if not (folder / "niqe_live" / "modelparameters.mat").is_file():
        pytest.skip("needs LIVE's parameter files: set LIMPID_PARAMS to a folder that holds niqe_live/")
    monkeypatch.setenv("LIMPID_PARAMS", str(folder.resolve()))
    return folder.resolve()
