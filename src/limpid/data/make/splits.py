"""All images of a split: in any number of processes, resumable, with a manifest."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from limpid.data.make.images import BEGUN, clear_cache, make_image, unwritable, worker_state
from limpid.data.make.jobs import Job
from limpid.errors import UserError
from limpid.store.atomic_io import atomic_write, json_text

#: What is called after every image with how many are there, how many there will be, and the split.
Progress = Callable[[int, int, str], None]


def make(job: Job, workers: int = 1, progress: Progress | None = None) -> int:
    """The number of images of a split that were made now. Those that are there and whole are kept.

    Args:
        job: what is made.
        workers: how many processes; the images do not depend on it.
        progress: told after every image how many are there, how many there will be, and the split.

    Raises:
        UserError: the folder holds images made with other settings, another run is at work in it, a source cannot be
            read, or the disk is full. What is complete stays.
    """
    clear_cache()  # files may have come and gone
    sources = worker_state(job)[0]
    count = job.count or len(sources)
    if job.frames and count > len(sources):
        raise UserError(f"{count} images were asked for, but the frames make only {len(sources)}; lower count.")
    if not len(sources):
        raise UserError(f"There is no image to degrade for `limpid data make {job.name}`; give another input.")
    with _alone(job):
        header = job.header(sources.fingerprint())
        done = _there(job, header, count)
        todo = [number for number in range(count) if number not in done]
        if not todo and job.manifest.is_file():
            return 0
        part = job.manifest.with_suffix(".part")
        try:
            with part.open("a", encoding="utf-8") as record:
                if record.tell() == 0:
                    record.write(_line(header))
                for number, entry in zip(todo, _made(job, todo, workers), strict=True):
                    done[number] = entry
                    record.write(_line(entry))
                    record.flush()
                    if progress is not None:
                        progress(len(done), count, job.split)
            lines = [_line({**header, "count": count}), *(_line(done[number]) for number in range(count))]
            with atomic_write(job.manifest, job.manifest.with_name(f"{BEGUN}{job.manifest.name}")) as begun:
                begun.write_text("".join(lines), encoding="utf-8")
            part.unlink()
        except OSError as error:
            raise UserError(unwritable(job.manifest, error)) from error
    return len(todo)


def _line(entry: Mapping[str, object]) -> str:
    return json_text(entry, sort_keys=True) + "\n"


def _made(job: Job, numbers: list[int], workers: int) -> Iterator[dict[str, object]]:
    """The lines of the manifest, one for each of `numbers` in their order, as the images are made."""
    if workers <= 1 or len(numbers) <= 1:
        yield from (make_image(job, number) for number in numbers)
        return
    with ProcessPoolExecutor(min(workers, len(numbers)), multiprocessing.get_context("spawn"), _one_thread) as pool:
        try:
            yield from pool.map(make_image, [job] * len(numbers), numbers, chunksize=max(1, min(8, len(numbers) // 32)))
        finally:
            pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    """Let the processes share the cores among them."""
    import cv2

    cv2.setNumThreads(1)


@contextmanager
def _alone(job: Job) -> Iterator[None]:
    """Hold the folder, and clear away what an interrupted run left half-written in it."""
    folder = Path(job.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            for begun in folder.rglob(f"{BEGUN}*"):
                begun.unlink()
            yield
    except Timeout as error:
        raise UserError(f"Another run is making images in {folder}; wait for it, or give another output.") from error
    except OSError as error:
        raise UserError(unwritable(folder, error)) from error


def _there(job: Job, header: Mapping[str, object], count: int) -> dict[int, dict[str, object]]:
    """The lines of the images that are there and whole, by number.

    Raises:
        UserError: they were made with other settings, or there are more than `count`.
    """
    done: dict[int, dict[str, object]] = {}
    folder = Path(job.folder)
    for file in (job.manifest, job.manifest.with_suffix(".part")):
        if not file.is_file():
            continue
        entries = list(_entries(file))
        theirs = entries.pop(0) if entries else {}
        if {k: v for k, v in theirs.items() if k != "count"} != json.loads(_line(header)):
            raise UserError(
                f"{folder} holds images that were made with other settings (see {file}); give another output, or "
                "remove them."
            )
        done |= {entry["number"]: entry for entry in entries if _are_files(folder, entry["files"])}
    if done and max(done) >= count:
        raise UserError(
            f"{folder} holds {max(done) + 1} images of the split {job.split} already, more than --count {count}; give "
            "another output, or remove them."
        )
    return done


def _are_files(folder: Path, names: Iterable[str]) -> bool:
    return all((folder / name).is_file() for name in names)


def _entries(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # the last line of a run that was killed while it wrote
            return
