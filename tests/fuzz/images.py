"""Damaged photographs, and whole ones whose EXIF is damaged: `limpid predict` restores the rest and names each."""

from __future__ import annotations

import io
import random
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.photo_files import camera_block, every_format
from tests.data.test_photo_fuzz import checksums_mended, mutated
from tests.fuzz.commands import Fault, ran

#: Photographs of one command.
_FOLDER = 12


def photographs(chance: random.Random, folder: Path) -> str:
    """What becomes of a folder of damaged files of every format."""
    seeds = every_format_once()
    files = {}
    for number in range(_FOLDER):
        kind = chance.choice(list(seeds))
        data = mutated(seeds[kind], chance)
        files[f"{number}.{kind}"] = checksums_mended(data) if kind.endswith("png") and chance.random() < 0.8 else data
    return restored(files, chance, folder)


def metadata(chance: random.Random, folder: Path) -> str:
    """What becomes of whole photographs with damaged EXIF, XMP and profiles."""
    files = {}
    for number in range(_FOLDER):
        form, suffix = chance.choice((("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tif")))
        block = camera_block(chance.randrange(9), note=chance.randbytes(chance.randrange(100)))
        exif = mutated(block, chance) if chance.random() < 0.9 else chance.randbytes(chance.randrange(200))
        more: dict[str, object] = {"exif": b"Exif\0\0" + exif} if form != "TIFF" else {}
        if chance.random() < 0.3:
            more["icc_profile"] = chance.randbytes(chance.randrange(1, 400))
        if chance.random() < 0.3 and form == "WEBP":
            more["xmp"] = chance.randbytes(chance.randrange(1, 400))
        file = io.BytesIO()
        _picture().save(file, form, **more)
        files[f"{number}.{suffix}"] = file.getvalue()
    return restored(files, chance, folder)


def restored(files: dict[str, bytes], chance: random.Random, folder: Path) -> str:
    """How `limpid predict` ends for `files` and one that is whole.

    Raises:
        Fault: besides what `ran` finds, the whole photograph was not restored, or a failure is not named.
    """
    (folder / "in").mkdir()
    for name, data in files.items():
        (folder / "in" / name).write_bytes(data)
    _picture().save(folder / "in" / "whole.png")
    method = chance.choice(("gamma", "gamma", "dcp"))
    more = chance.choice(([], ["suffix=png"], ["suffix=jpg"], ["suffix=tif"], ["compare=true"]))
    words = ["predict", f"model={method}", f"input={folder / 'in'}", f"output={folder / 'out'}", "megapixels=1"]
    outcome = ran([*words, *more], folder)
    results = {path.stem for path in (folder / "out").glob("*") if path.is_file()}
    if "whole" not in results:
        raise Fault(f"the whole photograph was not restored: {outcome.err[-300:]}")
    silent = [name for name in files if Path(name).stem not in results and name not in outcome.err]
    if outcome.code == 0 and silent:
        raise Fault(f"not restored and not named: {silent}")
    return outcome.word


@cache
def every_format_once() -> dict[str, bytes]:
    """A small whole file of every format."""
    return dict(every_format())


@cache
def _picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8))
