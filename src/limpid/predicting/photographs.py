"""The photographs in a file, a folder or a pattern, and what lies there besides."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from limpid.errors import UserError
from limpid.predicting.manifest import NAME, Manifest

#: How folders with results of another command are called among what is left out.
_RESULTS = "folder(s) of results"


@dataclass
class Found:
    """What was found.

    Attributes:
        base: the folder that the photographs' relative names start from.
        files: the photographs, by name.
        left_out: how many files are no photographs, by their kind in words.
        problems: sentences on folders that could not be opened, and links that lead nowhere.
        is_one_file: whether a file was named, and no folder or pattern.
    """

    base: Path
    files: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    is_one_file: bool = False

    def says(self) -> str:
        """What was left out, by kind, such as ``2 .txt, 1 hidden``; empty where nothing was."""
        return ", ".join(f"{count} {kind}" for kind, count in self.left_out.most_common())


def found(given: str, outputs: Path | None = None) -> Found:
    """The photographs that `given` names.

    Args:
        given: a file, a folder (with all folders in it; linked ones are followed once) or a pattern.
        outputs: a folder whose files are results of the same command, and so no input.

    Raises:
        UserError: there are none.
    """
    from limpid.data.photo_io import READABLE

    result = listed(given, outputs)
    photographs = []
    for file in result.files:
        suffix = file.suffix.lower()
        if suffix in READABLE:
            photographs.append(file)
        else:
            result.left_out[suffix or "without a suffix"] += 1
    result.files = photographs
    if not photographs:
        kinds = ", ".join(sorted(suffix[1:] for suffix in READABLE))
        holds = f" It holds {result.says()}." if result.left_out and not result.is_one_file else ""
        raise UserError(
            f"There is no photograph in {given} ({kinds}); give input=PATH to one, a folder or a pattern.{holds}"
        )
    return result


def listed(given: str, outputs: Path | None = None) -> Found:
    """Every file that `given` names, of whatever kind, by name; see `found`.

    Raises:
        UserError: there is nothing of that name.
    """
    source = Path(given)
    if source.is_dir():
        result = _in_folder(source, outputs)
    elif source.exists():
        result = Found(source.parent, [source], is_one_file=True)
    elif glob.has_magic(given):
        result = _of_pattern(source, given, outputs)
    elif source.is_symlink():
        raise UserError(f"The link {given} leads to {source.readlink()}, which is not there; mend or replace it.")
    else:
        raise UserError(f"There is no file or folder {given}; give input=PATH to a photograph, a folder or a pattern.")
    if outputs is not None and outputs.is_dir() and result.base.is_dir() and outputs.samefile(result.base):
        _leave_out_results(result)
    result.files.sort()
    return result


def _leave_out_results(result: Found) -> None:
    """Leave out what this command wrote among its own input, as it does with another suffix."""
    manifest = Manifest(result.base)
    results = {file for file in result.files if manifest.is_noted(file)}
    if results:
        result.left_out["result(s) of before"] += len(results)
        result.files = [file for file in result.files if file not in results]


def _in_folder(base: Path, outputs: Path | None) -> Found:
    """Every file below `base` that is not hidden; real folders come before links to them, so that their names hold."""
    result = Found(base)
    seen: set[tuple[int, int]] = set()
    if outputs is not None and outputs.is_dir() and not outputs.samefile(base):
        seen.add(_identity(outputs))
    folders, links = [base], list[Path]()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            if _identity(folder) in seen:
                continue
            seen.add(_identity(folder))
            if folder != base and (folder / NAME).is_file():
                result.left_out[_RESULTS] += 1  # of another command: what is restored is not restored again
                continue
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            result.problems.append(f"{folder} cannot be opened ({error.strerror}); check its permissions.")
            continue
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith("."):
                result.left_out["hidden"] += 1
            elif _is_folder(entry):
                (links if entry.is_symlink() else folders).append(path)
            else:
                _take(path, result)
    return result


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in a circle
        return False


def _take(path: Path, result: Found) -> None:
    """Put a file where it belongs in `result`."""
    if path.is_file():
        if path.name != NAME:
            result.files.append(path)
    elif path.is_symlink():
        result.problems.append(f"The link {path} leads nowhere; mend or remove it.")
    else:
        result.left_out["that are no files"] += 1


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _of_pattern(source: Path, given: str, outputs: Path | None) -> Found:
    """The files that a pattern names; their relative names start where its first wildcard stands."""
    fixed = source
    while glob.has_magic(str(fixed)):
        fixed = fixed.parent
    if "**" in source.parts:  # which glob would follow round and round through a folder that is linked into itself
        result = _in_folder(fixed, outputs)
        wanted = source.parts[len(fixed.parts) :]
        result.files = [file for file in result.files if _matches(file.parts[len(fixed.parts) :], wanted)]
        result.left_out.clear()
        result.problems.clear()
        return result
    result = Found(fixed)
    apart = outputs.resolve() if outputs is not None and outputs.resolve() != fixed.resolve() else None
    for name in sorted(glob.glob(given)):  # noqa: PTH207
        path = Path(name)
        if not path.is_dir() and (apart is None or apart not in path.resolve().parents):
            _take(path, result)
    return result


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether the parts of a path match those of a pattern, in which ``**`` stands for any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        if len(pattern) == 1:
            return True
        return any(_matches(parts[skipped:], pattern[1:]) for skipped in range(len(parts)))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
