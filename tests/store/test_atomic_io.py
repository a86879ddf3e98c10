"""Files are written whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import limpid
from limpid.store.atomic_io import atomic_write, json_text, read_json, temporary_path, write_json


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


def test_what_killed_processes_left_is_swept_up_and_nothing_else(tmp_path: Path) -> None:
    mine = temporary_path(tmp_path / "a.txt").name
    process, numbering = mine.removeprefix("a.txt.").removesuffix(".part").split("-")
    assert int(process) == os.getpid()
    ended = subprocess.Popen(["true"])
    ended.wait()
    folder = tmp_path / "folder"
    left = {f"a.txt.{ended.pid}-{numbering}.part", f"b.{ended.pid}-{numbering}.part.onnx"}
    old = f"c.txt.{ended.pid}-00000000.part"  # of another machine
    kept = {
        f"a.txt.{os.getppid()}-{numbering}.part",
        f"a.txt.{ended.pid}-0000000a.part",
        "a.part",
        "a.txt.12.part",
        f"a.{ended.pid}-{numbering}.part.txt.gz",
    }
    folder.mkdir()
    for name in (*left, *kept, old):
        (folder / name).write_text("half")
    os.utime(folder / old, (0, 0))
    (folder / f"report.{ended.pid}-{numbering}.part" / "deep").mkdir(parents=True)
    with atomic_write(folder / "new.txt") as file:
        file.write_text("x")
    assert {path.name for path in folder.iterdir()} == {*kept, "new.txt"}


def test_names_of_other_bytes_are_json_too(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    assert json.loads(json_text({"name": name, "ä": "ö"})) == {"name": name, "ä": "ö"}
    assert json_text({"ä": Path("a")}) == '{"ä": "a"}'
    write_json(tmp_path / "a.json", {"name": name})
    assert read_json(tmp_path / "a.json") == {"name": name}


def test_no_json_is_written_at_another_place() -> None:
    """What is no file and no answer may be: fingerprints, keys of caches, sentences."""
    source = Path(limpid.__file__).parent
    others = {"store/atomic_io.py", "store/fingerprint.py", "config/kinds.py", "data/make/images.py"}
    found = {path.relative_to(source).as_posix() for path in source.rglob("*.py") if "json.dump" in path.read_text()}
    assert found <= others
