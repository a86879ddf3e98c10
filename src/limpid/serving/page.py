"""What becomes of one photograph: a preview, and the restored one to look at and to keep."""

from __future__ import annotations

import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from limpid.errors import UserError, nearest
from limpid.serving.offered import Offered

if TYPE_CHECKING:
    from limpid.data.photo_io import Photograph, Pixels
    from limpid.methods import Method

#: How many photographs may wait; further ones are turned away.
QUEUE = 8
#: Seconds that files are kept on disk, at most and about: uploads, results, and what is shown.
KEPT = 600
#: Seconds between two looks for files that are older.
_LOOK = 60
#: An uploaded file may take this many bytes per pixel that is allowed: what 16 bit with alpha take uncompressed.
BYTES_PER_PIXEL = 8
#: How many photographs of the greatest size may lie in the folder at once, and how many files of any size.
_HELD = 10
_FILES = 1000
#: The longest side, in pixels, of what is shown; the download has every pixel.
_SHOWN = 1600


class Result(NamedTuple):
    """What one photograph became by one method.

    Attributes:
        method: its name.
        shown: the photograph and the restored one, upright, as JPEGs of at most 1600 pixels a side.
        download: the restored one, with every pixel, the photograph's bit depth, alpha, profile and EXIF.
        says: method, size, seconds, and what was left out of the file.
    """

    method: str
    shown: tuple[str, str]
    download: str
    says: str


class Preview(NamedTuple):
    """An upload as it is shown before anything is done.

    Attributes:
        shown: a JPEG of at most 1600 pixels a side, upright.
        says: name and size.
    """

    shown: str
    says: str


class TooLargeError(UserError):
    """A photograph of more pixels than are taken."""


class UnknownMethodError(UserError):
    """A method that is not offered."""


class BusyError(UserError):
    """As many photographs wait as may."""


class _Asked(NamedTuple):
    """What is the same for each method that restores one photograph; see `Page.restore_each`."""

    source: Path
    folder: Path
    strength: float
    suffix: str


