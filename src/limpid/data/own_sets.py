"""Sets of one's own in a recipe: what they hold, since no publisher says it, and whether they are there.

A set whose publisher and number of images Limpid knows is the same wherever it lies. Any other set is what its folder
holds, so its content is part of what a run is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from limpid.config import instantiate
from limpid.errors import CannotRun
from limpid.paths import runs, shipped
from limpid.store.content import content_digest

#: The parts of a recipe that a run of each mode reads.
_READ = {"train": ("train", "val", "test"), "test": ("test",)}


def own_contents(data: Mapping[str, Any], mode: str, allow: Sequence[str] = ()) -> dict[str, str]:
    """The content of each set of one's own that a run reads, as `content_digest` gives it, by its key in the recipe.

    Sets that are not there are left out.

    Args:
        data: the recipe, as composed.
        mode: of the run: ``train`` reads all of its sets, ``test`` the test sets, ``profile`` none.
        allow: packages besides Limpid's usual ones that a `_target_` may come from.

    Raises:
        UserError: a file cannot be read, or a set does not say clearly which files are pairs.
    """
    contents: dict[str, str] = {}
    for key, node in _own_sets(data, mode, allow):
        try:
            files = list(_files(key, node, allow))
        except CannotRun:
            continue
        if files:
            contents[key] = content_digest(files)
    return contents


def refuse_absent(data: Mapping[str, Any], mode: str, allow: Sequence[str] = ()) -> None:
    """Refuse a run whose sets of one's own are not there: what was measured on them may be other than what is asked.

    Args:
        data: the recipe, as composed.
        mode: of the run.
        allow: packages besides Limpid's usual ones that a `_target_` may come from.

    Raises:
        CannotRun: the training set is missing, or, where nothing is trained, every test set.
    """
    if mode == "train":
        absent = _absent(data.get("train"), "data.train", allow)
    else:
        each = [_absent(node, f"data.test.{name}", allow) for name, node in (data.get("test") or {}).items()]
        absent = list(chain.from_iterable(each)) if mode == "test" and all(each) else []
    if absent:
        raise CannotRun(" ".join(absent))


def refuse_no_root(data: Mapping[str, Any], mode: str, roots: Collection[str], allow: Sequence[str] = ()) -> None:
    """Refuse a data root that does not exist where a set of one's own should lie in it.

    Args:
        data: the recipe, as composed.
        mode: of the run.
        roots: the data roots that were asked for.
        allow: packages besides Limpid's usual ones that a `_target_` may come from.

    Raises:
        CannotRun: naming the first.
    """
    missing = [root for root in roots if not Path(root).is_dir()]
    for key, node in _own_sets(data, mode, allow) if missing else ():
        if node.get("root") in missing:
            why = _why_missing(key, node, allow)
            raise CannotRun(why or f"The folder {node['root']} of {key} does not exist; correct its path.")


def _own_sets(data: Mapping[str, Any], mode: str, allow: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The settings of every set of one's own that a run of this mode reads, with their keys."""
    for part in _READ.get(mode, ()):
        yield from _own_nodes(data.get(part), f"data.{part}", allow)


def _own_nodes(config: object, where: str, allow: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The settings of every set of one's own in `config`, with their keys.

    They are sets of files, and objects of any other class of one's own package, which may read files too.
    """
    if isinstance(config, list):
        config = {str(number): member for number, member in enumerate(config)}
    if not isinstance(config, Mapping):
        return
    target = config.get("_target_")
    if target is not None:
        is_files = _is_files(instantiate.locate(target, where, allow))
        if (is_files and not _is_published(config)) or (not is_files and target.split(".")[0] in allow):
            yield where, config
        if is_files:
            return  # what it is made from is in it
    for key, member in config.items():
        yield from _own_nodes(member, f"{where}.{key}", allow)


def _is_files(target: object) -> bool:
    """Whether a class is one of `limpid.data.datasets.base.FileSet`, or offers as much of it as is needed here."""
    return all(hasattr(target, name) for name in ("files_of", "name_of", "why_missing"))


def _is_published(node: Mapping[str, Any]) -> bool:
    """Whether a card is of a publisher's set whose number of images Limpid knows."""
    inner = node.get("clean")  # of a part of a set
    name = node.get("name") or (inner.get("name") if isinstance(inner, Mapping) else None)
    return name in _published()


@cache
def _published() -> frozenset[str]:
    """The names of the sets whose shipped cards have a publisher's page and number of images."""
    texts = [file.read_text(encoding="utf-8") for file in (shipped("conf") / "dataset").glob("*.yaml")]
    counted = [text for text in texts if re.search(r"\bexpected: \d", text) and re.search(r"^url:", text, re.MULTILINE)]
    return frozenset(chain.from_iterable(re.findall(r"^name: (\S+)", text, re.MULTILINE) for text in counted))


def _files(key: str, node: Mapping[str, Any], allow: Sequence[str]) -> Iterable[tuple[str, str]]:
    """The files that a set reads, each under a name that does not depend on where the set lies.

    Raises:
        CannotRun: the set is not there.
    """
    if not _is_files(instantiate.locate(node["_target_"], key, allow)):
        yield from _named(node)
        return
    images = instantiate.construct(node, key, allow)
    if why := images.why_missing():
        raise CannotRun(why)
    for index in range(len(images)):
        name = images.name_of(index)
        for number, file in enumerate(images.files_of(index)):
            yield f"{name}/{number}", file


def _named(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The files that the settings of a class name, and those in the folders that they name; no hidden ones."""
    for key, value in node.items():
        for place in value if isinstance(value, list) else [value]:
            if isinstance(place, str) and key != "_target_":
                yield from _below(key, Path(place))


def _below(key: str, place: Path) -> Iterator[tuple[str, str]]:
    """A file, or those in a folder and where its links lead, without what runs leave there."""
    if place.is_file():
        yield key, str(place)
    seen = {runs().resolve(), place.resolve()}
    for folder, inner, files in os.walk(place, followlinks=True):
        places = {name: Path(folder, name).resolve() for name in inner if name[0] not in "._"}
        inner[:] = [name for name, at in places.items() if at not in seen]
        seen.update(places.values())
        below = Path(folder).relative_to(place)
        yield from ((f"{key}/{(below / name).as_posix()}", str(Path(folder, name))) for name in files)


def _absent(config: object, where: str, allow: Sequence[str]) -> list[str]:
    """Why sets of one's own in `config` are not there, a sentence for each of them."""
    return [why for key, node in _own_nodes(config, where, allow) if (why := _why_missing(key, node, allow))]


def _why_missing(key: str, node: Mapping[str, Any], allow: Sequence[str]) -> str | None:
    """Why a set is not there, in a sentence, or None."""
    try:
        next(iter(_files(key, node, allow)), None)
    except CannotRun as error:
        return str(error)
    return None
