"""Where everything goes that is written: results, maps, comparisons and their sheets, each at a place of its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from limpid.errors import UserError
from limpid.predicting.photographs import Found
from limpid.surroundings import refuse_unwritable

#: Bytes that a file's name may have on the file systems in use.
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Task:
    """One photograph: where it is, where its results go, and its name below the input.

    Attributes:
        source: the photograph.
        relative: its path below the input.
        target: the result's path below the folder of a method; for a single file it may have another name.
    """

    source: Path
    relative: Path
    target: Path


@dataclass(frozen=True)
class Layout:
    """The places of a command's files.

    Attributes:
        folder: below which all of them lie.
        tasks: the photographs.
        by_method: the folder of each method's results below `folder`; empty for results of a single method.
        to_file: whether `output` named a file.
        comparisons: the folder of comparisons and of their sheets.
        results: the results' paths below a method's folder, in which no map may go.
    """

    folder: Path
    tasks: tuple[Task, ...]
    by_method: tuple[str, ...]
    to_file: bool
    comparisons: Path
    results: frozenset[str]

    def result(self, task: Task, method: int) -> Path:
        """Where the result of a photograph goes, by the method's number."""
        return self.folder / self._of_method(method) / task.target

    def map(self, task: Task, method: int, what: str) -> Path:
        """Where a map goes, such as ``a.png_depth.png``: with the photograph's suffix, as a.jpg has maps too.

        Where a result has that name, an underscore is put in.
        """
        suffix = ".json" if what == "airlight" else ".png"
        end = f"_{what}{suffix}"
        while str(task.relative.with_name(task.relative.name + end)).casefold() in self.results:
            end = f"_{end}"
        return _bounded((self.folder / self._of_method(method) / task.relative).with_name(task.relative.name + end))

    def comparison(self, task: Task) -> Path:
        """Where a photograph's comparison goes, such as ``compare/a.png.jpg``."""
        return _bounded((self.comparisons / task.relative).with_name(f"{task.relative.name}.jpg"))

    def sheet(self, number: int) -> Path:
        """Where a sheet goes: ``compare/sheet.jpg``, then ``compare/sheet_2.jpg`` and so on."""
        return self.comparisons / ("sheet.jpg" if number == 1 else f"sheet_{number}.jpg")

    def _of_method(self, method: int) -> str:
        return self.by_method[method] if self.by_method else ""


def layout(
    files: Found, output: str, suffix: str | None = None, methods: Sequence[str] = (), comparing: bool = False
) -> Layout:
    """The places for what is found.

    Args:
        files: what was found.
        output: as typed; a folder, or for a single photograph also a file.
        suffix: of the results, such as ``.png``; None keeps each photograph's own where it can be written.
        methods: the names of several methods, each of which gets a folder of its own; one needs none.
        comparing: whether comparisons are written.

    Raises:
        UserError: two results would have one place, a result would be written over its own input, or `output` is of
            the wrong kind.
    """
    from limpid.data.photo_io import written_suffix

    to_file = _names_file(output, files, suffix, len(methods))
    target = Path(output)
    if to_file:
        tasks = [Task(files.files[0], Path(files.files[0].name), Path(target.name))]
    else:
        tasks = []
        for file in files.files:
            relative = file.relative_to(files.base)
            tasks.append(Task(file, relative, relative.with_suffix(suffix or written_suffix(file))))
    folder = target.parent if to_file else target
    refuse_unwritable(folder)
    results = frozenset(str(task.target).casefold() for task in tasks)
    made = Layout(folder, tuple(tasks), tuple(methods), to_file, folder / _comparisons(tasks, methods), results)
    _refuse_collisions(made, comparing)
    return made


def _names_file(output: str, files: Found, suffix: str | None, methods: int) -> bool:
    """Whether `output` names a file rather than a folder.

    Raises:
        UserError: it names what cannot be written, or a file where a folder is needed.
    """
    from limpid.data.photo_io import FORMATS

    path = Path(output)
    is_folder = path.is_dir() or output.endswith(("/", os.sep))
    if is_folder or (not path.suffix and not path.exists()):
        return False
    to_folder = f"end it with a slash ({output}/) if it is to be a folder"
    if not files.is_one_file or methods:
        why = "several methods need a folder" if methods else "input is no single photograph, so it must be a folder"
        if path.exists():
            raise UserError(f"output={output} is a file, but {why}; give output=FOLDER.")
        if path.suffix.lower() in FORMATS:
            raise UserError(f"output={output} looks like a file, but {why}; {to_folder}.")
        return False
    if path.suffix.lower() not in FORMATS:
        kinds = ", ".join(sorted(FORMATS))
        raise UserError(
            f"output={output} cannot be written: a photograph is written as one of {kinds}; take one of these, or "
            f"{to_folder}."
        )
    if suffix is not None and suffix != path.suffix.lower():
        raise UserError(f"output={output} and suffix={suffix} name two formats; leave out suffix.")
    return True


def _comparisons(tasks: Iterable[Task], methods: Sequence[str]) -> str:
    """The name of the folder of comparisons: with an underscore behind it where photographs lie in one of that name."""
    taken = {name.casefold() for name in methods} or {task.relative.parts[0].casefold() for task in tasks}
    name = "compare"
    while name in taken:
        name += "_"
    return name


def _refuse_collisions(made: Layout, comparing: bool) -> None:
    """Refuse two results at one place, and a result in its own input's."""
    fold = str.casefold if _ignores_case(made.folder) else str

    def place(path: Path) -> str:
        return fold(os.path.realpath(path))

    owners: dict[str, Path] = {}
    for task in made.tasks:
        other = owners.setdefault(fold(str(task.target)), task.source)
        if other != task.source:
            raise UserError(
                f"The results of {other} and of {task.source} would both be {made.result(task, 0)}; restore them by "
                "two commands with an output each, or leave out suffix where it is given."
            )
    sources = {place(task.source): task.source for task in made.tasks}
    for task in made.tasks:
        for method in range(max(1, len(made.by_method))):
            target = made.result(task, method)
            if (source := sources.get(place(target))) is not None:
                raise UserError(
                    f"The result of {task.source} would be written over {'it' if source == task.source else source}; "
                    "give another output."
                )
    comparisons = place(made.comparisons)
    for task in made.tasks if comparing else ():
        if comparisons in map(place, task.source.absolute().parents):
            raise UserError(
                f"The photograph {task.source} lies where comparisons would be written; give another output."
            )


def _ignores_case(folder: Path) -> bool:
    """Whether the file system that holds `folder`, or will, takes A and a for one name."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    folder = folder.resolve()
    for place in (folder, *folder.parents):
        swapped = place.with_name(place.name.swapcase())
        if swapped.name != place.name:
            return swapped.exists() and swapped.samefile(place)
    return False


def _bounded(path: Path) -> Path:
    """`path`, or where its name is longer than file systems take, one with a hash of it in the middle."""
    name = os.fsencode(path.name)
    if len(name) <= _LONGEST_NAME:
        return path
    digest, end = hashlib.sha256(name).hexdigest()[:16].encode(), name[-24:]
    begin = name[: _LONGEST_NAME - len(digest) - len(end) - 2]
    shortened = (begin + b"~" + digest + b"~" + end).decode("utf-8", "ignore")
    return path.with_name(shortened)