class Page:
    """What stands behind the page and behind the endpoint for programs.

    Args:
        offered: the methods, the first chosen at the beginning.
        megapixels: larger photographs are refused.
        folder: where files are put, and from where the server may hand them out.
    """

    def __init__(self, offered: Sequence[Offered], megapixels: float, folder: Path) -> None:
        self.offered = list(offered)
        self.megapixels = megapixels
        self.folder = folder
        self._made: dict[str, Method] = {}
        self._working = threading.Lock()
        self._used: list[str] = []
        self._places = threading.BoundedSemaphore(1 + QUEUE)

    @property
    def most_bytes(self) -> int:
        """The greatest size of an uploaded file in bytes."""
        return int(self.megapixels * 1e6 * BYTES_PER_PIXEL)

    @property
    def is_full(self) -> bool:
        """Whether the folder holds as much as ten photographs of the greatest size take, or too many files."""
        files = list(self.folder.rglob("*"))
        return len(files) > _FILES or sum(map(_bytes, files)) > _HELD * self.most_bytes

    def preview(self, photograph: str) -> Preview:
        """An upload as a picture that every browser shows.

        Raises:
            UserError: as `restore`.
        """
        original = self._read(Path(photograph))
        file = Path(tempfile.mkdtemp(dir=self.folder)) / "preview.jpg"
        _show(file, original.pixels, original.profile)
        height, width = original.pixels.shape[:2]
        return Preview(str(file), f"{Path(photograph).name}, {width} × {height} pixels")

    def restore(self, photograph: str | None, method: str, strength: float = 1.0, suffix: str = ".png") -> Result:
        """The photograph restored by one method; see `restore_each`."""
        return self.restore_each(photograph, [method], strength, suffix)[0]

    def restore_each(
        self,
        photograph: str | None,
        methods: Sequence[str],
        strength: float = 1.0,
        suffix: str = ".png",
        folder: Path | None = None,
    ) -> list[Result]:
        """The restored photograph of an upload by each method, as the page shows it and as it is downloaded.

        Args:
            photograph: where the upload lies; None where there is none.
            methods: names of some that are offered.
            strength: how much of the change is made, 0 to 1.
            suffix: of the downloads, such as ``.png``.
            folder: where the results go; by default a new one.

        Raises:
            UserError: there is no photograph, it is too large or cannot be read, a method is not offered, or too many
                photographs wait. The sentence names the file without its folder.
        """
        if photograph is None:
            raise UserError("There is no photograph yet; drop one first.")
        if not methods:
            raise UserError("No method is chosen yet; choose one or several.")
        if not 0 <= strength <= 1:
            raise UserError(f"The strength is {strength:g}, but it must be from 0 to 1.")
        from limpid.data.photo_io import refuse_output

        source = Path(photograph)
        with self._turn(source, folder):
            made = [self._method(name) for name in methods]
            original = self._read(source)
            refuse_output(Path(f"{source.stem}{suffix}"), *original.pixels.shape[1::-1])
            folder = folder or Path(tempfile.mkdtemp(dir=self.folder))
            _show(folder / "before.jpg", original.pixels, original.profile)
            asked = _Asked(source, folder, strength, suffix)
            return [self._restored(original, method, name, asked) for method, name in zip(made, methods, strict=True)]

    def _restored(self, original: Photograph, method: Method, name: str, asked: _Asked) -> Result:
        import torch

        from limpid.data.photo_io import write_photograph

        began = time.perf_counter()
        x = torch.from_numpy(original.pixels.transpose(2, 0, 1))[None]
        restored = method.restore(x, asked.strength)[0].permute(1, 2, 0).numpy()
        own = Path(tempfile.mkdtemp(dir=asked.folder))
        download, after = own / f"{asked.source.stem}{asked.suffix}", own / "after.jpg"
        write_photograph(download, restored, original, processed_by=method.identity)
        _show(after, restored, original.profile)
        height, width = restored.shape[:2]
        seconds = time.perf_counter() - began
        notes = [f" {note.replace(str(asked.source), asked.source.name)}" for note in original.notes]
        says = f"{name}, {width} × {height} pixels, {seconds:.1f} s{'.' if notes else ''}{''.join(notes)}"
        return Result(name, (str(asked.folder / "before.jpg"), str(after)), str(download), says)

    def keep_clean(self) -> None:
        """Remove old files every minute, as long as the process lives."""
        threading.Thread(target=self._clean_for_ever, daemon=True).start()

    def _clean_for_ever(self) -> None:
        while True:
            time.sleep(_LOOK)
            self.remove_old()

    def remove_old(self, seconds: float = KEPT) -> None:
        """Remove what was put into the folder `seconds` ago and more, but for what waits or is being worked on."""
        for entry in self.folder.iterdir():
            newest = max((_changed(path) for path in (entry, *entry.rglob("*"))), default=0.0)
            if entry.name in self._used or newest >= time.time() - seconds:
                continue
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)  # gradio leaves empty files

    @contextmanager
    def _turn(self, *used: Path | None) -> Iterator[None]:
        """One photograph at a time; some may wait. What is `used` stays on disk meanwhile."""
        names = [path.relative_to(self.folder).parts[0] for path in used if path and path.is_relative_to(self.folder)]
        if not self._places.acquire(blocking=False):
            raise BusyError(f"{QUEUE} photographs are waiting already; try again in a while.")
        self._used += names
        try:
            with self._working:
                yield
        finally:
            for name in names:
                self._used.remove(name)
            self._places.release()

    def _read(self, source: Path) -> Photograph:
        from limpid.data.photo_io import read_photograph, size_of

        if source.is_relative_to(self.folder) and not source.exists():
            minutes = KEPT // 60
            raise UserError(f"{source.name} was dropped more than {minutes} minutes ago and is gone; drop it again.")
        try:
            width, height = size_of(source)
            if width * height > self.megapixels * 1e6:
                raise TooLargeError(
                    f"{source.name} has {width} × {height} pixels, more than the {self.megapixels:g} megapixels that "
                    "this page takes; make it smaller, or start limpid serve with a larger --max-megapixels."
                )
            return read_photograph(source, self.megapixels)
        except TooLargeError:
            raise
        except UserError as error:
            raise UserError(str(error).replace(str(source), source.name)) from error

    def _method(self, name: str) -> Method:
        if name not in self._made:
            makers = {offered.name: offered.make for offered in self.offered}
            if name not in makers:
                hint = nearest(name, makers) or f"; there are {', '.join(makers)}."
                raise UnknownMethodError(f"There is no method {name!r} on this page{hint}")
            self._made[name] = makers[name]()
        return self._made[name]


def _show(path: Path, pixels: Pixels, profile: bytes | None) -> None:
    from limpid.results.contact_sheet import side_by_side

    picture = side_by_side([pixels])
    picture.thumbnail((_SHOWN, _SHOWN))
    picture.save(path, "JPEG", quality=92, icc_profile=profile)


def _changed(path: Path) -> float:
    """When a file was last written, in seconds since 1970; 0 where it is gone."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _bytes(path: Path) -> int:
    """The size of a file; 0 where it is gone, and for a folder."""
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0
