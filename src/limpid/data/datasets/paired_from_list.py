"""Pairs named by a list file, two paths a line."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from limpid.data.datasets.base import Matched, Pair
from limpid.data.datasets.paired import PairedFiles, examples
from limpid.data.image_io import SUFFIXES, image_names
from limpid.errors import UserError

# The first path ends with an image's suffix, so that paths may hold spaces.
_SUFFIX = "|".join(re.escape(suffix) for suffix in sorted(SUFFIXES))
_LINE = re.compile(rf"(?P<first>.+?(?:{_SUFFIX}))[\s,;]+(?P<second>.+?(?:{_SUFFIX}))(?:[\s,;].*)?", re.IGNORECASE)


@dataclass(kw_only=True, eq=False)
class PairedFromList(PairedFiles):
    """Pairs named by a list file, two paths a line.

    Args:
        list_file: the list inside the set's folder. Its paths are relative to it; a leading slash is ignored.
        columns: what the two paths of a line are: ``input`` and ``target`` in the list's order.
    """

    list_file: str
    columns: Sequence[str] = ("input", "target")

    def has_layout(self, folder: Path) -> bool:
        """Whether the list is there."""
        return (folder / self.list_file).is_file()

    def matched(self) -> Matched:
        """The pairs in the list's order, and the files that it names but that are not there.

        Raises:
            CannotRun: the set is missing.
            UserError: a line is no pair, or a path leads out of it.
        """
        root_dir = self.require_root()
        lines = read_list(root_dir / self.list_file)
        absent = absent_files(root_dir, chain.from_iterable(lines))
        lost = set(absent)
        return Matched([self._pair(root_dir, line) for line in lines if lost.isdisjoint(line)], absent, [], [])

    def _pair(self, base: Path, line: tuple[str, str]) -> Pair:
        paths = dict(zip(self.columns, line, strict=True))
        key, target = (paths[role].rpartition(".")[0] for role in ("input", "target"))
        return Pair(key, self.scene_of(target), f"{base}{os.sep}{paths['input']}", f"{base}{os.sep}{paths['target']}")

    def lacking(self, strays: Sequence[str]) -> str:
        """A sentence on files that are not there."""
        root_dir = self.require_root()
        return (
            f"{len(strays)} of the files that {root_dir / self.list_file} names are not in {root_dir}: "
            f"{examples(strays)}; complete the set."
        )


def read_list(file: Path) -> list[tuple[str, str]]:
    """The two paths of every line, relative, without a leading slash; empty lines are left out.

    Raises:
        UserError: the file cannot be read, a line holds no two image paths, or a path leads out of the folder.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The list {file} cannot be read ({error}); fetch it again.") from error
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UserError(f"Line {number} of {file} holds no two paths of images: {line.strip()!r}; correct it.")
        lines.append((_inside(match["first"], file, number), _inside(match["second"], file, number)))
    return lines


def _inside(path: str, file: Path, number: int) -> str:
    relative = os.path.normpath(path.lstrip("/"))
    if Path(relative).parts[0] == os.pardir:
        raise UserError(f"Line {number} of {file} names {path}, which lies outside of the set's folder; correct it.")
    return relative


def absent_files(base: Path, paths: Iterable[str]) -> list[str]:
    """Those of `paths` below `base` that are not there, each once; every folder is read once."""
    wanted: dict[str, dict[str, None]] = defaultdict(dict)
    for path in paths:
        folder, name = os.path.split(path)
        wanted[folder][name] = None
    missing = []
    for folder, files in wanted.items():
        there = set(image_names(base / folder))
        missing += [os.path.join(folder, name) for name in files if name not in there]  # noqa: PTH118
    return missing
