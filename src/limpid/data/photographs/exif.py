"""EXIF, entry by entry and to the byte: read from a block or a TIFF file, and cleaned of what described that.

Values are never interpreted, so that letters beyond ASCII and what cameras add of their own come through. The layout is
TIFF's (EXIF 2.32, section 4.5; TIFF 6.0, section 2; BigTIFF for large files).
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass, field, replace
from typing import Literal

PREFIX = b"Exif\0\0"
ORIENTATION = 274
PROCESSED_BY = 11  # ProcessingSoftware
MAKER_NOTE = 37500
XMP = 700
#: Pointers to directories, each below the one it is named in.
EXIF = 34665
GPS = 34853
INTEROPERABILITY = 40965

#: The bytes of one value of each type.
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1}
_WHOLE = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
#: The types that tags have which others read without asking: text, fractions, and a whole number.
_TYPES = {
    **dict.fromkeys((270, 271, 272, 305, 306, 315, 33432), (2, 129)),
    **dict.fromkeys((282, 283), (5,)),
    **dict.fromkeys((296, 531), (3,)),
    ORIENTATION: tuple(_WHOLE),
}
#: Tags of the main directory that describe how a file stored its pixels, which the new file does in its own way.
_OF_THE_FILE = frozenset(
    {*range(254, 267), 273, 274, 277, 278, 279, 280, 281, 284, *range(288, 294), 297, 301, *range(317, 348)}
    | {*range(512, 522), 529, 530, 532, XMP, 34675, 37724, 42112, 42113, *range(50706, 51200), *range(52525, 52600)}
)
#: What programs for microscopes, and tifffile, write into the description: sizes, types and ranges of the old file.
_DESCRIPTION = 270
_OLD_LAYOUT = re.compile(rb'ImageJ=|SCIFIO=|\{"shape":|<OME\b|<\?xml[^>]*>\s*(<!--.*?-->\s*)?<OME\b', re.DOTALL)
#: The width and the height that the EXIF directory repeats.
_WIDTH, _HEIGHT = 40962, 40963
#: Makers whose notes hold addresses that count from the note itself, so that it may be moved.
_MOVABLE = (b"Nikon\0\x02", b"Apple iOS\0", b"FUJIFILM", b"OLYMPUS\0", b"OM SYSTEM\0", b"PENTAX \0", b"LEICA\0")


@dataclass(frozen=True)
class Entry:
    """A value: the type's number, how many there are, and their bytes."""

    kind: int
    count: int
    value: bytes


Directory = dict[int, Entry]
#: Little or big end first.
Order = Literal["<", ">"]
Bytes = bytes | memoryview | mmap.mmap


@dataclass(frozen=True)
class Exif:
    """The directories of an EXIF block.

    Attributes:
        order: the byte order of all values.
        main: of the picture: camera, date, resolution.
        exif: of the exposure.
        gps: of the place.
        interoperability: of the file's conventions.
        note_at: where the maker's note lay, as its addresses may count from there; None where that is unknown.
        damaged: whether something could not be read and is missing.
        big: whether it comes from a BigTIFF.
    """

    order: Order
    main: Directory = field(default_factory=dict)
    exif: Directory = field(default_factory=dict)
    gps: Directory = field(default_factory=dict)
    interoperability: Directory = field(default_factory=dict)
    note_at: int | None = None
    damaged: bool = False
    big: bool = False

    def __bool__(self) -> bool:
        return bool(self.main or self.exif or self.gps)

    def number(self, tag: int) -> int | None:
        """The single whole number of a tag of the main directory, of any of their types, else None."""
        entry = self.main.get(tag)
        if entry is None or entry.kind not in _WHOLE or entry.count != 1:
            return None
        return int(struct.unpack(self.order + _WHOLE[entry.kind], entry.value)[0])

    def text(self, tag: int) -> str | None:
        """The text of a tag of the main directory, else None."""
        entry = self.main.get(tag)
        return None if entry is None else entry.value.split(b"\0")[0].decode("utf-8", "replace")

    def orientation(self) -> int:
        """The orientation 1 to 8; 1 where it is missing or none of these."""
        found = self.number(ORIENTATION)
        return found if found is not None and 1 <= found <= 8 else 1

    def with_text(self, tag: int, text: str) -> Exif:
        """The same with a text in the main directory."""
        value = text.encode(errors="backslashreplace") + b"\0"  # a file's name may hold what is no letter
        return replace(self, main={**self.main, tag: Entry(2, len(value), value)})


