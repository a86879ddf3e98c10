"""Decoded images on disk: what was decoded once is mapped into memory from then on, so that a crop reads only itself.

Decoding a large PNG takes far longer than cutting a patch out of it. The first time a training image is needed its
pixels are written to a cache folder as .npy, with 8 (or 16) bits where the file has no more; afterwards they are
memory-mapped. Mapped pages belong to the operating system, which drops them when memory is short: the cache takes none
of a process's own memory. On disk it takes at most what it is given; what no longer fits is decoded every time, as
without a cache. Images that changed (by size or time) are decoded anew. Delete the folder to be rid of it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from limpid.data.datasets.base import FileSet, Sample, why_not_whole, wrap_files
from limpid.errors import UserError
from limpid.store.atomic_io import temporary_path

_Set = TypeVar("_Set")


class Store:
    """A folder of decoded arrays with a bound on its size, shared by any number of processes.

    Args:
        folder: where the arrays lie; made if needed.
        gigabytes: at most so many times 10^9 bytes.

    Raises:
        UserError: the folder cannot be made, or the bound is not above 0.
    """

    def __init__(self, folder: str | Path, gigabytes: float) -> None:
        if gigabytes <= 0:
            raise UserError(f"data.cache_gb is {gigabytes}, but it must be above 0; data.cache=null uses no cache.")
        self.folder, self.bound = Path(folder).expanduser(), int(gigabytes * 1e9)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"The cache folder {folder} cannot be made ({error.strerror}); set data.cache.") from error

    def read(self, key: str) -> NDArray[np.generic] | None:
        """The array under `key`, memory-mapped and read-only, or None."""
        try:
            return np.load(self.folder / f"{key}.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None

    def write(self, arrays: dict[str, NDArray[np.generic]]) -> bool:
        """Keep arrays under their keys, all or none; False where they do not fit, or the disk is full."""
        needed = sum(array.nbytes + 128 for array in arrays.values())  # 128: the header of .npy
        if self.used + needed > self.bound:
            return False  # without the lock: a full cache costs nothing
        with FileLock(self.folder / ".lock"):
            if (used := self.used) + needed > self.bound:
                return False
            begun = [temporary_path(self.folder / f".{key}") for key in arrays]
            try:
                for file, array in zip(begun, arrays.values(), strict=True):
                    with file.open("wb") as stream:
                        np.save(stream, array, allow_pickle=False)
            except OSError:  # a full disk: go on without
                for file in begun:
                    file.unlink(missing_ok=True)
                return False
            for file, key in zip(begun, arrays, strict=True):
                file.replace(self.folder / f"{key}.npy")
            self._size.write_text(str(used + needed), encoding="ascii")
        return True

    @property
    def used(self) -> int:
        """The number of bytes that the arrays take."""
        try:
            return int(self._size.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return sum(file.stat().st_size for file in self.folder.glob("*.npy"))

    @property
    def _size(self) -> Path:
        return self.folder / "size"


class Cached:
    """A set of files, decoded once; a sample's images come as stored, see `limpid.data.cropping.in_unit_range`.

    Args:
        images: the set; loading from it must draw nothing.
        store: where its arrays lie.
    """

    def __init__(self, images: FileSet, store: Store) -> None:
        self.images, self.store = images, store
        self.name, self.domain = images.name, images.domain

    @property
    def expected(self) -> int | None:
        """The number of images that the publisher's set has."""
        return self.images.expected

    def __len__(self) -> int:
        return len(self.images)

    def why_missing(self) -> str | None:
        """Why the set cannot be used, in a sentence, or None."""
        return self.images.why_missing()

    def why_not_whole(self) -> str | None:
        """Why this is not its publisher's set, all of it, in a phrase, or None."""
        return why_not_whole(self.images)

    def load(self, index: int, *rng: np.random.Generator) -> Sample:
        """Image `index`, from the cache or as the set loads it."""
        key = self._key(index)
        roles = self.images.roles
        arrays = {role: self.store.read(f"{key}-{role}") for role in roles}
        if any(array is None for array in arrays.values()):
            sample = self.images.load(index, *rng)
            stored = {role: as_stored(sample[role]) for role in roles}
            self.store.write({f"{key}-{role}": array for role, array in stored.items()})
            return {**stored, **self.images.facts_of(index)}
        return {**arrays, **self.images.facts_of(index)}

    def _key(self, index: int) -> str:
        """A hash of the settings and files of image `index`, of their sizes and of when they were written."""
        lines = [self.images.settings_of(index)]
        for file in self.images.files_of(index):
            try:
                status = os.stat(file)  # noqa: PTH116 - a Path for every image costs as much as the rest
            except OSError as error:
                raise UserError(f"{file} cannot be read ({error.strerror}); complete the set.") from error
            lines.append(f"{file} {status.st_size} {status.st_mtime_ns}")
        return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def as_stored(values: NDArray[np.float32]) -> NDArray[np.generic]:
    """An image in [0, 1] with the 8 or 16 bits of its file, where these give it back exactly; else as it is."""
    for highest, kind in ((255, np.uint8), (65535, np.uint16)):
        levels = np.rint(values * np.float32(highest))
        if levels.min(initial=0) >= 0 and levels.max(initial=0) <= highest:
            whole = levels.astype(kind)
            if np.array_equal(whole.astype(np.float32) / np.float32(highest), values):
                return whole
    return values


def cached(images: _Set, folder: str | Path, gigabytes: float) -> _Set:
    """The set with its files behind a cache; what is drawn rather than read stays as it is.

    Args:
        images: any set, or None.
        folder: of the cache.
        gigabytes: its bound.
    """
    store = Store(folder, gigabytes)
    return wrap_files(images, lambda files: Cached(files, store))
