"""TIFF by tifffile and imagecodecs: every page, tile and plane of it that means one picture."""

from __future__ import annotations

import logging
import math
import mmap
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from limpid.data.photographs import exif, tiff_colours
from limpid.data.photographs.photograph import Stored
from limpid.errors import UserError

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it finds odd is no news of ours

_IS_MASK, _YCBCR = 4, 6  # of PhotometricInterpretation
_CAMERAS_OWN = (32803, 34892)  # a colour filter's mosaic, and linear RAW
_SUB_PAGES = 330  # SubIFDs
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
#: How many bytes a byte can stand for, by compression: none, LZW, Deflate and PackBits. More were never packed.
_DENSEST = {1: 1, 5: 3000, 8: 1100, 32946: 1100, 32773: 70}
_LARGEST_PIXEL = 16  # bytes: four channels of 32 bits
_MOST_PAGES = 64  # pages beyond are not looked at: there are too many already
_JPEGS = (6, 7, 33007, 34892)  # compressions that lose something
_LOSSY = (*_JPEGS, 34676, 34677, 33003, 33005, 34712, 34933, 34934, 50001, 50002, 52546)


def is_raw(file: BinaryIO) -> bool:
    """Whether a TIFF holds a camera's RAW picture, as DNG does whatever it is named."""
    from tifffile import TiffFile

    file.seek(0)
    with TiffFile(file) as tiff:
        first = tiff.pages.first
        return 50706 in first.tags or first.photometric in _CAMERAS_OWN


def is_plain(file: BinaryIO) -> bool:
    """Whether a TIFF holds one page and nothing below it, as no camera's RAW file does."""
    from tifffile import TiffFile

    file.seek(0)
    with TiffFile(file) as tiff:
        first = tiff.pages.first
        camera = first.subfiletype or _SUB_PAGES in first.tags or first.photometric in _CAMERAS_OWN
        return not camera and len(tiff.pages) == 1 and 50706 not in first.tags


def size(file: BinaryIO, name: str) -> tuple[int, int]:
    """Width and height of the picture in `file`."""
    from tifffile import TiffFile

    file.seek(0)
    with TiffFile(file) as tiff:
        page, _ = _picture(tiff, name)
        return int(page.imagewidth), int(page.imagelength)


def decode(file: BinaryIO, name: str, megapixels: float) -> Stored:
    """What `file` stores.

    Args:
        file: of bytes.
        name: for sentences.
        megapixels: as many pixels a tile or strip may have, whatever the picture's size.

    Raises:
        UserError: it holds several pictures, or one whose meaning is not agreed.
    """
    from tifffile import TiffFile

    file.seek(0)
    with TiffFile(file) as tiff:
        page, notes = _picture(tiff, name)
        _refuse(page, name, megapixels)
        samples = _samples(page, name)
        stored = tiff_colours.meaning(page, samples, name)
        stored.notes = notes + stored.notes
        if page is not tiff.pages.first:  # else EXIF says it, which is the same directory
            stored.turn = _orientation(page)
        stored.xmp = _bytes(page.tags.valueof(exif.XMP))
        stored.lossless = page.compression not in _LOSSY
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:  # not the pixels, only what is looked at
        stored.exif, note = exif.read(data, note_stays=False)
    stored.notes += [note] if note else []
    return stored


def _picture(tiff: TiffFile, name: str) -> tuple[TiffPage, list[str]]:
    """The one page that is the picture: neither a thumbnail, nor a mask."""
    pages: list[TiffPage] = []
    notes = []
    others = 0
    every: Any = tiff.pages
    for page in (every[index] for index in range(min(len(every), _MOST_PAGES))):
        kind = page.subfiletype
        if kind & _MASK or page.photometric == _IS_MASK:
            notes.append("has a mask beside its picture, which was left out")
        elif kind & _REDUCED:
            others += 1
            pages.extend(sub for sub in page.pages or () if not sub.subfiletype & _REDUCED)
        else:
            pages.append(page)
    if not pages and others == 1:
        pages = [tiff.pages.first]  # one that says it is reduced, and nothing that it is reduced from
    if len(pages) != 1:
        count = len(pages) if len(every) <= _MOST_PAGES else len(every)
        raise UserError(f"{name} holds {count} pictures; split it into files of one picture each.")
    return pages[0], notes


def _bytes(value: object) -> bytes | None:
    """The value of a tag that holds bytes, as whatever type it was written."""
    if isinstance(value, str):
        return value.encode()
    return bytes(value) if isinstance(value, (bytes, tuple)) else None


