"""Pictures for looking: input and result side by side, and sheets of many pairs with their names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from limpid.store.atomic_io import atomic_write

Pixels = NDArray[np.float32]

_GAP, _LABEL = 6, 18  # pixels between pictures, and the height of a name


class ContactSheet:
    """One picture of many rows `name: pictures side by side`, made as the pictures come.

    Args:
        width: of each small picture in pixels.
    """

    def __init__(self, width: int = 240) -> None:
        self.width = width
        self._cells: list[Image.Image] = []

    def add(self, name: str, pictures: Sequence[Pixels]) -> None:
        """Add `pictures`, each `(H, W, 3)` in [0, 1], under `name`."""
        small = [_fit(picture, self.width) for picture in pictures]
        height = max(picture.height for picture in small)
        cell = Image.new("RGB", (len(small) * (self.width + _GAP) - _GAP, height + _LABEL), "white")
        for i, picture in enumerate(small):
            cell.paste(picture, (i * (self.width + _GAP), 0))
        ImageDraw.Draw(cell).text((0, height + 2), name, "black", ImageFont.load_default(12))
        self._cells.append(cell)

    def write(self, path: Path) -> None:
        """Write the sheet as a JPEG, about as wide as high; each cell goes where a column is shortest."""
        widest = max(cell.width for cell in self._cells) + _GAP
        area = sum(widest * (cell.height + _GAP) for cell in self._cells)
        columns = min(max(1, round(math.sqrt(1.3 * area) / widest)), len(self._cells))
        bottoms = [_GAP] * columns
        places = []
        for cell in self._cells:
            column = bottoms.index(min(bottoms))
            places.append((_GAP + column * widest, bottoms[column]))
            bottoms[column] += cell.height + _GAP
        sheet = Image.new("RGB", (columns * widest + _GAP, max(bottoms)), "white")
        for cell, place in zip(self._cells, places, strict=True):
            sheet.paste(cell, place)
        write_jpeg(path, sheet)


def side_by_side(pictures: Sequence[Pixels]) -> Image.Image:
    """Pictures `(H, W, 3)` in [0, 1] of one height, next to each other."""
    return _picture(np.concatenate(pictures, axis=1))


def write_jpeg(path: Path, picture: Image.Image, quality: int = 90) -> None:
    """Write `picture` as a JPEG, see `atomic_write`."""
    with atomic_write(path) as file:
        picture.save(file, "JPEG", quality=quality)


def _picture(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.floor(np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))


def _fit(pixels: Pixels, width: int) -> Image.Image:
    """The picture at most `width` pixels wide and one and a half times as high."""
    # Thinned out first: a sheet needs no more than a few samples per pixel of it.
    stride = max(1, pixels.shape[1] // (4 * width))
    picture = _picture(pixels[::stride, ::stride])
    picture.thumbnail((width, width * 3 // 2), Image.Resampling.BOX)
    return picture
