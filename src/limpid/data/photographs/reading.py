"""Read a photograph of any kind: `read_photograph`, and what is known of a file without decoding it."""

from __future__ import annotations

import contextlib
import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from limpid.data.photographs import avif, by_pillow, containers, exif, exif_layout, heic, jpeg_2000, raw, tiff
from limpid.data.photographs.claims import refuse_hollow
from limpid.data.photographs.formats import HEAD, kind_of_head, refuse_large
from limpid.data.photographs.photograph import Photograph, Pixels, Stored, in_unit_range, upright
from limpid.errors import UserError

#: XMP repeats how the old file was turned, and points to a gain map that the new one has not.
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))\s*\d+")
_GAIN_MAP = re.compile(rb"hdrgm:|Container:Directory|HDRGainMap")


def read_photograph(path: Path, megapixels: float = 200.0) -> Photograph:
    """The photograph at `path`.

    The file's first bytes say what it is, not its name. Of an animated GIF, PNG or WebP it is the first frame, of a
    phone's JPEG with a preview or a gain map behind it the picture itself.

    Args:
        path: one of `READABLE`.
        megapixels: refuse larger ones, by the header alone.

    Raises:
        UserError: the file cannot be read or is cut short, holds several pictures, or samples whose range is not
            agreed, or is larger than `megapixels`.
    """
    with _sentences(path), path.open("rb") as file:
        stored = _decode(file, path, megapixels)
        turn = _turn(stored)
        samples = upright(stored.samples, turn)
        alpha = None if stored.alpha is None else np.ascontiguousarray(upright(stored.alpha, turn))
        height, width = samples.shape[:2]
        if stored.profile is not None and not _is_profile(stored.profile):
            stored.profile = None
            stored.notes.append("has a colour profile that is damaged or of other colours, which was left out")
        block = None
        if stored.exif is not None:
            kept = exif.cleaned(stored.exif, width, height)
            block = exif_layout.to_bytes(kept) if kept else None
        return Photograph(
            in_unit_range(samples),
            255 if samples.dtype == np.uint8 else 65535,
            samples.ndim == 2,
            alpha,
            stored.profile,
            block,
            stored.lossless,
            tuple(f"{path} {note}." for note in stored.notes),
            _cleaned_xmp(stored.xmp),
            stored.colour_chunks,
        )


