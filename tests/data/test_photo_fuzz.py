"""Damaged files of every format are read or refused with a sentence that names them, whatever a decoder raises."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.photo_files import every_format

from limpid.data.image_io import read_image
from limpid.data.photo_io import frames, processed_by, read_photograph, size_of, write_photograph
from limpid.errors import UserError

FILES = 2000
SEEDS = every_format()


def mutated(data: bytes, rng: random.Random) -> bytes:
    """With bytes changed, removed or added, mostly in the header, or its end cut off."""
    damaged = bytearray(data)
    reach = min(len(data), rng.choice((64, 400, len(data))))
    how = rng.randrange(6)
    if how == 0:
        return data[: rng.randrange(len(data))]
    if how == 1:
        at = rng.randrange(reach)
        damaged[at : at + rng.randrange(9)] = rng.randbytes(rng.randrange(9))
        return bytes(damaged)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        damaged[rng.randrange(reach)] = rng.choice((rng.randrange(256), 0, 1, 127, 255))
    return bytes(damaged)


def checksums_mended(data: bytes) -> bytes:
    """A PNG whose checksums fit again, so that the damage behind them is met."""
    mended, at = bytearray(data), 8
    while at + 12 <= len(mended):
        end = at + 8 + int.from_bytes(mended[at : at + 4], "big")
        if end + 4 > len(mended):
            break
        mended[end : end + 4] = struct.pack(">I", zlib.crc32(bytes(mended[at + 4 : end])))
        at = end + 4
    return bytes(mended)


def read_or_refused(read: Callable[[Path], Any], path: Path) -> Any:
    """What is read, or None where a sentence that names the file refuses it."""
    try:
        return read(path)
    except UserError as error:
        if str(path) not in str(error):
            raise
        return None


@pytest.mark.filterwarnings("ignore::UserWarning")  # what Pillow finds odd
@pytest.mark.parametrize("part", range(4))
def test_mutated_files_are_read_or_refused(tmp_path: Path, part: int) -> None:
    rng = random.Random(part)
    read = 0
    for number in range(FILES // 4):
        name = list(SEEDS)[number % len(SEEDS)]
        data = mutated(SEEDS[name], rng)
        if name.endswith("png") and number % 5:
            data = checksums_mended(data)
        path = tmp_path / f"a.{name}"
        path.write_bytes(data)
        photograph = read_or_refused(lambda path: (size_of(path), read_photograph(path, megapixels=0.1))[1], path)
        if photograph is None:
            continue
        read += 1
        assert photograph.pixels.dtype == np.float32
        assert 0 <= photograph.pixels.min() <= photograph.pixels.max() <= 1
        again = tmp_path / f"b.{rng.choice(('png', 'jpg', 'tif', 'webp'))}"
        write_photograph(again, photograph.pixels, photograph, processed_by="Limpid")
        assert processed_by(again) == "Limpid"
        assert next(frames(path, megapixels=0.1)).shape[2] == 3
        image = read_or_refused(read_image, path)
        if image is not None:
            np.testing.assert_array_equal(image, photograph.pixels, err_msg=path.name)
    assert read > FILES // 4 // 10, "most damage is small"


@pytest.mark.parametrize("name", SEEDS)
def test_a_file_cut_short_is_never_half_read(tmp_path: Path, name: str) -> None:
    (tmp_path / f"whole.{name}").write_bytes(SEEDS[name])
    whole = read_photograph(tmp_path / f"whole.{name}").pixels
    np.testing.assert_array_equal(read_image(tmp_path / f"whole.{name}"), whole)
    cut = tmp_path / f"cut.{name}"
    for length in np.linspace(8, len(SEEDS[name]) - 1, 20).astype(int):
        cut.write_bytes(SEEDS[name][:length])
        for read in (lambda path: read_photograph(path).pixels, read_image):
            found = read_or_refused(read, cut)
            if found is not None:
                np.testing.assert_array_equal(found, whole, err_msg=f"{length} of {len(SEEDS[name])} bytes")
