"""The source of one's own classes: what a configuration's targets in packages of `allow_targets` do, as hashes."""

from __future__ import annotations

import ast
import importlib.util
import os
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from itertools import chain
from pathlib import Path

from limpid.config.instantiate import ALLOWED
from limpid.store.content import content_digest


def own_packages(config: object, allow: Sequence[str]) -> set[str]:
    """The packages of `allow`, without Limpid's usual ones, that the targets in plain `config` come from."""
    if isinstance(config, Mapping):
        target = config.get("_target_")
        package = target.split(".")[0] if isinstance(target, str) else ""
        found = {package} if package in allow and package not in ALLOWED else set()
        return found.union(*(own_packages(member, allow) for member in config.values()))
    if isinstance(config, list):
        return set().union(*(own_packages(member, allow) for member in config))
    return set()


def source_digests(packages: Iterable[str]) -> dict[str, str]:
    """A hash of the source of each package, as `content_digest` gives it: all of its modules.

    Of what is not installed, such as a module in the current directory, the modules beside it that it imports are part
    of it.
    """
    return {package: content_digest(_sources(package)) for package in sorted(packages)}


def _sources(package: str) -> list[tuple[str, str]]:
    """The source files of a package and of what it imports beside it, with their names."""
    files: dict[str, str] = {}
    waiting, seen = [package], {package}
    while waiting:
        name = waiting.pop()
        for place in _places(name):
            own = dict(_modules(place))
            files.update(own)
            beside = set() if place.parent in _installed() else _imported(own.values())
            found = sorted(other for other in beside - seen if _lies_in(other, place.parent))
            seen.update(found)
            waiting += found
    return sorted(files.items())


def _places(package: str) -> list[Path]:
    """The folders of a package, or the file of a module; nothing of what is built in."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(folder).resolve() for folder in spec.submodule_search_locations]
    return [Path(spec.origin).resolve()] if spec.origin and Path(spec.origin).is_file() else []


def _modules(place: Path) -> Iterator[tuple[str, str]]:
    """The modules of a package's folder, or the one module, with their names relative to the folder it lies in."""
    if place.is_file():
        yield place.name, str(place)
    for folder, inner, names in os.walk(place):
        inner[:] = [name for name in inner if not name.startswith(".") and name not in ("__pycache__", "site-packages")]
        below = Path(folder).relative_to(place.parent)
        modules = [name for name in names if name.endswith((".py", *EXTENSION_SUFFIXES))]
        yield from (((below / name).as_posix(), str(Path(folder, name))) for name in modules)


def _installed() -> set[Path]:
    """The folders of Python's own modules and of installed packages."""
    paths = sysconfig.get_paths()
    return {Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}


def _lies_in(package: str, folder: Path) -> bool:
    return any(place.parent == folder for place in _places(package))


def _imported(files: Iterable[str]) -> set[str]:
    """The top-level names that source files import."""
    return set(chain.from_iterable(_imports(file) for file in files if file.endswith(".py")))


def _imports(file: str) -> Iterator[str]:
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (SyntaxError, ValueError):
        return  # not imported, or it would have been refused
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
