"""How JPEG, PNG, WebP, AVIF and JPEG 2000 files are put together: depth, and where their metadata lies."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

JPEG, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
#: JPEG segments that tell the size: start of frame, in all its kinds.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: PNG chunks that say how colours are meant, beside the profile; with a profile, only the newest of them counts.
_COLOURS = (b"gAMA", b"cHRM", b"sRGB", b"cICP")
#: The end of a sentence on what `is_beyond_srgb` finds.
BEYOND_SRGB = "has colours of a wider space or for HDR without an ICC profile, so its result may look paler"
_HEADER = 1 << 20  # the headers of a JPEG lie in its first bytes, a profile and a preview included


def segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of each segment of a JPEG up to the first scan; a thumbnail inside one has its own."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == 0xFF:  # a filling byte
            at += 1
            continue
        yield data[at + 1], at
        if data[at + 1] == 0xDA:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def jpeg_frame(file: BinaryIO) -> tuple[int, int, int, int]:
    """Width, height, bits and number of channels of a JPEG; zeros where its header cannot be read."""
    for most in (_HEADER, -1):
        file.seek(0)
        data = file.read(most)
        at = next((at for marker, at in segments(data) if marker in FRAMES), None)
        if at is not None and at + 10 <= len(data):
            bits, height, width, channels = struct.unpack_from(">BHHB", data, at + 4)
            return width, height, bits, channels
    return 0, 0, 0, 0


def jpeg_ends(data: bytes) -> bool:
    """Whether the scan of a JPEG ends with its end marker, which cannot occur inside it."""
    scan = next((at for marker, at in segments(data) if marker == 0xDA), None)
    return scan is not None and data.find(b"\xff\xd9", scan) >= 0


def jpeg_exif(data: bytes) -> bytes | None:
    """The EXIF block of a JPEG, without its prefix; None where there is none."""
    parts = [data[at + 10 : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")] for at in _exif_segments(data)]
    return b"".join(parts) if parts else None


def _exif_segments(data: bytes) -> Iterator[int]:
    for marker, at in segments(data):
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            yield at


def has_jpeg_profile(data: bytes) -> bool:
    """Whether a JPEG has at least a part of an ICC profile (ICC.1:2022, annex B.4)."""
    return any(data[at + 4 : at + 16] == b"ICC_PROFILE\0" for marker, at in segments(data) if marker == 0xE2)


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name of each chunk of a PNG, and where its body begins and ends; what writers leave behind the last is none."""
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], at + 8, at + 8 + length
        if data[at + 4 : at + 8] == b"IEND":
            return
        at += 12 + length


def png_is_sound(data: bytes) -> bool:
    """Whether the checksums of what a PNG cannot be read without fit, as Pillow does not ask all of them."""
    needed = [(begin, end) for name, begin, end in chunks(data) if name[:1].isupper()]
    return all(zlib.crc32(data[begin - 4 : end]).to_bytes(4, "big") == data[end : end + 4] for begin, end in needed)


def png_exif(data: bytes) -> bytes | None:
    """The EXIF block of a PNG, before or behind the pixels; None where there is none."""
    return next((data[begin:end] for name, begin, end in chunks(data) if name == b"eXIf"), None)


def colour_chunks(data: bytes) -> bytes:
    """The whole chunks of a PNG that say how its colours are meant, beside a profile."""
    found = b""
    for name, begin, end in chunks(data):
        if name == b"IDAT":
            break
        if name in _COLOURS and end - begin <= 64:
            found += data[begin - 8 : end + 4]
    return found


def with_chunks(data: bytes, more: bytes) -> bytes:
    """A PNG with further chunks behind its header."""
    behind = 33  # the signature and IHDR, whose lengths are fixed
    return data[:behind] + more + data[behind:]


def is_lossless_webp(data: bytes) -> bool:
    """Whether a WebP file (chunks of a name, a length and a body padded to even bytes) has a lossless picture."""
    at = 12
    while at + 8 <= len(data):
        if data[at : at + 4] in (b"VP8L", b"VP8 "):
            return data[at : at + 4] == b"VP8L"
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return False


def webp_exif(data: bytes) -> bytes | None:
    """The EXIF block of a WebP; None where there is none, or its header does not announce one."""
    if data[12:16] != b"VP8X" or not data[20] & 8:
        return None
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"EXIF":
            return data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    return None


def bits_of(data: bytes, kind: str) -> int:
    """The bits of a sample as the header of a JPEG, PNG, AVIF or JPEG 2000 says; 8 where they are fewer."""
    if kind == "PNG":
        return max(8, data[24]) if len(data) > 24 else 8
    if kind == "JPEG":
        at = next((at for marker, at in segments(data) if marker in FRAMES), None)
        return data[at + 4] if at is not None and at + 4 < len(data) else 8
    if kind == "AVIF":
        at = data.find(b"av1C") + 6  # of AV1: high_bitdepth and twelve_bit
        flags = data[at] if 6 <= at < len(data) else 0
        if not flags & 0x40:
            return 8
        return 12 if flags & 0x20 else 10
    if kind == "JPEG2000":
        at = data.find(b"\xff\x4f\xff\x51")
        parts = data[at + 42 : at + 42 + 3 * data[at + 41] : 3] if 0 <= at < len(data) - 42 else b""
        return max([8, *((part & 0x7F) + 1 for part in parts)])
    return 8


def is_beyond_srgb(data: bytes) -> bool:
    """Whether an AVIF or HEIC file names colours other than sRGB's, of a wider space or for HDR (ITU-T H.273)."""
    at = data.find(b"colrnclx") + 8
    if at < 8 or at + 4 > len(data):
        return False
    primaries, transfer = struct.unpack_from(">HH", data, at)
    return primaries not in (1, 2) or transfer not in (1, 2, 6, 13)


def boxes(data: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """Name of each box of a JPEG 2000 file, and where it, its body and what follows it begin."""
    at = 0
    while at + 8 <= len(data):
        length, head = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if length == 0 else at + length
        if end < at + head or end > len(data):
            return
        yield data[at + 4 : at + 8], at, at + head, end
        at = end
