"""The record of an output folder: what is done, what is another's, and what it survives."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limpid.data.photo_io import read_photograph, write_photograph
from limpid.predicting.manifest import NAME, Manifest, Source, State, said_in_result

OURS, OTHER = "Limpid 0.1.0, dcp", "Limpid 0.1.0, wmcp"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    Image.fromarray(np.full((9, 12, 3), 99, np.uint8)).save(path)
    return path


def written(manifest: Manifest, source: Path, name: str = "a.png", by: str = OURS) -> Path:
    assert manifest.folder is not None
    path = manifest.folder / name
    photograph = read_photograph(source)
    write_photograph(path, photograph.pixels, photograph, processed_by=by)
    manifest.add(path, by, Source.of(source))
    return path


@pytest.mark.parametrize("name", ["a.png", "ä [1].jpg", "sub/a.tif", "a.bmp", "a.webp", os.fsdecode(b"caf\xe9.png")])
def test_states(tmp_path: Path, source: Path, name: str) -> None:
    folder = tmp_path / "out"
    path = written(Manifest(folder), source, name)
    again = Manifest(folder)  # as the next command finds it
    assert again.state(folder / "b.png", OURS, source) is State.ABSENT
    assert again.state(path, OURS, source) is State.DONE
    assert again.state(path, OTHER, source) is State.OTHER
    os.utime(source, (1, 1))  # only the time
    assert again.state(path, OURS, source) is State.DONE
    Image.fromarray(np.full((9, 12, 3), 98, np.uint8)).save(source)
    assert again.state(path, OURS, source) is State.CHANGED
    path.write_bytes(path.read_bytes() + b" ")  # as an editor would
    assert again.state(path, OURS, source) is State.FOREIGN


def test_a_result_with_a_name_of_its_own_tells_of_which_photograph_it_is(tmp_path: Path, source: Path) -> None:
    record = Manifest(None)
    photograph, path, other = read_photograph(source), tmp_path / "clear.jpg", tmp_path / "other.png"
    write_photograph(path, photograph.pixels, photograph, processed_by=said_in_result(OURS, Source.of(source)))
    Image.fromarray(np.full((9, 12, 3), 98, np.uint8)).save(other)
    os.utime(other, (1, 1))  # older than the result
    assert record.state(path, OURS, source) is State.DONE
    assert record.state(path, OTHER, source) is State.OTHER
    assert record.state(path, OURS, other) is State.CHANGED


@pytest.mark.parametrize("damage", ["gone", "cut", "rubbish", "empty", "a folder"])
def test_results_tell_their_method_without_the_record(tmp_path: Path, source: Path, damage: str) -> None:
    folder = tmp_path / "out"
    path = written(Manifest(folder), source)
    record = folder / NAME
    content = record.read_bytes()
    record.unlink()
    if damage == "a folder":
        record.mkdir()
    elif damage != "gone":
        record.write_bytes({"cut": content[:40], "rubbish": b"\xff\xfe[1]\n{}\n7\n", "empty": b""}[damage])
    manifest = Manifest(folder)
    assert manifest.state(path, OURS, source) is State.DONE
    assert manifest.state(path, OTHER, source) is State.OTHER
    os.utime(source, ns=(0, path.stat().st_mtime_ns + 10**9))  # newer than its result
    assert manifest.state(path, OURS, source) is State.CHANGED


def test_a_line_that_was_cut_does_not_spoil_the_next(tmp_path: Path, source: Path) -> None:
    folder = tmp_path / "out"
    written(Manifest(folder), source, "a.bmp")
    (folder / NAME).write_bytes((folder / NAME).read_bytes()[:-9])
    path = written(Manifest(folder), source, "b.bmp")
    assert Manifest(folder).state(path, OURS, source) is State.DONE
    assert Manifest(folder).state(folder / "a.bmp", OURS, source) is State.FOREIGN  # a BMP cannot tell


def test_two_commands_write_into_one_folder(tmp_path: Path, source: Path) -> None:
    one, two = Manifest(tmp_path / "out"), Manifest(tmp_path / "out")
    paths = [written(manifest, source, f"{i}.bmp") for i, manifest in enumerate((one, two, one, two))]
    assert [Manifest(tmp_path / "out").state(path, OURS, source) for path in paths] == [State.DONE] * 4


def test_other_files_are_nobodys(tmp_path: Path, source: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.png").write_bytes(source.read_bytes())
    (folder / "b.png").mkdir()
    (folder / "c.png").symlink_to("gone")
    for name in "abc":
        assert Manifest(folder).state(folder / f"{name}.png", OURS, source) is State.FOREIGN
