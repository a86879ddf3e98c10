"""What the system refuses is one sentence with the file's name, whatever library met it."""

from __future__ import annotations

import errno
import os
import pwd
import resource
import tempfile
from pathlib import Path

import pytest

from limpid import surroundings
from limpid.cli import main, status
from limpid.errors import UserError
from limpid.surroundings import allow_workers, give_home, refuse_unwritable, sentence_of_system


def test_the_system_is_asked_and_its_refusals_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    asked = {
        tmp_path / "file" / "x": "leads through a file as if it were a folder; correct the path.",
        tmp_path: "is a folder, where a file is needed; move it away, or give another place.",
        tmp_path / ("x" * 256): "has a name that is too long for the file system; give a shorter one.",
        tmp_path / "loop": "is a link that leads back to itself, or lies behind one; correct it.",
        tmp_path / "none" / "x": "is not there; correct the path.",
    }
    for path, words in asked.items():
        with pytest.raises(OSError, match="Errno") as raised:
            path.open("w")
        assert sentence_of_system(raised.value) == f"{path} {words}"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "/d/x may not be read or written by you; change its permissions, or give another place."),
        (errno.EROFS, "/d/x lies on a file system that may only be read; give another place."),
        (errno.ENOSPC, "There is no room on the disk to write /d/x; make some, and give the same command again."),
        (errno.EDQUOT, "There is no room left for you to write /d/x (the quota is used up); make some, and give"),
        (errno.EMFILE, "Too many files are open at once, /d/x among them; raise the limit (ulimit -n), or lower"),
        (errno.ESTALE, "/d/x is gone from the server that it lay on; give the same command again."),
        (errno.EIO, "The disk failed at /d/x; check it, and give the same command again."),
    ],
)
def test_refusals_are_found_where_a_library_raised_another_error(number: int, words: str) -> None:
    refusal = OSError(number, os.strerror(number), "/d/x")
    assert (sentence_of_system(refusal) or "").startswith(words)
    begun = OSError(number, os.strerror(number), "/d/x.123-0123abcd.part")
    assert (sentence_of_system(begun) or "").startswith(words), "the file is named by the name it is to have"
    wrapped = ValueError("it could not be saved")
    wrapped.__cause__ = refusal
    assert (sentence_of_system(wrapped) or "").startswith(words)
    of_torch = RuntimeError(f"open file failed because of errno {number} on fopen: {os.strerror(number)}, path: '/d/x'")
    assert (sentence_of_system(of_torch) or "").startswith(words)


def test_shared_memory_that_does_not_suffice_is_named() -> None:
    for text in (
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out",
        "unable to mmap 1024 bytes from file </torch_7_8>: Cannot allocate memory (12)",
        "unable to write to file </torch_7_8>: No space left on device (28)",
    ):
        assert "(/dev/shm) does not suffice; set data.workers=0" in (sentence_of_system(RuntimeError(text)) or "")
    open_files = "unable to open shared memory object </torch_7_8> in read-write mode: Too many open files (24)"
    assert "raise the limit (ulimit -n)" in (sentence_of_system(RuntimeError(open_files)) or "")


def test_errors_of_ones_own_stay() -> None:
    no_place = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    assert sentence_of_system(no_place) == "No usable temporary directory found in ['/tmp']; correct it."
    for error in (ValueError("x"), RuntimeError("shapes differ"), OSError("no number"), KeyError("a")):
        assert sentence_of_system(error) is None


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "loop"):
        said = f"{tmp_path / name} is no folder, so nothing can be written to {tmp_path / name / 'x'}; give another"
        with pytest.raises(UserError) as refused:
            refuse_unwritable(tmp_path / name / "x")
        assert str(refused.value).startswith(said)
        assert status(["demo", f"--output={tmp_path / name / 'x'}"]) == 2
    refuse_unwritable(tmp_path / "new" / "x")


def test_processes_that_load_data_are_refused_where_too_few_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(surroundings.resource, "setrlimit", lambda _, limits: raised.append(limits))
    monkeypatch.setattr(surroundings.resource, "getrlimit", lambda _: (32, 32))
    allow_workers(0)
    with pytest.raises(
        UserError, match=r"^data\.workers=2 needs \d+ open files, and 32 are allowed here; raise the limit"
    ):
        allow_workers(2)
    assert not raised
    monkeypatch.setattr(surroundings.resource, "getrlimit", lambda _: (1024, 4096))
    allow_workers(2)
    assert not raised
    allow_workers(200)
    [(soft, hard)] = raised
    assert (200 * 12 < soft < 4096, hard) == (True, 4096)
    for unlimited in ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), (4096, resource.RLIM_INFINITY)):
        monkeypatch.setattr(surroundings.resource, "getrlimit", lambda _, both=unlimited: both)
        allow_workers(10)


def test_a_current_directory_that_was_removed_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    said = "The current directory cannot be used (No such file or directory); change to another, and give the command"
    for words in (["table"], ["train", "model=aod_net"], ["predict", "input=a.png"], ["zoo", "list"]):
        assert status(words) == 2
        assert capsys.readouterr().err.startswith(said)
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "usage: limpid COMMAND" in capsys.readouterr().out


def test_a_user_without_name_and_home_gets_both_for_as_long_as_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(number: int) -> object:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    removed: list[tuple[object, ...]] = []
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(surroundings.atexit, "register", lambda *call: removed.append(call))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    give_home()
    assert os.environ["USER"] == f"user-{os.getuid()}"
    assert Path.home().parent == tmp_path
    [(remove, *arguments)] = removed
    assert callable(remove)
    remove(*arguments)
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USER", "somebody")
    give_home()
    assert (os.environ["HOME"], os.environ["USER"], len(removed)) == (str(tmp_path), "somebody", 1)
