"""The machine as a command meets it: a home folder, and what the system says where it refuses something."""

from __future__ import annotations

import atexit
import errno
import getpass
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from limpid.errors import UserError

try:
    import resource
except ImportError:  # on Windows there is no such limit
    resource = None  # type: ignore[assignment]

#: What the system may say of a place, and how to mend it; `{file}` is the file's name.
_REMEDIES = {
    errno.EACCES: "{file} may not be read or written by you; change its permissions, or give another place.",
    errno.EPERM: "{file} may not be changed by you; change its permissions, or give another place.",
    errno.EROFS: "{file} lies on a file system that may only be read; give another place.",
    errno.ENOSPC: "There is no room on the disk to write {file}; make some, and give the same command again.",
    errno.EDQUOT: "There is no room left for you to write {file} (the quota is used up); make some, and give the same "
    "command again.",
    errno.EFBIG: "{file} may not grow that large here; raise the limit, or give another place.",
    errno.ENOENT: "{file} is not there; correct the path.",
    errno.ENOTDIR: "{file} leads through a file as if it were a folder; correct the path.",
    errno.EISDIR: "{file} is a folder, where a file is needed; move it away, or give another place.",
    errno.EEXIST: "{file} is in the way; move it away, or give another place.",
    errno.ENOTEMPTY: "{file} is a folder that is not empty; move it away, or give another place.",
    errno.ENAMETOOLONG: "{file} has a name that is too long for the file system; give a shorter one.",
    errno.ELOOP: "{file} is a link that leads back to itself, or lies behind one; correct it.",
    errno.EMFILE: "Too many files are open at once, {file} among them; raise the limit (ulimit -n), or lower "
    "data.workers.",
    errno.ENFILE: "The machine has too many files open at once, {file} among them; close some programs.",
    errno.ESTALE: "{file} is gone from the server that it lay on; give the same command again.",
    errno.EIO: "The disk failed at {file}; check it, and give the same command again.",
    errno.ENXIO: "{file} is a device or a pipe that cannot be used; give a file.",
    errno.ENODEV: "{file} is a device that cannot be used; give a file.",
    errno.EBUSY: "{file} is in use by the system; give another place.",
    errno.ETXTBSY: "{file} is a program that runs; give another place.",
    errno.EAGAIN: "No further process or thread may be started here; raise the limit (ulimit -u), or lower "
    "data.workers.",
    errno.ENOMEM: "The memory does not suffice; close other programs, or ask for less at once.",
}
#: What is said of the memory that processes share, by PyTorch, where its own errors have no number.
_SHARED_MEMORY = re.compile(
    r"Bus error|unable to (?:mmap|open shared memory|write to file </torch)|shm_open|/torch_\d",
)
#: The open files that two batches of a few tensors under way take for each process that loads data, and those beside.
_FILES_OF_WORKER, _FILES_BESIDE = 12, 8
#: What `limpid.store.atomic_io` adds to the name of a file that is being written.
_TEMPORARY = re.compile(r"\.\d+-[0-9a-f]{8}\.part")
_SHARED = (
    "The memory that data-loading processes share (/dev/shm) does not suffice; set data.workers=0, or make it larger, "
    "in a container by --shm-size=8g or --ipc=host."
)


def sentence_of_system(error: BaseException) -> str | None:
    """What to say of an error with which the system refused a file, a process or memory; None for any other error.

    Libraries raise some of these again as errors of their own; then the system's words are looked for in theirs.
    """
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno in _REMEDIES:
            if one.filename is None and one.errno == errno.ENOENT:  # such as where no place for temporary files is
                return f"{one.strerror}; correct it."
            name = one.filename2 if one.errno == errno.EISDIR and one.filename2 else one.filename
            return _said(one.errno, None if name is None else str(name))
        if isinstance(one, RuntimeError):
            text = str(one)
            number = next((n for n in _REMEDIES if os.strerror(n) in text), None)
            if _SHARED_MEMORY.search(text) and number not in (errno.EMFILE, errno.EACCES):
                return _SHARED
            if number is not None:
                return _said(number, _named_in(text))
    return None


@contextmanager
def refusals_of_system() -> Iterator[None]:
    """Turn an error with which the system refused a file, a process or memory into the sentence that says so.

    Here, because one of several processes, a job of a sweep and a notebook are to hear it too.

    Raises:
        UserError: there was one.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        said = sentence_of_system(error)
        if said is None:
            raise
        raise UserError(said) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that it was raised from; libraries' own are often raised while they clear up."""
    while error is not None:
        yield error
        error = error.__cause__ or (error.__context__ if type(error) is RuntimeError else None)


def _said(number: int, name: str | None) -> str:
    named = None if name is None else _TEMPORARY.sub("", name)
    sentence = _REMEDIES[number].format(file=named or "a file")
    return sentence[0].upper() + sentence[1:] if name is None else sentence


def _named_in(text: str) -> str | None:
    """The path that a library's message names in quotes or brackets."""
    found = re.search(r"['\"<](/[^'\"<>]+)['\">]", text)
    return found[1] if found else None


def refuse_unwritable(folder: Path) -> None:
    """Refuse a folder in which nothing can be written, before any work is done.

    Raises:
        UserError: it is one, or lies in one; or a file has its name.
    """
    existing = folder
    while not os.path.lexists(existing) and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise UserError(f"{existing} is no folder, so nothing can be written to {folder}; give another output.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"Nothing can be written to {existing}; give another output, or mend its permissions.")


def allow_workers(workers: int) -> None:
    """Raise the limit of open files to what processes that load data need; where it stays too low they are refused.

    A batch comes through open files; where one cannot be opened, PyTorch waits for the batch without end.

    Raises:
        UserError: the system allows fewer.
    """
    if workers == 0 or resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = len(list(Path("/dev/fd").iterdir())) + _FILES_BESIDE + _FILES_OF_WORKER * workers
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UserError(
            f"data.workers={workers} needs {needed} open files, and {hard} are allowed here; raise the limit (ulimit "
            "-n), or lower data.workers."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def why_no_current_folder() -> str | None:
    """The reason in a sentence why the current directory cannot be used, as where it was removed; None if it can."""
    try:
        os.getcwd()  # noqa: PTH109 - nothing else is wanted of it
    except OSError as error:
        return (
            f"The current directory cannot be used ({error.strerror}); change to another, and give the command again."
        )
    return None


def give_home() -> None:
    """Name a user and a home folder in the environment where the system knows none, as in a container with --user.

    Libraries ask for both, and end with errors of their own. The folder is a temporary one. Where there is a home that
    may not be written to, only Matplotlib is given a folder.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        os.environ["USER"] = f"user-{os.getuid()}"
    try:
        home = Path.home()
    except RuntimeError:
        os.environ["HOME"] = _temporary_folder()
        return
    if not os.access(home, os.W_OK):  # Matplotlib would say so in three lines
        os.environ.setdefault("MPLCONFIGDIR", _temporary_folder())


def _temporary_folder() -> str:
    """The path of a folder that goes when this process ends."""
    folder = tempfile.mkdtemp(prefix="limpid-home-")
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:  # not in one that was forked from it
        shutil.rmtree(folder, ignore_errors=True)
