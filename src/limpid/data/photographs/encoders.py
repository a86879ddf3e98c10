"""Samples and metadata as the bytes of a file."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from limpid.data.photographs import containers, exif, exif_layout, jpeg_2000
from limpid.data.photographs.codecs import codecs
from limpid.data.photographs.photograph import Photograph, Samples

#: Of zlib in a PNG of 8 bits: half the time of the usual 6, for files 4 % larger (docs/predict.md).
_LEVEL = 3
_THREADS = 2  # of AVIF, whatever the machine has: their number changes the bytes


@dataclass(frozen=True)
class Metadata:
    """What goes into a file beside its pixels, cut to what its format holds; `notes` end sentences on what does not."""

    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()


def encoded(
    form: str, samples: Samples, alpha: Samples | None, metadata: Metadata, like: Photograph, quality: int
) -> bytes:
    """The bytes of the file.

    Args:
        form: a value of `FORMATS`.
        samples: `(H, W)` grey or `(H, W, 3)` RGB of 8 or 16 bits; they may be overwritten.
        alpha: `(H, W)` of as many bits, or None.
        metadata: what else it holds.
        like: says whether a WebP may lose anything, and how the colours of a PNG are meant.
        quality: of JPEG, AVIF and lossy WebP, 1 to 100.
    """
    if form == "PNG":
        return _png(samples, alpha, metadata, like)
    if form == "TIFF":
        return _tiff(_with_alpha(samples, alpha), metadata)
    if form == "JPEG2000":
        return _jpeg_2000(_with_alpha(samples, alpha), metadata)
    if form == "BMP" and alpha is not None:  # Pillow's would not say that the fourth channel is alpha
        return _by_opencv(".bmp", _with_alpha(samples, alpha))
    options: dict[str, Any] = {
        "JPEG": {"quality": quality, "subsampling": 0},
        "WEBP": {"lossless": True, "exact": True} if like.lossless else {"quality": quality},
        "AVIF": {"quality": quality, "subsampling": "4:4:4", "max_threads": _THREADS},
    }.get(form, {})
    if form != "BMP":
        options |= {"icc_profile": metadata.profile, "exif": metadata.exif or b"", "xmp": metadata.xmp or b""}
    file = io.BytesIO()
    _picture(samples, alpha).save(file, form, **options)
    return file.getvalue()


def _picture(samples: Samples, alpha: Samples | None) -> Image.Image:
    picture = Image.fromarray(samples)
    if alpha is not None:
        picture.putalpha(Image.fromarray(alpha))
    return picture


def _with_alpha(samples: Samples, alpha: Samples | None) -> Samples:
    return samples if alpha is None else np.dstack([samples, alpha])


def _by_opencv(suffix: str, samples: Samples) -> bytes:
    for row in samples if samples.ndim == 3 else ():  # OpenCV's order is blue, green, red; in place to save memory
        row[:, [0, 2]] = row[:, [2, 0]]
    return bytes(cv2.imencode(suffix, samples)[1].tobytes())


def _png(samples: Samples, alpha: Samples | None, metadata: Metadata, like: Photograph) -> bytes:
    if samples.dtype == np.uint16:  # Pillow has no 16 bits of colour
        data = _by_opencv(".png", _with_alpha(samples, alpha))
    else:
        file = io.BytesIO()
        _picture(samples, alpha).save(file, "PNG", compress_level=_LEVEL)
        data = file.getvalue()
    more = b""
    if metadata.profile:
        more += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.profile))
    else:
        more += like.colour_chunks
    if metadata.exif:
        more += _chunk(b"eXIf", metadata.exif.removeprefix(exif.PREFIX))
    if metadata.xmp:
        more += _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp)
    return containers.with_chunks(data, more)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _jpeg_2000(samples: Samples, metadata: Metadata) -> bytes:
    data = codecs().jpeg2k_encode(np.ascontiguousarray(samples), level=0, reversible=True, codecformat="jp2")
    block = None if metadata.exif is None else metadata.exif.removeprefix(exif.PREFIX)
    return jpeg_2000.with_metadata(data, metadata.profile, block, metadata.xmp)


def _tiff(samples: Samples, metadata: Metadata) -> bytes:
    """The file as tifffile writes it, and behind it a directory that holds EXIF too, to which its header points."""
    import tifffile  # it takes a moment to import, and such files are rare

    found = exif.Exif("<") if metadata.exif is None else exif.parse(metadata.exif)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        samples,
        byteorder=found.order,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        iccprofile=metadata.profile,
        metadata=None,
        software=False,
        maxworkers=1,
    )
    if metadata.xmp:
        found.main[exif.XMP] = exif.Entry(1, len(metadata.xmp), metadata.xmp)
    if not found:
        return file.getvalue()
    file.write(b"\0" * (file.tell() % 2))
    length = file.tell()
    plain = exif.parse(file.getbuffer())
    if plain.big:  # no field of EXIF can point so far
        return file.getvalue()
    at, behind = exif_layout.below_a_file(found, plain.main, length)
    file.write(behind)
    file.seek(4)
    file.write(struct.pack(found.order + "I", at))
    return file.getvalue()
