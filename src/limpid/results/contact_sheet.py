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

_GAP, _LABEL = 6, 18  # pixels between pictures, and the height of a line of letters
_LONGEST = 65500  # pixels that a side of a JPEG can have, and a margin
_PROCESSED_BY = 11  # the EXIF tag ProcessingSoftware


class ContactSheet:
    """One picture of many rows `name: pictures side by side`, made as the pictures come.

    Args:
        width: of each small picture in pixels.
    """

    def __init__(self, width: int = 240) -> None:
        self.width = width
        self._cells: list[Image.Image] = []

    def __len__(self) -> int:
        return len(self._cells)

    def add(self, name: str, pictures: Sequence[Pixels | Image.Image], labels: Sequence[str] = ()) -> None:
        """Add `pictures` under `name`.

        Args:
            name: of the row, cut at its beginning where it is longer than the row.
            pictures: each `(H, W, 3)` in [0, 1], or a picture of 8 bits.
            labels: a word for each picture, such as ``input`` or the name of a method.
        """
        small = [_fit(picture, self.width) for picture in pictures]
        height = max(picture.height for picture in small)
        lines = 2 if labels else 1
        cell = Image.new("RGB", (len(small) * (self.width + _GAP) - _GAP, height + lines * _LABEL), "white")
        draw, font = ImageDraw.Draw(cell), ImageFont.load_default(12)
        for i, picture in enumerate(small):
            cell.paste(picture, (i * (self.width + _GAP), 0))
        for i, label in enumerate(labels):
            draw.text((i * (self.width + _GAP), height + 2), _cut(label, self.width, font), "dimgrey", font)
        draw.text((0, cell.height - _LABEL + 2), _cut(name, cell.width, font), "black", font)
        self._cells.append(cell)

    def write(self, path: Path, processed_by: str | None = None) -> None:
        """Write the sheet as a JPEG, about as wide as high; each cell goes where a column is shortest.

        Args:
            path: where to.
            processed_by: what made it, for its EXIF block.
        """
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
        write_jpeg(path, sheet, processed_by=processed_by)


def side_by_side(pictures: Sequence[Pixels]) -> Image.Image:
    """Pictures `(H, W, 3)` in [0, 1] of one height, next to each other."""
    return picture_of(np.concatenate(pictures, axis=1))


def comparison(pictures: Sequence[Image.Image], labels: Sequence[str]) -> Image.Image:
    """Pictures of one height next to each other, each over its label; smaller where a JPEG could not hold them."""
    width, height = sum(picture.width for picture in pictures), max(picture.height for picture in pictures)
    share = min(1.0, _LONGEST / width, (_LONGEST - _LABEL) / height)
    if share < 1:
        sizes = [(max(1, int(one.width * share)), max(1, int(one.height * share))) for one in pictures]
        pictures = [one.resize(size, Image.Resampling.BOX) for one, size in zip(pictures, sizes, strict=True)]
        width, height = sum(picture.width for picture in pictures), max(picture.height for picture in pictures)
    whole = Image.new("RGB", (width, height + _LABEL), "white")
    draw, font, left = ImageDraw.Draw(whole), ImageFont.load_default(12), 0
    for picture, label in zip(pictures, labels, strict=True):
        whole.paste(picture, (left, 0))
        draw.text((left, height + 2), _cut(label, picture.width, font), "black", font)
        left += picture.width
    return whole


def write_jpeg(path: Path, picture: Image.Image, quality: int = 90, processed_by: str | None = None) -> None:
    """Write `picture` as a JPEG, see `atomic_write`; its EXIF block says what made it."""
    exif = Image.Exif()
    if processed_by is not None:
        exif[_PROCESSED_BY] = processed_by
    with atomic_write(path) as file:
        picture.save(file, "JPEG", quality=quality, exif=exif)


def picture_of(pixels: Pixels) -> Image.Image:
    """The picture of 8 bits of `(H, W, 3)` RGB in [0, 1]; row by row, to need little memory."""
    samples = np.empty(pixels.shape, np.uint8)
    for row, line in zip(samples, pixels, strict=True):
        row[...] = np.floor(np.clip(line, 0, 1) * np.float32(255) + np.float32(0.5))
    return Image.fromarray(samples)


def _fit(picture: Pixels | Image.Image, width: int) -> Image.Image:
    """The picture at most `width` pixels wide and one and a half times as high."""
    # Thinned out first: a sheet needs no more than a few samples per pixel of it.
    if isinstance(picture, Image.Image):
        small = picture.reduce(max(1, picture.width // (4 * width))) if picture.width >= 8 * width else picture.copy()
    else:
        stride = max(1, picture.shape[1] // (4 * width))
        small = picture_of(picture[::stride, ::stride])
    small.thumbnail((width, width * 3 // 2), Image.Resampling.BOX)
    return small


def _cut(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """`text`, or as much of its end as is `width` pixels wide."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"...{text}") > width:
        text = text[max(1, len(text) // 16) :]
    return f"...{text}"
