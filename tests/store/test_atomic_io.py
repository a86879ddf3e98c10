"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from limpid.store.atomic_io import atomic_write, read_json, write_json


def test_the_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    with atomic_write(path) as file:
        file.write_bytes(b"1")
        assert not path.exists()
        assert file.parent == path.parent, "renaming works within one file system alone"
    assert path.read_bytes() == b"1"
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(file: Path) -> None:
        file.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), atomic_write(path) as file:
        fail(file)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_name_can_be_given(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.png", tmp_path / ".making-a.png") as file:
        assert file.name == ".making-a.png"
        file.write_bytes(b"x")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_json_comes_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ä": [1, 2.5]})
    assert read_json(tmp_path / "a.json") == {"ä": [1, 2.5]}
    assert read_json(tmp_path / "none.json") is None


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    name = "e" * 251 + ".txt"
    with atomic_write(tmp_path / name) as file:
        file.write_bytes(b"x")
    assert [file.name for file in tmp_path.iterdir()] == [name]
