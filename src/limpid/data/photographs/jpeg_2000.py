"""What a JPEG 2000 file says beside its pixels (ISO/IEC 15444-1, annex I): its colours, EXIF and XMP."""

from __future__ import annotations

import struct

from limpid.data.photographs.containers import boxes

#: The names under which ExifTool and Adobe's programs keep EXIF and XMP.
_EXIF, _XMP = b"JpgTiffExif->JP2", bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


def metadata(data: bytes) -> tuple[bytes | None, bytes | None, bytes | None]:
    """EXIF, XMP and the ICC profile of a JPEG 2000 file; None where it has none."""
    found: dict[bytes, bytes] = {}
    profile = None
    for name, _, body, end in boxes(data) if data[4:8] == b"jP  " else ():
        if name == b"uuid":
            found.setdefault(data[body : body + 16], data[body + 16 : end])
        elif name == b"jp2h":
            profile = _profile(data[body:end])
    return found.get(_EXIF), found.get(_XMP), profile


def _profile(header: bytes) -> bytes | None:
    colours = (header[body:end] for name, _, body, end in boxes(header) if name == b"colr")
    return next((colour[3:] for colour in colours if colour[:1] == b"\2"), None)


def without_profile(data: bytes) -> bytes:
    """A JPEG 2000 file that names sRGB or grey in the place of its profile, as its decoder would apply that."""
    out = b""
    for name, at, body, end in boxes(data) if data[4:8] == b"jP  " else ():
        out += _box(name, _with_named_colours(data[body:end])) if name == b"jp2h" else data[at:end]
    return out or data


def _with_named_colours(header: bytes) -> bytes:
    named = b"\1\0\0" + struct.pack(">I", 16 if header[16:18] > b"\0\2" else 17)  # by the number of channels
    out = b""
    for name, at, body, end in boxes(header):
        out += _box(name, named) if name == b"colr" and header[body] != 1 else header[at:end]
    return out


def with_metadata(data: bytes, profile: bytes | None, exif: bytes | None, xmp: bytes | None) -> bytes:
    """A JPEG 2000 file with a colour profile in the place of its named colours, and with EXIF and XMP."""
    out = b""
    for name, at, body, end in boxes(data):
        if name == b"jp2h" and profile:
            inner = data[body:end]
            parts = [inner[a:e] for n, a, _, e in boxes(inner) if n != b"colr"]
            colour = _box(b"colr", b"\2\0\0" + profile)
            out += _box(b"jp2h", parts[0] + colour + b"".join(parts[1:]))
        elif name == b"jp2c":
            out += b"".join(_box(b"uuid", key + value) for key, value in ((_EXIF, exif), (_XMP, xmp)) if value)
            out += data[at:end]
        else:
            out += data[at:end]
    return out


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body
