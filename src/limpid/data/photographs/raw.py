"""Cameras' RAW files, developed by rawpy (LibRaw): the camera's white balance, no brightening of its own."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from limpid.data.photographs import exif
from limpid.data.photographs.photograph import Stored
from limpid.errors import CannotRun

#: The tags of the main directory that are about the photograph: description, maker, model, resolution, program, dates,
#: author, rating and rights.
_KEPT = frozenset({270, 271, 272, 282, 283, 296, 305, 306, 315, 18246, 18249, 33432})


def size(file: BinaryIO, name: str) -> tuple[int, int]:
    """Width and height of the developed picture, before it is turned upright."""
    with _opened(file, name) as raw:
        return raw.sizes.width, raw.sizes.height


def decode(file: BinaryIO, name: str) -> Stored:
    """The developed picture: sRGB of 16 bits, upright, in the camera's white balance and exposure."""
    with _opened(file, name) as raw:
        import rawpy

        samples = raw.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            output_bps=16,
            output_color=rawpy.ColorSpace.sRGB,
            gamma=(2.4, 12.92),
        )
    block = None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data, contextlib.suppress(ValueError):
        found = exif.parse(data, note_stays=False)  # most are TIFF; of others there is nothing to be had
        main = {tag: entry for tag, entry in found.main.items() if tag in _KEPT}
        block = replace(found, main=main)
    return Stored(samples, turn=1, exif=block)


@contextlib.contextmanager
def _opened(file: BinaryIO, name: str) -> Iterator[Any]:
    try:
        import rawpy  # an extra
    except ImportError as error:
        raise CannotRun(
            f"{name} is a camera's RAW file, which needs rawpy; install it with pip install 'limpid[raw]'."
        ) from error
    file.seek(0)
    with rawpy.imread(file) as raw:
        yield raw