def read_samples(path: Path, megapixels: float) -> NDArray[Any]:
    """The upright picture at `path`, `(H, W, 3)` RGB as uint8, uint16, or float32 in [0, 1].

    Args:
        path: one of `READABLE`.
        megapixels: refuse larger ones.

    Raises:
        UserError: as `read_photograph`.
    """
    with _sentences(path), path.open("rb") as file:
        stored = _decode(file, path, megapixels)
        samples = upright(stored.samples, _turn(stored))
        return np.repeat(samples[..., None], 3, axis=2) if samples.ndim == 2 else np.ascontiguousarray(samples)


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of the picture at `path` as it is stored, from its header alone: nothing is decoded.

    Raises:
        UserError: the file cannot be read, or is no image.
    """
    with _sentences(path), path.open("rb") as file:
        return _size(file, path, _kind(file, path))


def frames(path: Path, megapixels: float = 200.0) -> Iterator[Pixels]:
    """The frames of an animated GIF, WebP, PNG or AVIF, `(H, W, 3)` float32 RGB in [0, 1]; one of a still picture.

    Raises:
        UserError: as `read_photograph`.
    """
    with contextlib.ExitStack() as stack:
        with _sentences(path):
            file = stack.enter_context(path.open("rb"))
            kind = _kind(file, path)
            _refuse_size(file, path, kind, megapixels)
            if by_pillow.is_animated(file, kind):
                found = by_pillow.frames(file, kind)
            else:
                found = iter([read_photograph(path, megapixels).pixels])
        while True:
            with _sentences(path):
                frame = next(found, None)
            if frame is None:
                return
            yield frame


def processed_by(path: Path) -> str | None:
    """What `write_photograph` was told in `processed_by` for the file at `path`; None where there is nothing.

    No pixel is decoded. A file that is no image has nothing either.
    """
    try:
        with _sentences(path), path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            kind = kind_of_head(data[:HEAD], path.suffix)
            found, _ = exif.read(_exif_block(data, kind))
    except UserError:
        return None
    return None if found is None else found.text(exif.PROCESSED_BY)


def _exif_block(data: Any, kind: str | None) -> Any:
    if kind == "TIFF":
        return data
    finders = {
        "JPEG": containers.jpeg_exif,
        "PNG": containers.png_exif,
        "WEBP": containers.webp_exif,
        "JPEG2000": lambda data: jpeg_2000.metadata(data)[0],
        "AVIF": avif.exif_of,
    }
    return finders[kind](data) if kind in finders else None


def _kind(file: BinaryIO, path: Path) -> str:
    head = file.read(HEAD)
    kind = kind_of_head(head, path.suffix)
    if kind is None:
        raise UserError(f"{path} is not an image that can be read; replace or remove it.")
    if kind == "RAW" and kind_of_head(head) == "TIFF" and tiff.is_plain(file):
        return "TIFF"  # whatever its name says
    return "RAW" if kind == "TIFF" and tiff.is_raw(file) else kind


def _size(file: BinaryIO, path: Path, kind: str) -> tuple[int, int]:
    if kind == "TIFF":
        return tiff.size(file, str(path))
    if kind == "HEIC":
        return heic.size(file, str(path))
    return raw.size(file, str(path)) if kind == "RAW" else by_pillow.size(file, kind)


def _refuse_size(file: BinaryIO, path: Path, kind: str, megapixels: float) -> None:
    width, height = _size(file, path, kind)
    refuse_large(path, width, height, megapixels)
    refuse_hollow(path, file, kind, width, height)


def _decode(file: BinaryIO, path: Path, megapixels: float) -> Stored:
    kind = _kind(file, path)
    _refuse_size(file, path, kind, megapixels)
    if kind == "TIFF":
        stored = tiff.decode(file, str(path), megapixels)
    elif kind == "HEIC":
        stored = heic.decode(file, str(path))
    else:
        stored = raw.decode(file, str(path)) if kind == "RAW" else by_pillow.decode(file, kind)
    if stored.alpha is not None and stored.alpha.shape != stored.samples.shape[:2]:
        raise ValueError("its alpha and its colours differ in size")
    return stored


def _turn(stored: Stored) -> int:
    if stored.turn is not None:
        return stored.turn
    return 1 if stored.exif is None else stored.exif.orientation()


def _is_profile(profile: bytes) -> bool:
    """Whether it is an ICC profile of RGB or grey (ICC.1:2022, section 7.2)."""
    return len(profile) >= 132 and profile[36:40] == b"acsp" and profile[16:20] in (b"RGB ", b"GRAY")


def _cleaned_xmp(xmp: bytes | None) -> bytes | None:
    if not xmp or _GAIN_MAP.search(xmp):
        return None
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


@contextlib.contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Whatever decoders raise for a file that may hold anything, as a sentence that names it."""
    try:
        yield
    except UserError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error
    except MemoryError as error:
        raise UserError(f"{path} needs more memory than there is; make it smaller.") from error
    except OSError as error:
        if error.errno is not None:  # the file system's, not a decoder's
            raise UserError(f"{path} cannot be read ({error.strerror}); check the file and its permissions.") from error
        raise _damaged(path, error) from error
    except Exception as error:  # a dozen decoders, each with errors of its own
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    if isinstance(error, UnidentifiedImageError):
        return UserError(f"{path} is not an image that can be read; replace or remove it.")
    why = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"{path} is cut short or damaged ({why[:120]}); replace or remove it.")
