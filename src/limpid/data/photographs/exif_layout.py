"""EXIF as bytes again: a block of its own, or behind the pixels of a TIFF file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

from limpid.data.photographs.exif import (
    EXIF,
    GPS,
    INTEROPERABILITY,
    MAKER_NOTE,
    PREFIX,
    PROCESSED_BY,
    Directory,
    Entry,
    Exif,
    Order,
)

_FURTHEST = 60000  # a maker's note further back stays in no block that a JPEG can hold


def to_bytes(exif: Exif) -> bytes:
    """The block with its prefix; the maker's note lies where it lay, as its addresses may count from there."""
    note = exif.exif.get(MAKER_NOTE)
    reserved = None
    if note is not None and exif.note_at is not None and 8 <= exif.note_at <= _FURTHEST:
        reserved = (exif.note_at, exif.note_at + len(note.value))
    layout = _Layout(exif.order, 8, reserved)
    at = layout.write_all(exif)
    magic = b"II*\0" if exif.order == "<" else b"MM\0*"
    return PREFIX + magic + struct.pack(exif.order + "I", at) + bytes(layout.data)


def below_a_file(exif: Exif, picture: Directory, length: int) -> tuple[int, bytes]:
    """Where the main directory lies, and what is to follow the first `length` bytes of a TIFF file.

    Args:
        exif: what to add.
        picture: the tags of the file's picture, in the same byte order.
        length: of the file; an even number.
    """
    layout = _Layout(exif.order, length, None)
    at = layout.write_all(replace(exif, main={**picture, **exif.main}))
    return at, bytes(layout.data)


class _Layout:
    """Lays directories and their values one after another, around bytes that are reserved."""

    def __init__(self, order: Order, begin: int, reserved: tuple[int, int] | None) -> None:
        self.order, self.begin, self.reserved = order, begin, reserved
        self.cursor = begin
        self.data = bytearray()

    def put(self, at: int, value: bytes) -> None:
        """Write `value` to lie `at` bytes behind the beginning of the file, which is not held itself."""
        at -= self.begin
        self.data.extend(bytes(max(0, at + len(value) - len(self.data))))
        self.data[at : at + len(value)] = value

    def free(self, size: int) -> int:
        at = self.cursor + self.cursor % 2
        if self.reserved is not None and at < self.reserved[1] and at + size > self.reserved[0]:
            at = self.reserved[1] + self.reserved[1] % 2
        self.cursor = at + size
        return at

    def write_all(self, exif: Exif) -> int:
        """Where the main directory lies."""
        main, below = dict(exif.main), dict(exif.exif)
        place = self.write
        at = self.free(self.size(main) + 12 * (bool(below or exif.interoperability) + bool(exif.gps)))
        if exif.interoperability:
            below[INTEROPERABILITY] = self._pointer(place(exif.interoperability))
        if below:
            main[EXIF] = self._pointer(place(below))
        if exif.gps:
            main[GPS] = self._pointer(place(exif.gps))
        self._fill(at, main)
        return at

    @staticmethod
    def size(directory: Directory) -> int:
        return 2 + 12 * len(directory) + 4

    def write(self, directory: Directory) -> int:
        """Where the directory lies."""
        at = self.free(self.size(directory))
        self._fill(at, directory)
        return at

    def _pointer(self, at: int) -> Entry:
        return Entry(4, 1, struct.pack(self.order + "I", at))

    def _fill(self, at: int, directory: Directory) -> None:
        out = struct.pack(self.order + "H", len(directory))
        for tag, entry in sorted(directory.items()):
            out += struct.pack(self.order + "HHI", tag, entry.kind, entry.count)
            if len(entry.value) <= 4:
                out += entry.value.ljust(4, b"\0")
            else:
                out += struct.pack(self.order + "I", self._value(tag, entry.value))
        self.put(at, out + bytes(4))

    def _value(self, tag: int, value: bytes) -> int:
        """Where the value lies."""
        at = self.reserved[0] if tag == MAKER_NOTE and self.reserved is not None else self.free(len(value))
        self.put(at, value)
        return at


def shortened(exif: Exif, most: int) -> tuple[bytes | None, str]:
    """The block in at most `most` bytes, and the end of a sentence on what was left out for it.

    The maker's note goes first, then other values of more than 1000 bytes, such as a photo program's own, at last all
    but what the file was processed by.
    """
    steps: tuple[tuple[str, Callable[[int, Entry], bool]], ...] = (
        ("", lambda tag, entry: True),
        ("has no room for the camera maker's note, which was left out", lambda tag, entry: tag != MAKER_NOTE),
        (
            "has no room for the long values of EXIF, which were left out",
            lambda tag, entry: tag != MAKER_NOTE and len(entry.value) <= 1000,
        ),
    )
    for note, keeps in steps:
        main = {tag: entry for tag, entry in exif.main.items() if keeps(tag, entry)}
        below = {tag: entry for tag, entry in exif.exif.items() if keeps(tag, entry)}
        shorter = to_bytes(replace(exif, main=main, exif=below))
        if len(shorter) <= most:
            return shorter, note
    left = {tag: entry for tag, entry in exif.main.items() if tag == PROCESSED_BY}
    block = to_bytes(Exif(exif.order, left)) if left else None
    return block, "has no room for so much EXIF, which was left out"
