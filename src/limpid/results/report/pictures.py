"""A run's pictures, taken apart and written small enough for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from limpid.results.comparison_panel import read_panel
from limpid.results.report.runs import Picture

#: The longer side of a written picture is at most so many pixels.
LONGEST = 960
#: The columns of a panel that show the scene itself.
COMPARED = ("input", "restored", "target")
#: A picture of at most so many pixels is written without loss.
_LOSSLESS = 300 * 300


@dataclass(frozen=True)
class Part:
    """One image of a comparison: what it is, as its panel names it, and its file in the report."""

    what: str
    href: str


@dataclass(frozen=True)
class Comparison:
    """One picture: what the slider compares, maps besides, all of one size; or the `problem` with the file."""

    picture: Picture
    parts: Sequence[Part] = ()
    maps: Sequence[Part] = ()
    width: int = 0
    height: int = 0
    problem: str = ""


def write(picture: Picture, folder: Path, stem: str) -> Comparison:
    """Write the parts of `picture` as WebP files into `folder`/images, under names made of `stem` alone."""
    try:
        columns, pixels = read_panel(picture.file)
    except (OSError, ValueError, Image.DecompressionBombError):
        return Comparison(picture, problem=f"The picture {picture.file.name} cannot be read.")
    if columns[:2] != ("input", "restored"):
        return Comparison(picture, problem=f"The picture {picture.file.name} does not say what its columns are.")
    (folder / "images").mkdir(exist_ok=True)
    whole, written = Image.fromarray(pixels), []
    width = whole.width // len(columns)
    for i, what in enumerate(columns):
        part = whole.crop((i * width, 0, (i + 1) * width, whole.height))
        part.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        # Names of maps come from the file and are no file names.
        href = f"images/{stem}-{what if what in COMPARED else i}.webp"
        part.save(folder / href, "WEBP", quality=90, lossless=part.width * part.height <= _LOSSLESS)
        written.append(Part(what, href))
    compared = [part for part in written if part.what in COMPARED]
    maps = [part for part in written if part.what not in COMPARED]
    return Comparison(picture, compared, maps, part.width, part.height)