def read(data: Bytes | None, note_stays: bool = True) -> tuple[Exif | None, str]:
    """What can be read of an EXIF block or a TIFF file, see `parse`, and the end of a sentence on what cannot.

    Args:
        data: its bytes; nothing gives nothing.
        note_stays: as of `parse`.
    """
    if data is None:
        return None, ""
    try:
        found = parse(data, note_stays)
    except ValueError:
        return None, "has damaged EXIF, which was left out"
    if not found:
        return None, "has damaged EXIF, which was left out" if found.damaged else ""
    return found, "has EXIF of which a part is damaged and was left out" if found.damaged else ""


def parse(data: Bytes, note_stays: bool = True) -> Exif:
    """What can be read of a TIFF structure, with or without the `Exif` before it.

    Args:
        data: an EXIF block, or a whole TIFF file.
        note_stays: whether addresses in the maker's note may count from the beginning of `data`.

    Raises:
        ValueError: it does not begin as such a structure.
    """
    if data[:6] == PREFIX:
        data = data[6:]
    order: Order = ">" if data[:2] == b"MM" else "<"
    magic = struct.unpack(order + "H", data[2:4])[0] if data[:2] in (b"II", b"MM") and len(data) >= 8 else 0
    if magic not in (42, 43, 0x4F52, 0x5352, 0x55):  # TIFF, BigTIFF, and two cameras' own
        raise ValueError("it is no EXIF")
    walk = _Walk(data, order, magic == 43)
    main = walk.directory(walk.number(8 if walk.big else 4, walk.big))
    exif, gps = (walk.below(main, tag) for tag in (EXIF, GPS))
    interoperability = walk.below(exif, INTEROPERABILITY)
    exif.pop(INTEROPERABILITY, None)
    for tag, kinds in _TYPES.items():
        if tag in main and main[tag].kind not in kinds:
            del main[tag]
            walk.damaged = True
    note_at = walk.places.get(MAKER_NOTE) if note_stays else None
    return Exif(order, main, exif, gps, interoperability, note_at, walk.damaged, walk.big)


class _Walk:
    """Reads directories out of bytes that may say anything."""

    def __init__(self, data: Bytes, order: Order, big: bool) -> None:
        self.data, self.order, self.big = data, order, big
        self.damaged = False
        self.places: dict[int, int] = {}
        self._left = len(data)  # what values may hold together: more would be the same bytes over and over

    def number(self, at: int, long: bool) -> int:
        form = self.order + ("Q" if long else "I")
        if at + struct.calcsize(form) > len(self.data):
            return -1
        return int(struct.unpack_from(form, self.data, at)[0])

    def below(self, directory: Directory, tag: int) -> Directory:
        pointer = directory.pop(tag, None)
        if pointer is None:
            return {}
        at = int.from_bytes(pointer.value, "little" if self.order == "<" else "big")
        return self.directory(at)

    def directory(self, at: int) -> Directory:
        found: Directory = {}
        head, size = (8, 20) if self.big else (2, 12)
        if at < 8 or at + head > len(self.data):
            self.damaged = True
            return found
        count = int(struct.unpack_from(self.order + ("Q" if self.big else "H"), self.data, at)[0])
        fits = (len(self.data) - at - head) // size
        self.damaged |= count > fits
        for index in range(min(count, fits, 4096)):
            self._add(found, at + head + index * size)
        return found

    def _add(self, found: Directory, at: int) -> None:
        """Add the entry at `at`, unless it is empty or damaged."""
        tag, kind = struct.unpack_from(self.order + "HH", self.data, at)
        count = self.number(at + 4, self.big)
        size = _BYTES.get(kind, 0) * count
        inside = 8 if self.big else 4
        value_at = at + 4 + inside
        if size > inside:
            value_at = self.number(value_at, self.big)
            self._left -= size
        if kind not in _BYTES or value_at < 0 or value_at + size > len(self.data) or self._left < 0:
            self.damaged = True
        elif size > 0:
            self.places[tag] = value_at
            found.setdefault(tag, Entry(kind, count, bytes(self.data[value_at : value_at + size])))


def cleaned(exif: Exif, width: int, height: int) -> Exif:
    """Without what described the old file and its thumbnail, and with the size of the new one, upright, in pixels."""
    main = {tag: entry for tag, entry in exif.main.items() if tag not in _OF_THE_FILE and entry.kind < 16}
    if _DESCRIPTION in main and _OLD_LAYOUT.match(main[_DESCRIPTION].value):
        del main[_DESCRIPTION]
    below = dict(exif.exif)
    for tag, side in ((_WIDTH, width), (_HEIGHT, height)):
        if tag in below:
            below[tag] = Entry(4, 1, struct.pack(exif.order + "I", side))
    note = below.get(MAKER_NOTE)
    if note is not None and exif.note_at is None and not note.value.startswith(_MOVABLE):
        del below[MAKER_NOTE]  # its addresses would lead elsewhere
    return replace(exif, main=main, exif=below)
