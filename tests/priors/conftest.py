"""Images for the priors' tests: a small made one, and real ones where they are at hand."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(scope="session")
def data_root() -> Path:
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    root = Path(os.environ.get("LIMPID_DATA", beside))
    if not root.is_dir():
        pytest.skip("no real images: LIMPID_DATA is not set")
    return root


@pytest.fixture(scope="session")
def photograph(data_root: Path) -> Callable[[str], torch.Tensor]:
    """Reads an image file below the data root as `(3, H, W)` in [0, 1]."""

    def read(name: str) -> torch.Tensor:
        file = data_root / name
        if not file.is_file():
            pytest.skip(f"{name} is not among the real images")
        return torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1).float() / 255

    return read


@pytest.fixture
def scene() -> torch.Tensor:
    """A made hazy image `(3, 37, 46)`: random boxes of colour seen through haze that thickens upwards."""
    generator = torch.Generator().manual_seed(3)
    colours = torch.rand(3, 5, 6, generator=generator)
    clear = colours.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, :37, :46]
    clear = (clear + 0.05 * torch.randn(clear.shape, generator=generator)).clamp(0, 1)
    transmission = torch.linspace(0.2, 0.9, 37).view(1, 37, 1)
    airlight = torch.tensor([0.85, 0.9, 0.95]).view(3, 1, 1)
    return clear * transmission + airlight * (1 - transmission)


@pytest.fixture
def synthetic() -> Callable[[tuple[float, float, float]], torch.Tensor]:
    """Makes the hazy image `(3, 40, 48)` of an airlight for which the values of other implementations are known."""

    def make(airlight: tuple[float, float, float]) -> torch.Tensor:
        y, x = np.mgrid[:40, :48]
        clear = np.stack(
            [
                0.15 + 0.07 * ((7 * x + 3 * y) % 11),
                0.15 + 0.7 * ((5 * x + 2 * y) % 13) / 12,
                0.15 + 0.7 * ((3 * x + 8 * y) % 9) / 8,
            ]
        )
        transmission = np.exp(-1.2 * (x + y) / 86)
        hazy = clear * transmission + np.reshape(airlight, (3, 1, 1)) * (1 - transmission)
        levels = np.floor(255 * hazy + 0.5).astype(np.uint8)
        return torch.from_numpy(levels).float() / 255

    return make


@pytest.fixture(scope="session")
def sandy() -> torch.Tensor:
    """The made image `(3, 120, 160)` of 8 bit for which the results of other implementations are known."""
    y, x = np.mgrid[:120, :160].astype(float)
    light = 0.5 + 0.22 * np.sin(0.06 * x + 0.03 * y) + 0.12 * np.cos(0.11 * y - 0.02 * x)
    light += 0.08 * np.sin(0.5 * x) * np.cos(0.4 * y)
    colours = np.stack([0.95 * light + 0.10, 0.75 * light + 0.08, 0.45 * light + 0.06])
    levels = np.floor(255 * colours.clip(0, 1) + 0.5)
    assert levels.mean((1, 2)) == pytest.approx([145.22125, 114.918125, 72.011198], abs=1e-6)
    return torch.from_numpy(levels).float() / 255
