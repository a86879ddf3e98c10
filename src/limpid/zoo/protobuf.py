"""Protobuf's messages as far as files of weights need them: numbers, and bytes that may be messages again."""

from __future__ import annotations

from collections.abc import Iterator

#: Protobuf's wire types: a number, eight bytes, bytes with their length before them, four bytes.
_NUMBER, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


class DamagedError(Exception):
    """What is wrong with a file, in a phrase."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: the number of each, and its value, a number or bytes."""
    place = 0
    while place < len(message):
        key, place = read_number(message, place)
        kind = key & 7
        if kind == _NUMBER:
            value, place = read_number(message, place)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            length, place = read_number(message, place)
        elif kind in (_EIGHT, _FOUR):
            length = 8 if kind == _EIGHT else 4
        else:
            raise DamagedError("a field is of no kind that is read here")
        if place + length > len(message):
            raise DamagedError("it ends in the middle of a field")
        yield key >> 3, message[place : place + length]
        place += length


def read_number(message: memoryview, place: int) -> tuple[int, int]:
    """The number at `place`, seven bits in each byte, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise DamagedError("it ends in the middle of a number")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise DamagedError("a number is longer than ten bytes")
