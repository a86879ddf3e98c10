"""Weights in TensorFlow's checkpoints of the second version: an `.index` file beside files `.data-00000-of-00001`.

The index is a table of LevelDB's format: blocks of entries whose keys share what they begin with, and a footer that
leads to a block of the blocks' places. A value is a small protobuf message: of a tensor its type (field 1), shape (2),
file (3), place (4), length (5) and checksum (6). The data are the tensors' bytes one after the other. Checksums of
blocks and tensors are compared. Nothing in a file is executed, and no memory is taken that the files do not fill.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from limpid.errors import UserError
from limpid.zoo.protobuf import DamagedError, fields, read_number

SUFFIX = ".index"
_DATA = re.compile(r"\.data-\d{5}-of-\d{5}")
_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
#: What stands behind a block: a byte that says how it is compressed, and its checksum.
_TRAILER = 5
_PLAIN, _SNAPPY = 0, 1
_MOST_SIDES = 32
#: TensorFlow's numbers of the types that weights and counters have.
_KINDS = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 19: "<f2"}
_TEXT = 7
_KIND, _SHAPE, _SHARD, _PLACE, _LENGTH, _CHECKSUM, _SLICES = range(1, 8)


class _Entry(NamedTuple):
    """What the index says of a tensor."""

    kind: int
    shape: list[int]
    shard: int
    place: int
    length: int
    checksum: int


def is_data(file: Path) -> bool:
    """Whether `file` is called as the data files beside an index are."""
    return bool(_DATA.fullmatch(file.suffix))


def weights(file: Path) -> dict[str, Tensor]:
    """The tensors of the checkpoint whose index is `file`, by the names of their variables; texts are left out.

    Raises:
        UserError: a file is missing, cannot be read, is damaged, or holds what cannot be imported.
    """
    try:
        return _weights(file)
    except (DamagedError, OSError) as error:
        raise UserError(
            f"The file {file} is not the index of a TensorFlow checkpoint that can be imported ({error}); copy it and "
            "the .data files beside it again, or give another."
        ) from error


def _weights(file: Path) -> dict[str, Tensor]:
    shards = 0
    entries: dict[str, _Entry] = {}
    for key, value in table(file.read_bytes()):
        if key:
            entries[_name(key)] = _entry(value)
        else:
            shards = _header(value)
    data = {shard: _shard(file, shard, shards) for shard in sorted({entry.shard for entry in entries.values()})}
    if sum(entry.length for entry in entries.values()) > sum(map(len, data.values())):
        raise DamagedError("its tensors are larger than the data")
    found = {}
    for name, entry in entries.items():
        if entry.kind != _TEXT:
            found[name] = _tensor(name, entry, data[entry.shard])
    if not found:
        raise DamagedError("it holds no tensors")
    return found


def _shard(index: Path, shard: int, shards: int) -> memoryview:
    """The bytes of one of the data files beside `index`."""
    if shard >= shards:
        raise DamagedError(f"a tensor lies in file {shard} of {shards}")
    file = index.with_name(f"{index.stem}.data-{shard:05d}-of-{shards:05d}")
    if not file.is_file():
        raise DamagedError(f"{file.name} is not beside it")
    return memoryview(file.read_bytes())


def _tensor(name: str, entry: _Entry, data: memoryview) -> Tensor:
    """The tensor of an entry, out of the bytes of its file."""
    if entry.kind not in _KINDS:
        raise DamagedError(f"{name} has TensorFlow's type {entry.kind}, which is not read")
    kind = np.dtype(_KINDS[entry.kind])
    if len(entry.shape) > _MOST_SIDES or not entry.length or math.prod(entry.shape) * kind.itemsize != entry.length:
        raise DamagedError(f"{name} of the shape {'x'.join(map(str, entry.shape))} has {entry.length} bytes")
    if entry.place + entry.length > len(data):
        raise DamagedError(f"the data ends before {name} does")
    content = data[entry.place : entry.place + entry.length]
    if checksum(content) != entry.checksum:
        raise DamagedError(f"the data of {name} is damaged")
    values = np.frombuffer(content, kind).reshape(entry.shape)
    return torch.from_numpy(values.astype(kind.newbyteorder("=")))  # a copy that may be written to


def _name(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise DamagedError("a name is no text") from error


def _header(message: memoryview) -> int:
    """How many data files there are."""
    known = {field: value for field, value in fields(message) if isinstance(value, int)}
    if known.get(2, 0) != 0:
        raise DamagedError("its numbers are of a machine that writes their bytes in the other order")
    return known.get(1, 0)


def _entry(message: memoryview) -> _Entry:
    numbers: dict[int, int] = {}
    shape: list[int] = []
    for field, value in fields(message):
        if field == _SLICES:
            raise DamagedError("a tensor is stored in slices")
        if field == _SHAPE and isinstance(value, memoryview):
            shape = list(_sides(value))
        elif field == _CHECKSUM and isinstance(value, memoryview):
            numbers[field] = int.from_bytes(value, "little")
        elif isinstance(value, int):
            numbers[field] = value
    kind, shard, place, length, check = (numbers.get(field, 0) for field in (_KIND, _SHARD, _PLACE, _LENGTH, _CHECKSUM))
    return _Entry(kind, shape, shard, place, length, check)


def _sides(message: memoryview) -> Iterator[int]:
    """The sides of a shape."""
    for field, value in fields(message):
        if field == 2 and isinstance(value, memoryview):
            sizes = [size for part, size in fields(value) if part == 1 and isinstance(size, int)]
            yield sizes[0] if sizes else 0


def table(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The keys and values of a table in LevelDB's format, whose whole file is `content`."""
    view = memoryview(content)
    if len(view) < _FOOTER or int.from_bytes(view[-8:], "little") != _MAGIC:
        raise DamagedError("it does not end as such an index does")
    footer = view[-_FOOTER:]
    place = 0
    for _ in range(2):  # where the block of statistics lies, which is not read
        _, place = read_number(footer, place)
    done = 0
    for _, handle in _entries(_block(view, footer[place:], 0)):
        yield from _entries(_block(view, handle, done))
        done = sum(_place(handle))  # blocks lie one behind the other


