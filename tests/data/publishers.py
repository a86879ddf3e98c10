"""Tiny pictures and sets for the tests of data: every file's pixels follow from its name, so that none is mistaken."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from limpid.config import instantiate
from limpid.paths import shipped


def pixels(name: str, height: int = 16, width: int = 20) -> np.ndarray[Any, Any]:
    """Random 8-bit RGB, seeded by the name."""
    return np.random.default_rng(zlib.crc32(name.encode())).integers(0, 256, (height, width, 3), np.uint8)


def write(path: Path, image: np.ndarray[Any, Any]) -> None:
    """Encode an RGB, RGBA or grey image by the path's suffix; JPEG at its best, which is still lossy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = image if image.ndim == 2 else image[..., [2, 1, 0, 3][: image.shape[2]]]
    full_colour = [
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        cv2.IMWRITE_JPEG_QUALITY,
        100,
    ]
    options = full_colour if path.suffix in (".jpg", ".jpeg") else []
    path.write_bytes(cv2.imencode(path.suffix, colour, options)[1].tobytes())


def picture(root: Path, name: str, height: int = 16, width: int = 20) -> np.ndarray[Any, Any]:
    """Write the picture of that name below the root."""
    image = pixels(name, height, width)
    write(root / name, image)
    return image


def plain_card(name: str) -> dict[str, Any]:
    """What a card in conf/dataset says, with what it takes from another; sets inside a set are left out."""
    own = yaml.safe_load((shipped("conf") / "dataset" / f"{name}.yaml").read_text(encoding="utf-8"))
    taken: dict[str, Any] = {}
    for entry in own.pop("defaults", ()):
        if entry != "_self_" and "@" not in entry:
            taken |= plain_card(entry)
    return taken | own


def card(name: str, root: Path, /, **changes: Any) -> Any:
    """The set of a card in conf/dataset."""
    plain = plain_card(name) | {"root": str(root)} | changes
    instantiate.check(plain, name)
    return instantiate.construct(plain, name)
