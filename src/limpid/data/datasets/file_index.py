"""Which image files there are below folders, by name; every folder is read once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

from limpid.data.image_io import image_names
from limpid.errors import UserError

_WILD = "*?["


def folders(root_dir: Path, pattern: str) -> list[tuple[str, Path]]:
    """The folders below `root_dir` that match `pattern`, with what tells them apart.

    Args:
        root_dir: where to begin.
        pattern: a path in which whole parts may hold ``*``, such as ``train/*/blur``; ``.`` is `root_dir` itself.

    Returns:
        Pairs (what the parts with a star matched, joined by ``/``; folder), sorted; without a star one pair whose
        first member is empty.
    """
    matching = [("", root_dir)]
    for part in Path(pattern).parts:
        if any(sign in part for sign in _WILD):
            matching = list(chain.from_iterable(_matching(key, folder, part) for key, folder in matching))
        else:
            matching = [(key, folder / part) for key, folder in matching]
    return sorted((key, folder) for key, folder in matching if folder.is_dir())


def _matching(key: str, folder: Path, pattern: str) -> list[tuple[str, Path]]:
    """The folders just below `folder` that match, with their names behind its key."""
    return [(f"{key}/{name}".lstrip("/"), folder / name) for name in _below(folder, pattern)]


def _below(folder: Path, pattern: str) -> list[str]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if fnmatchcase(entry.name, pattern) and entry.is_dir()]


def images(root_dir: Path, patterns: str | Iterable[str]) -> list[tuple[str, str]]:
    """The image files in the folders that match, with their keys.

    Args:
        root_dir: where to begin.
        patterns: one pattern of `folders`, or several.

    Returns:
        Pairs (key, file), sorted. The key is the file's stem, after what the stars of the pattern matched:
        ``*/blur`` finds ``GOPR0372/blur/000047.png`` under the key ``GOPR0372/000047``.
    """
    files = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        for where, folder in folders(root_dir, pattern):
            front, path = f"{where}/" if where else "", f"{folder}{os.sep}"
            files += [(front + name.rpartition(".")[0], path + name) for name in image_names(folder)]
    return sorted(files)


def by_key(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Files by key.

    Raises:
        UserError: two files have one key.
    """
    files: dict[str, str] = {}
    for key, file in named:
        other = files.setdefault(key, file)
        if other is not file:
            raise UserError(f"{other} and {file} have one name, so that none knows which is meant; remove one of them.")
    return files