def _block(content: memoryview, handle: memoryview, first: int) -> memoryview:
    """The block whose place, `first` or behind it, and length are in `handle`, once its checksum was compared."""
    start, length = _place(handle)
    if start < first or start + length + _TRAILER > len(content):
        raise DamagedError("it leads to a place where no block is")
    whole = content[start : start + length + 1]
    compression = whole[-1]
    if checksum(whole) != int.from_bytes(content[start + length + 1 : start + length + _TRAILER], "little"):
        raise DamagedError("a block of it is damaged")
    if compression != _PLAIN:
        kind = "Snappy" if compression == _SNAPPY else f"the method {compression}"
        raise DamagedError(f"it is compressed by {kind}, which is not read")
    return whole[:-1]


def _place(handle: memoryview) -> tuple[int, int]:
    """Where a block begins, and how long it is."""
    start, after = read_number(handle, 0)
    return start, read_number(handle, after)[0]


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """The keys and values of a block."""
    if len(block) < 4:
        raise DamagedError("a block of it is too short")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise DamagedError("a block of it is too short")
    place, key = 0, b""
    while place < end:
        shared, place = read_number(block, place)
        own, place = read_number(block, place)
        length, place = read_number(block, place)
        if shared > len(key) or place + own + length > end:
            raise DamagedError("an entry of it is longer than its block")
        key = key[:shared] + bytes(block[place : place + own])
        place += own
        yield key, block[place : place + length]
        place += length


@functools.cache
def _crc_table() -> list[int]:
    """What each byte changes in a CRC-32C."""
    changes = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        changes.append(byte)
    return changes


def checksum(content: bytes | memoryview) -> int:
    """The CRC-32C of `content`, turned and shifted as TensorFlow and LevelDB store it."""
    changes = _crc_table()
    crc = 0xFFFFFFFF
    for byte in bytes(content):
        crc = changes[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
