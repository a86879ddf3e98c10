"""Write a photograph the way the original was: `write_photograph`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from limpid.data.photographs import encoders, exif, exif_layout
from limpid.data.photographs.encoders import Metadata
from limpid.data.photographs.formats import FORMATS, refuse_output
from limpid.data.photographs.photograph import Photograph, Pixels, Samples
from limpid.errors import CannotRun, UserError
from limpid.store.atomic_io import atomic_write

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_DEEP = ("PNG", "TIFF", "JPEG2000")  # formats that are written with 16 bits
_WITHOUT_METADATA = ("BMP",)
_IN_A_SEGMENT = 65533  # as many bytes a JPEG's segment holds
_XMP_IN_A_SEGMENT = _IN_A_SEGMENT - len(b"http://ns.adobe.com/xap/1.0/\0")
_GREY_PROFILE = b"GRAY"


def write_photograph(
    path: Path, pixels: Pixels, like: Photograph, quality: int = 95, processed_by: str | None = None
) -> tuple[str, ...]:
    """Whole sentences on what the format could not hold, after writing `pixels` as `like` was stored.

    The file is written whole or not at all, see `atomic_write`; the same pixels give the same bytes.

    Args:
        path: its suffix says the format, one of `FORMATS`; what the format cannot hold (alpha in a JPEG, 16 bit but in
            PNG, TIFF and JPEG 2000, metadata in a BMP) is left out.
        pixels: `(H, W, 3)` RGB in [0, 1]; values outside are clipped, halves round up.
        like: gives bit depth, grey or colour, alpha, profile, EXIF and XMP, and whether a WebP may lose anything.
        quality: of JPEG, AVIF and lossy WebP, 1 to 100.
        processed_by: what made it, written as the EXIF tag ProcessingSoftware where the format holds EXIF.

    Raises:
        UserError: the format is unknown or cannot hold so long a side, or the file cannot be written.
    """
    height, width, _ = pixels.shape
    refuse_output(path, width, height)
    form = FORMATS[path.suffix.lower()]
    levels = like.levels if form in _DEEP else 255
    alpha = None if form == "JPEG" or like.alpha is None else _rescaled(like.alpha, levels)
    grey = like.grey and form != "WEBP" and not (alpha is not None and (levels == 65535 or form == "BMP"))
    samples = _samples(pixels, levels, like.grey)
    if like.grey and not grey:
        samples = np.repeat(samples[..., None], 3, axis=2)  # few programs read grey with alpha there
    metadata = _metadata(form, like, grey, (width, height), processed_by)
    try:
        data = encoders.encoded(form, samples, alpha, metadata, like, quality)
    except CannotRun as error:
        raise CannotRun(f"{path}: {error}") from error
    except Exception as error:  # several encoders, each with errors of its own
        raise UserError(f"{path} cannot be written as {form} ({error}); write PNG or TIFF.") from error
    try:
        with atomic_write(path) as file:
            file.write_bytes(data)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); give another output.") from error
    return tuple(f"{path} {note}." for note in metadata.notes)


def _samples(pixels: Pixels, levels: int, grey: bool) -> Samples:
    """Whole samples up to `levels`, `(H, W, 3)` or, grey, `(H, W)`; row by row, to need little memory."""
    height, width, _ = pixels.shape
    shape = (height, width) if grey else pixels.shape
    samples: Samples = np.empty(shape, np.uint16 if levels == 65535 else np.uint8)
    for row, line in zip(samples, pixels, strict=True):
        row[...] = np.floor(np.clip(line @ _LUMA if grey else line, 0, 1) * np.float32(levels) + np.float32(0.5))
    return samples


def _rescaled(alpha: Samples, levels: int) -> Samples:
    """Alpha in samples up to `levels`."""
    if alpha.dtype == np.uint8:
        return alpha if levels == 255 else alpha.astype(np.uint16) * np.uint16(257)
    return alpha if levels == 65535 else ((alpha.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _metadata(form: str, like: Photograph, grey: bool, size: tuple[int, int], processed_by: str | None) -> Metadata:
    if form in _WITHOUT_METADATA:
        return Metadata()
    notes = []
    profile = like.profile
    if profile is not None and profile[16:20] == _GREY_PROFILE and not grey:
        profile = None  # a profile of grey says nothing about colours
    block, note = _exif_block(form, like, size, processed_by)
    notes += [note] if note else []
    xmp = like.xmp
    if form == "JPEG" and xmp is not None and len(xmp) > _XMP_IN_A_SEGMENT:
        xmp = None
        notes.append("has no room for so long an XMP packet, which was left out")
    return Metadata(profile, block, xmp, tuple(notes))


def _exif_block(
    form: str, like: Photograph, size: tuple[int, int], processed_by: str | None
) -> tuple[bytes | None, str]:
    """The block with its prefix, and the end of a sentence on what was left out of it."""
    found, _ = exif.read(like.exif)
    if processed_by is not None:
        found = (found or exif.Exif("<")).with_text(exif.PROCESSED_BY, processed_by)
    if found is None:
        return None, ""
    found = exif.cleaned(found, *size)
    if form == "TIFF":  # where the maker's note cannot stay in its place
        found = exif.cleaned(replace(found, note_at=None), *size)
    if not found:
        return None, ""
    return exif_layout.shortened(found, _IN_A_SEGMENT) if form == "JPEG" else (exif_layout.to_bytes(found), "")
