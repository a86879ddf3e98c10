"""The parameter files that NIQE, BRISQUE, SSEQ and FADE were published with: found, or fetched once, and verified.

They are LIVE's (The University of Texas at Austin; SSEQ's also the Beijing Institute of Technology's), free for any
purpose while their notice is kept and their papers are cited. Limpid ships none of them.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from limpid.errors import UserError
from limpid.paths import user_cache
from limpid.store.atomic_io import atomic_write


@dataclass(frozen=True)
class Release:
    """Published files, pinned by their content.

    Attributes:
        folder: where they lie below a parameter directory.
        url: where they are published, one commit of a repository.
        sha256: of each file's bytes, by name. `readme.txt`, the notice that must stay beside them, is among them.
    """

    folder: str
    url: str
    sha256: Mapping[str, str]


NOTICE = "readme.txt"
_LIVE = "https://raw.githubusercontent.com/utlive"

NIQE_LIVE = Release(
    "niqe_live",
    f"{_LIVE}/niqe/d80aead297ff48b0254c39806f3a277b3ecbfc8d",
    {
        "modelparameters.mat": "fa2aa4d12dd9595c3fb6bf8b4e1a15c79d5d1469238d0901c88dead195be578d",
        NOTICE: "fc69db57b346e99efbecb32ac3ae03d9dbfdf1103f6104db409acebbd7ffad07",
    },
)
BRISQUE_LIVE = Release(
    "brisque_live/MATLAB",
    f"{_LIVE}/BRISQUE/2e2a5ac04cd4b73ac0f5867de5b974581fa2d4d2/MATLAB",
    {
        "allmodel": "8b04d6045f1b27261610c8ab1730fdcc14ec80bfab0f1ab5f703bbc2927314de",
        "allrange": "e47d753d96b631e1aa2dbac8c4e51ade767f2def8ce678c7130b6b3f90ee915f",
        NOTICE: "3efc736b41268187da261b667dc545201125ee650b7fccbbb9daa6a24da41ba7",
    },
)
SSEQ_LIVE = Release(
    "sseq_live",
    f"{_LIVE}/SSEQ/21e98c951d2bc834388d86e18d0fb34f27b612e7",
    {
        "model.mat": "69c1472fbabb10714ecea21cebbf84c08580cacb4bb9858a8a231aabf124561e",
        NOTICE: "7ad2f046bf01aff17556f10de81464f5d7a7ee73e7a1adb444e81449ae27593c",
    },
)
# LIVE has no repository of its own for FADE; this is a copy of its release, with its notice.
FADE_LIVE = Release(
    "fade",
    "https://raw.githubusercontent.com/xiaofeng94/BeDDE-for-defogging/ec9560820ed66d432e8445977ccbcb12bf2de012"
    "/Defogging_eval/IQA_metrics/FADE_release",
    {
        "natural_fogfree_image_features_ps8.mat": "9a1812bcb2318908d864a53163e32cb430e92dddb88579ea02ee944f020d69cb",
        "natural_foggy_image_features_ps8.mat": "1de98cec133b367f6d2d9cfa039a2d53892a1606ea9f4b216d5b08f73b346afd",
        NOTICE: "746a373ab60d9737822497d68a9972d7b0dfbf886b4e5aacb46da54102722977",
    },
)


def cache_directory() -> Path:
    """Where fetched files are kept: `limpid/params` in the user's cache (`XDG_CACHE_HOME`, by default `~/.cache`)."""
    return user_cache("LIMPID_PARAMS") / "params"


def find(release: Release, name: str, explicit: str | Path | None = None, *, timeout_s: float = 30.0) -> Path:
    """Where a parameter file lies on this machine.

    Looked for at the explicit path (taken as it is, so that a model of one's own can be used), below `LIMPID_PARAMS`,
    in the cache, and at last at its publisher's; all but the first must have the published content.

    Args:
        release: one of this module's.
        name: of the file.
        explicit: a path that the user names.
        timeout_s: how long to wait for the publisher, in seconds.

    Raises:
        UserError: the file is nowhere to be had, or is not what was published.
    """
    if explicit is not None:
        if not Path(explicit).is_file():
            raise UserError(f"There is no parameter file {str(explicit)!r}.")
        return Path(explicit)
    cached = cache_directory() / release.folder / name
    named = Path(os.environ.get("LIMPID_PARAMS") or cache_directory()) / release.folder / name
    path = named if named.is_file() else cached
    if not path.is_file():
        # The notice comes first, so that no parameter file ever lies without it.
        for part in (NOTICE, name):
            _fetch(release, part, cached.with_name(part), name, timeout_s)
    if _hash(path.read_bytes()) != release.sha256[name]:
        raise UserError(
            f"The file {str(path)!r} is not the one published at {release.url}/{name}, so that its scores would be on "
            "another scale; replace it, or name it in the metric's options if it is a model of your own."
        )
    return path


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _fetch(release: Release, part: str, path: Path, wanted: str, timeout_s: float) -> None:
    """Download `part` to `path`, which appears only when complete, however many processes ask for it."""
    try:
        with urllib.request.urlopen(f"{release.url}/{part}", timeout=timeout_s) as answer:
            content = answer.read()
        if _hash(content) != release.sha256[part]:
            raise OSError(f"{part} as it arrived is not what was published")
        with atomic_write(path) as file:
            file.write_bytes(content)
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"The parameter file {release.folder}/{wanted} is missing and could not be fetched ({error}). Download "
            f"{release.url}/{wanted} and its notice {release.url}/{NOTICE} to {str(path.parent)!r}, or to "
            f"{release.folder} in the directory that LIMPID_PARAMS names."
        ) from error
