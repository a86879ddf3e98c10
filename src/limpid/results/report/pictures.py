"""A run's pictures, taken apart and written small enough for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from limpid.results.report.runs import Picture

#: The longer side of a written picture is at most so many pixels.
LONGEST = 960
#: A picture of at most so many pixels is written without loss.
_LOSSLESS = 300 * 300


@dataclass(frozen=True)
class Part:
    """One image of a comparison: what it is (``input``, ``restored`` or ``target``), and its file in the report."""

    what: str
    href: str


@dataclass(frozen=True)
class Comparison:
    """The parts of one picture, all of one size; where the file could not be read, `problem` says so."""

    picture: Picture
    parts: Sequence[Part]
    width: int = 0
    height: int = 0
    problem: str = ""


def write(picture: Picture, folder: Path, stem: str) -> Comparison:
    """Write the parts of `picture` as WebP files into `folder`/images, under names made of `stem` alone."""
    try:
        with Image.open(picture.file) as opened:
            whole = opened.convert("RGB")
        parts = take_apart(whole, picture.has_target)
    except (OSError, ValueError, Image.DecompressionBombError):
        return Comparison(picture, [], problem=f"The picture {picture.file.name} cannot be read.")
    (folder / "images").mkdir(exist_ok=True)
    written = []
    for what, part in zip(("input", "restored", "target"), parts, strict=False):
        part.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        href = f"images/{stem}-{what}.webp"
        part.save(folder / href, "WEBP", quality=90, lossless=part.width * part.height <= _LOSSLESS)
        written.append(Part(what, href))
    return Comparison(picture, written, parts[0].width, parts[0].height)


def take_apart(whole: Image.Image, has_target: bool | None) -> list[Image.Image]:
    """Input and restored image, and the target where there is one, from a picture that has them side by side.

    Args:
        whole: the picture.
        has_target: whether it has a target; where nobody knows, the images decide: the split is taken whose first two
            parts are more alike, because they show one scene.

    Raises:
        ValueError: the width is not that of so many images.
    """
    likely = {True: (3,), False: (2,), None: (2, 3)}[has_target]
    counts = [count for count in likely if whole.width % count == 0]
    if not counts:
        raise ValueError(f"a picture {whole.width} pixels wide holds no {' or '.join(map(str, likely))} images")
    count = counts[0] if len(counts) == 1 else max(counts, key=lambda n: _likeness(whole, n))
    width = whole.width // count
    return [whole.crop((i * width, 0, (i + 1) * width, whole.height)) for i in range(count)]


def _likeness(whole: Image.Image, count: int) -> float:
    """The correlation of the first two of `count` parts, as thumbnails."""
    width = whole.width // count
    small = [whole.crop((i * width, 0, (i + 1) * width, whole.height)).resize((32, 32)).convert("L") for i in (0, 1)]
    first, second = (np.asarray(image, np.float64).ravel() for image in small)
    if not first.std() or not second.std():
        return float(np.array_equal(first, second))
    return float(np.corrcoef(first, second)[0, 1])