def _refuse(page: TiffPage, name: str, megapixels: float) -> None:
    width, height = page.imagewidth, page.imagelength
    if page.imagedepth > 1 or page.tiledepth > 1:
        raise UserError(f"{name} holds a volume of {page.imagedepth} layers; split it into files of one picture each.")
    if page.is_tiled and page.tilewidth * page.tilelength > max(megapixels * 1e6, 4 * width * height):
        tile = f"{page.tilewidth}x{page.tilelength}"
        raise UserError(f"{name} has {width}x{height} pixels in a tile of {tile}; save it anew as PNG.")
    if page.nbytes > _LARGEST_PIXEL * megapixels * 1e6:
        raise UserError(f"{name} has {page.nbytes // 10**9} GB of samples; save it as 8 or 16 bit.")
    if isinstance(page.bitspersample, (tuple, list)):
        depths = ", ".join(map(str, page.bitspersample))
        raise UserError(f"{name} has channels of different depths ({depths} bits); save it as RGB and try again.")
    if page.samplesperpixel > 16:
        raise UserError(f"{name} has {page.samplesperpixel} channels; save it as RGB and try again.")
    length = page.parent.filehandle.size
    pieces = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    # A piece that is missing would be left as the memory happened to be.
    is_cut = len(pieces) < max(1, math.prod(page.chunked)) or page.planarconfig not in (1, 2)
    is_cut |= any(offset + count > length or not count for offset, count in pieces)
    if is_cut or _fewest_bytes(page) > sum(page.databytecounts) * _DENSEST.get(int(page.compression), math.inf):
        raise UserError(f"{name} is cut short or damaged (pixels are missing); replace or remove it.")


def _fewest_bytes(page: TiffPage) -> int:
    """As many bytes as the picture has at least before it is packed."""
    bits = page.bitspersample * page.samplesperpixel
    if page.photometric == _YCBCR:
        bits = page.bitspersample  # differences may be stored for every few pixels
    return int(page.imagewidth * bits // 8 * page.imagelength)


def _samples(page: TiffPage, name: str) -> NDArray[Any]:
    """`(H, W, channels)`, whatever lies in planes, strips or tiles."""
    compression = getattr(page.compression, "name", str(page.compression))
    if page.dtype is None:
        raise UserError(f"{name} has samples of {page.bitspersample} bits of an unknown kind; save it as 8 or 16 bit.")
    if page.photometric == _YCBCR and page.compression not in _JPEGS:
        return _ycbcr(page, name)
    try:
        values = page.asarray(out=np.zeros(page.shape, page.dtype))  # a damaged piece may leave some as they were
    except (NotImplementedError, KeyError, ImportError, ValueError) as error:
        if "requires the 'imagecodecs' package" in str(error):
            words = "which imagecodecs reads; pip install imagecodecs, or save it as PNG"
            raise UserError(f"{name} is packed by {compression}, {words}.") from error
        if isinstance(error, NotImplementedError) or "not supported" in str(error):
            raise UserError(
                f"{name} is packed in a way that cannot be read ({compression}); save it as PNG."
            ) from error
        raise
    shape = (page.imagelength, page.imagewidth)
    if page.axes.startswith("S"):
        values = np.moveaxis(values, 0, -1)
    return values.reshape(*shape, -1)


def _ycbcr(page: TiffPage, name: str) -> NDArray[Any]:
    """Colours as luma and differences that no JPEG holds: by libtiff, which gives 8 bits."""
    from limpid.data.photographs.codecs import codecs

    handle = page.parent.filehandle
    handle.seek(0)
    if page.bitspersample != 8 or page is not page.parent.pages.first:
        raise UserError(f"{name} is a TIFF of a kind that cannot be read (YCbCr); save it as RGB and try again.")
    data = bytearray(handle.read())
    turn = page.tags.get(exif.ORIENTATION)
    if turn is not None and turn.valueoffset + turn.valuebytecount <= len(data):  # libtiff would mirror by it
        upright = (1).to_bytes(turn.valuebytecount, "little" if page.parent.byteorder == "<" else "big")
        data[turn.valueoffset : turn.valueoffset + turn.valuebytecount] = upright
    return codecs().tiff_decode(bytes(data), asrgb=True)[..., :3]


def _orientation(page: TiffPage) -> int:
    found = page.tags.valueof(274)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1
