"""Where an AVIF file keeps its EXIF: as an item of its meta box (ISO/IEC 14496-12, section 8.11)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from limpid.data.photographs.containers import boxes


def exif_of(data: bytes) -> bytes | None:
    """The EXIF block of an AVIF file; None where there is none, nothing where it cannot be found."""
    place = _exif_place(data)
    if place is None:
        return None
    item = data[place[0] : place[1]]
    return item[4 + int.from_bytes(item[:4], "big") :]  # first it says how far behind itself the block begins


def without_exif(data: bytes) -> bytes:
    """The same file with empty EXIF, as its decoder refuses a picture for what is wrong there."""
    place = _exif_place(data)
    if place is None or place[1] - place[0] < 12 or place[1] > len(data):
        return data
    empty = (b"\0\0\0\0" + b"II*\0" + b"\x08\0\0\0").ljust(place[1] - place[0], b"\0")
    return data[: place[0]] + empty + data[place[1] :]


def _exif_place(data: bytes) -> tuple[int, int] | None:
    """Where the EXIF item begins and ends in the file."""
    for name, _, body, end in boxes(data):
        if name == b"meta":
            return _place_in_meta(data[body + 4 : end], body + 4)
    return None


def _place_in_meta(meta: bytes, at: int) -> tuple[int, int] | None:
    inside = {name: (body, end) for name, _, body, end in boxes(meta)}
    kinds, places, own = (meta[slice(*inside.get(name, (0, 0)))] for name in (b"iinf", b"iloc", b"idat"))
    try:
        number = next((item for item, kind in _kinds(kinds) if kind == b"Exif"), None)
        found = dict(_places(places)) if places else {}
    except (struct.error, IndexError):
        return 0, 0  # damaged
    if number is None or number not in found:
        return None
    in_meta, begin, length = found[number]
    begin += at + inside[b"idat"][0] if in_meta and own else 0
    return begin, begin + length


def _kinds(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The number and the type of each item."""
    listed = body[6 if body[:1] == b"\0" else 8 :]  # behind the version and how many there are
    for name, _, begin, end in boxes(listed):
        entry = listed[begin:end]
        if name == b"infe" and entry[:1] in (b"\2", b"\3"):
            form = ">H2x4s" if entry[:1] == b"\2" else ">I2x4s"
            number, kind = struct.unpack_from(form, entry, 4)
            yield number, kind


def _places(body: bytes) -> Iterator[tuple[int, tuple[bool, int, int]]]:
    """The number of each item, whether it lies in the meta box itself, where it begins, and its length."""
    version = body[0] if body else 0
    offset_size, length_size, base_size, index_size = body[4] >> 4, body[4] & 15, body[5] >> 4, body[5] & 15
    at = 6
    wide = 4 if version == 2 else 2

    def number(size: int) -> int:
        nonlocal at
        if at + size > len(body):
            raise IndexError
        at += size
        return int.from_bytes(body[at - size : at], "big")

    for _ in range(number(wide)):
        item = number(wide)
        in_meta = bool(version and number(2) & 15)
        number(2)
        base = number(base_size)
        extents = []
        for _ in range(number(2)):
            number(index_size if version else 0)
            extents.append((base + number(offset_size), number(length_size)))
        if len(extents) == 1:  # metadata is never cut into pieces
            yield item, (in_meta, *extents[0])
