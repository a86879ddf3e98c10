"""The hash of files: what changes it, and what does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from limpid.errors import UserError
from limpid.store import content
from limpid.store.content import content_digest


def written(folder: Path, **files: bytes) -> list[tuple[str, Path]]:
    folder.mkdir(exist_ok=True)
    for name, values in files.items():
        (folder / name).write_bytes(values)
    return [(name, folder / name) for name in files]


def test_neither_place_nor_order_nor_time_matters(tmp_path: Path) -> None:
    here = written(tmp_path / "a", x=b"1", y=b"22")
    there = written(tmp_path / "b", y=b"22", x=b"1")
    os.utime(tmp_path / "b" / "x", (1, 1))
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert content_digest(here) == content_digest(there)
    assert content_digest(here) == content_digest([(name, tmp_path / "link" / name) for name in ("y", "x")])


def test_names_sizes_and_bytes_matter(tmp_path: Path) -> None:
    others = [
        {"x": b"1", "z": b"22"},
        {"x": b"1", "y": b"23"},
        {"x": b"22", "y": b"1"},
        {"x": b"1"},
        {"x": b"12", "y": b"2"},
    ]
    digests = [
        content_digest(written(tmp_path / str(i), **files))
        for i, files in enumerate([{"x": b"1", "y": b"22"}, *others])
    ]
    assert len(set(digests)) == len(digests)


def test_a_file_that_changes_in_place_is_seen(tmp_path: Path) -> None:
    files = written(tmp_path, x=b"1")
    before = content_digest(files)
    os.utime(tmp_path / "x", (1, 1))
    assert content_digest(files) == before
    (tmp_path / "x").write_bytes(b"2")
    assert content_digest(files) != before


@pytest.mark.parametrize(("place", "seen"), [(0, True), (20_000, True), (39_999, True), (10_000, False)])
def test_of_large_sets_first_middle_and_last_block_of_every_file_are_read(
    place: int, seen: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = bytearray(40_000)
    changed[place] = 1
    here, there = written(tmp_path / "a", x=bytes(40_000)), written(tmp_path / "b", x=bytes(changed))
    assert content_digest(here) != content_digest(there), "a set that is not large is read whole"
    monkeypatch.setattr(content, "_BYTES", 10_000)
    assert (content_digest(here) != content_digest(there)) == seen


def test_a_file_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.png cannot be read \(No such file or directory\); complete the set"):
        content_digest([("x", tmp_path / "gone.png")])
