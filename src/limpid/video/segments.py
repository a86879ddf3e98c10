"""The hidden folder beside a result in which its segments lie until they are joined."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import filelock

from limpid.errors import UserError
from limpid.store.atomic_io import json_text, read_json, write_json
from limpid.video.smoothing import SmootherState

#: So much of the beginning and of the end of a file tells it from others, with its length.
_SAMPLE = 1 << 20
_MANIFEST = "made_from.json"


class Segment(NamedTuple):
    """Some seconds of the result that are finished.

    Attributes:
        file: where its frames lie.
        frames: how many they are.
        start: the time of the first, in units of the clip's time base.
        end: when the last one ends.
    """

    file: Path
    frames: int
    start: int
    end: int


class WorkFolder:
    """The segments of the result `target`; a folder that is gone once `remove` is called.

    Args:
        target: the video that they become.
        made_from: what decides how they look, in plain values; those of something else are thrown away.
    """

    def __init__(self, target: Path, made_from: dict[str, object]) -> None:
        self.path = target.with_name(f".{target.name}.limpid")
        self._made_from = made_from

    @contextmanager
    def held(self) -> Iterator[list[Segment]]:
        """The segments that are finished already, in order, while no other process may write here.

        Raises:
            UserError: another process does, or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.path / "lock")
            with lock.acquire(timeout=0):
                yield self._finished()
        except filelock.Timeout as error:
            raise UserError(f"Another run is writing to {self.path}; wait for it, or give another output.") from error
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be written ({error.strerror}); make room, or give another output."
            ) from error
        if not (self.path / _MANIFEST).exists():
            shutil.rmtree(self.path, ignore_errors=True)

    def file(self, number: int) -> Path:
        """Where the frames of segment `number` lie while they are written, see `keep`."""
        return self.path / f"{number:06d}.part"

    def keep(self, number: int, segment: Segment, state: SmootherState) -> Segment:
        """Count segment `number` among the finished ones; its file's new place is in what is returned.

        Args:
            number: from 0.
            segment: as it was written.
            state: the smoother's after its last frame.
        """
        file = self.path / f"{number:06d}.video"
        self.file(number).replace(file)
        kept = segment._replace(file=file)
        said = {"file": file.name, "bytes": file.stat().st_size, "smoother": state}
        write_json(file.with_suffix(".json"), kept._asdict() | said)
        return kept

    def state_after(self, segment: Segment) -> SmootherState:
        """The smoother's state after the last frame of a finished segment."""
        state: SmootherState = read_json(segment.file.with_suffix(".json"))["smoother"]
        return state

    def remove(self) -> None:
        """Throw all segments away; the folder goes when it is no longer held."""
        for file in self.path.iterdir():
            if file.name != "lock":
                file.unlink()

    def _finished(self) -> list[Segment]:
        if self._written_by() != json.loads(json_text(self._made_from)):
            self.remove()
            write_json(self.path / _MANIFEST, self._made_from)
        segments: list[Segment] = []
        while (segment := self._segment(len(segments))) is not None:
            segments.append(segment)
        return segments

    def _written_by(self) -> object:
        try:
            return read_json(self.path / _MANIFEST)
        except ValueError:
            return None

    def _segment(self, number: int) -> Segment | None:
        file = self.path / f"{number:06d}.video"
        try:
            said = read_json(file.with_suffix(".json"))
            if said is None or file.stat().st_size != said["bytes"]:
                return None
            return Segment(file, int(said["frames"]), int(said["start"]), int(said["end"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None


def content_of(path: Path) -> dict[str, object]:
    """What tells the file at `path` from others: its length, when it was written, and its beginning and end."""
    status = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(_SAMPLE))
        file.seek(max(0, status.st_size - _SAMPLE))
        digest.update(file.read(_SAMPLE))
    return {"bytes": status.st_size, "modified": status.st_mtime_ns, "sha256": digest.hexdigest()}
