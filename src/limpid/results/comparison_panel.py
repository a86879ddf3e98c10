"""Panels: what belongs to one image side by side in one PNG, which names its columns itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from limpid.results.contact_sheet import Pixels, side_by_side
from limpid.store.atomic_io import atomic_write

#: The text entry of the PNG that holds the columns' names.
_COLUMNS = "Columns"


class Panel(NamedTuple):
    """One picture of columns of equal width.

    Attributes:
        columns: their names from left to right: ``input``, ``restored``, ``target`` where there is one, then maps.
        pixels: `(H, columns * W, 3)`, 8-bit RGB.
    """

    columns: tuple[str, ...]
    pixels: NDArray[np.uint8]

    @property
    def caption(self) -> str:
        """The names in one line."""
        return " | ".join(self.columns)


def panel(columns: Mapping[str, Pixels]) -> Panel:
    """The panel of named pictures, each `(H, W, 3)` in [0, 1], all of one size (halves round up to 8 bit)."""
    return Panel(tuple(columns), np.asarray(side_by_side(list(columns.values()))))


def write_panel(path: Path, made: Panel) -> None:
    """Write the PNG, see `atomic_write`."""
    text = PngImagePlugin.PngInfo()
    text.add_text(_COLUMNS, ",".join(made.columns))
    with atomic_write(path) as file:
        Image.fromarray(made.pixels).save(file, "PNG", pnginfo=text, compress_level=1)


def read_panel(path: Path) -> Panel:
    """The panel in the PNG at `path`; a picture that names no columns is taken for one column without a name."""
    with Image.open(path) as picture:
        text: dict[str, str] = getattr(picture, "text", {})
        return Panel(tuple(text.get(_COLUMNS, "").split(",")), np.asarray(picture.convert("RGB")))
