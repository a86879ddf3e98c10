"""The parameter files that NIQE, BRISQUE and SSEQ were published with: found, or fetched once, and verified.

They are LIVE's (The University of Texas at Austin; SSEQ's also the Beijing Institute of Technology's), free for any
purpose while their notice is kept and their papers are cited. Limpid ships none of them.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from limpid.errors import UserError

_RAW = "https://raw.githubusercontent.com/utlive"


@dataclass(frozen=True)
class ParameterFile:
    """A published file, pinned by its content.

    Attributes:
        path: where it lies below a parameter directory.
        url: where it is published.
        sha256: of its bytes.
        notice: the notice that goes with it, itself such a file.
    """

    path: str
    url: str
    sha256: str
    notice: ParameterFile | None = None


def _release(folder: str, root: str, notice_sha256: str, **files: str) -> dict[str, ParameterFile]:
    """The files of one release by name; `files` are their hashes."""
    notice = ParameterFile(f"{folder}/readme.txt", f"{root}/readme.txt", notice_sha256)
    return {
        name: ParameterFile(f"{folder}/{name}", f"{root}/{name}", sha256, notice)
        for name, sha256 in ((key.replace("__", "."), value) for key, value in files.items())
    }


NIQE_LIVE = _release(
    "niqe_live",
    f"{_RAW}/niqe/d80aead297ff48b0254c39806f3a277b3ecbfc8d",
    "fc69db57b346e99efbecb32ac3ae03d9dbfdf1103f6104db409acebbd7ffad07",
    modelparameters__mat="fa2aa4d12dd9595c3fb6bf8b4e1a15c79d5d1469238d0901c88dead195be578d",
)
BRISQUE_LIVE = _release(
    "brisque_live/MATLAB",
    f"{_RAW}/BRISQUE/2e2a5ac04cd4b73ac0f5867de5b974581fa2d4d2/MATLAB",
    "3efc736b41268187da261b667dc545201125ee650b7fccbbb9daa6a24da41ba7",
    allmodel="8b04d6045f1b27261610c8ab1730fdcc14ec80bfab0f1ab5f703bbc2927314de",
    allrange="e47d753d96b631e1aa2dbac8c4e51ade767f2def8ce678c7130b6b3f90ee915f",
)
SSEQ_LIVE = _release(
    "sseq_live",
    f"{_RAW}/SSEQ/21e98c951d2bc834388d86e18d0fb34f27b612e7",
    "7ad2f046bf01aff17556f10de81464f5d7a7ee73e7a1adb444e81449ae27593c",
    model__mat="69c1472fbabb10714ecea21cebbf84c08580cacb4bb9858a8a231aabf124561e",
)


def cache_directory() -> Path:
    """Where fetched files are kept: `limpid/params` in the user's cache (`XDG_CACHE_HOME`, by default `~/.cache`)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "limpid" / "params"


def find(file: ParameterFile, explicit: str | Path | None = None, *, timeout_s: float = 30.0) -> Path:
    """Where `file` lies on this machine.

    Looked for at the explicit path (taken as it is, so that a model of one's own can be used), below `LIMPID_PARAMS`,
    in the cache, and at last at its publisher's; all but the first must have the published content.

    Args:
        file: one of this module's.
        explicit: a path that the user names.
        timeout_s: how long to wait for the publisher, in seconds.

    Raises:
        UserError: it is nowhere to be had, or not what was published.
    """
    if explicit is not None:
        if not Path(explicit).is_file():
            raise UserError(f"There is no parameter file {str(explicit)!r}.")
        return Path(explicit)
    if (named := os.environ.get("LIMPID_PARAMS")) and (Path(named) / file.path).is_file():
        return _verified(Path(named) / file.path, file)
    cached = cache_directory() / file.path
    if not cached.is_file():
        if file.notice is not None:
            find(file.notice, timeout_s=timeout_s)
        _fetch(file, cached, timeout_s)
    return _verified(cached, file)


def _verified(path: Path, file: ParameterFile) -> Path:
    if hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
        raise UserError(
            f"The file {str(path)!r} is not the one published at {file.url}, and the scores would be on another scale; "
            "replace it, or name it as the metric's `parameters` if it is a model of your own."
        )
    return path


def _fetch(file: ParameterFile, path: Path, timeout_s: float) -> None:
    """Download `file` to `path`, which appears only when complete, however many processes ask for it."""
    try:
        with urllib.request.urlopen(file.url, timeout=timeout_s) as answer:
            content = answer.read()
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise OSError("what arrived is not what was published")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as partial:
            partial.write(content)
        Path(partial.name).replace(path)
    except (OSError, urllib.error.URLError) as error:
        notice = f" (its notice is {file.notice.url})" if file.notice else ""
        raise UserError(
            f"The parameter file {file.path} is missing and could not be fetched ({error}); "
            f"download {file.url}{notice} and put it at {str(path)!r}, or below the directory that LIMPID_PARAMS names."
        ) from error
