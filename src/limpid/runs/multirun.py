"""Sweeps: how each job ended is noted on disk, so that all are listed at the end whatever launcher ran them."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from limpid.errors import CannotRun, Damaged, UserError, printable
from limpid.paths import runs
from limpid.results.measured import readable_records, tell_left_out
from limpid.store.atomic_io import read_json, write_json
from limpid.store.run_directory import Run
from limpid.surroundings import sentence_of_system

if TYPE_CHECKING:
    from limpid.runs.runner import Results

_FOLDER = "LIMPID_SWEEP"  # tells a job that it is part of a sweep, and where to note what became of it


@contextmanager
def noted() -> Iterator[Path]:
    """The folder in which the jobs of a new sweep note what became of them, for as long as the sweep runs.

    A sweep that does not start, or is interrupted, leaves nothing behind that a later run would take for its own.
    """
    parent = runs() / ".sweeps"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="sweep-", dir=parent)).resolve()
    os.environ[_FOLDER] = str(folder)
    try:
        yield folder
    finally:
        del os.environ[_FOLDER]


def launched(launch: Callable[[], None], words: Sequence[str]) -> int:
    """The exit status of a sweep's launcher: 1 where a job was cancelled or lost, which is then said, else 0.

    Args:
        launch: starts the jobs and waits for them.
        words: of the command line.
    """
    if any(word.endswith("launcher=submitit_slurm") for word in words):
        from limpid.runs.slurm_queue import ask_the_queue_without_accounting

        ask_the_queue_without_accounting()
    try:
        launch()
    except _lost_jobs() as error:
        print(_lost_job(str(error)), file=sys.stderr)
        return 1
    return 0


def _lost_jobs() -> tuple[type[Exception], ...]:
    """What submitit raises for a job without results, if it is the launcher."""
    module = sys.modules.get("submitit.core.utils")
    return () if module is None else (module.UncompletedJobError,)


def _lost_job(message: str) -> str:
    """The sentence for a job that submitit misses, whose message has its number and SLURM's word for its end."""
    number = re.search(r"Job (\S+)", message)
    state = re.search(r"state: (\w+)", message)
    which = f"Job {number[1]}" if number else "A job"
    how = f" ({state[1]})" if state else ""
    return (
        f"{which} of the sweep ended without a result{how}; the others go on, and the same command does what is left."
    )


@dataclass
class JobLog:
    """What a job leaves: its results, or None where it ended with an exception."""

    results: Results | None = None


@contextmanager
def job_log(label: str, number: int) -> Iterator[JobLog]:
    """The log of one job; inside a sweep its end is noted, and an exception does not end the other jobs."""
    log = JobLog()
    folder = os.environ.get(_FOLDER)
    if folder is None:
        yield log
        return
    outcome: dict[str, str | int] = {"job": label, "number": number, "status": "done", "why": ""}
    try:
        yield log
        assert log.results is not None
        outcome["status"] = "already done" if log.results.skipped else "done"
        outcome["run"] = str(log.results.directory)
    except CannotRun as error:
        outcome |= {"status": "skipped", "why": str(error)}
    except UserError as error:
        outcome |= {"status": "refused", "why": str(error)}
    except Exception as error:
        said = sentence_of_system(error)
        if said is None:
            traceback.print_exc()
            outcome |= {"status": "crashed", "why": f"{type(error).__name__}: {error}"}
        else:
            outcome |= {"status": "refused", "why": said}
    write_json(Path(folder) / f"{number:05d}.json", outcome)


def end(folder: Path) -> int:
    """The sweep's exit status, after the end of each job is listed on stderr.

    1 if a job crashed, 2 if one was refused, else 0: a row that cannot run is no failure.

    Raises:
        UserError: there was no job.
    """
    outcomes = [read_json(file) for file in sorted(folder.glob("*.json"))]
    if not outcomes:
        raise UserError("The sweep has no job: what it goes over, such as glob(NAME*), matches nothing.")
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome["status"]] = counts.get(outcome["status"], 0) + 1
        if outcome["why"]:
            print(printable(f"{outcome['status']}: {outcome['job']}: {outcome['why']}"), file=sys.stderr)
    ends = ", ".join(f"{n} {status}" for status, n in counts.items()) or "none has ended"
    print(f"{len(outcomes)} jobs: {ends}", file=sys.stderr)
    _compare([Run(outcome["run"]) for outcome in outcomes if outcome.get("run")])
    if "crashed" in counts:
        return 1
    return 2 if "refused" in counts else 0


def _compare(runs: list[Run]) -> None:
    """Print how the runs of a sweep that scored the same images differ, image by image."""
    from limpid.results import paired

    own = {run.path: _own_images(run) for run in runs}
    alike = {run.path: run for run in runs if own[run.path] is not None and own[run.path] == own[runs[0].path]}
    compared = paired.compare_to_reference(paired.image_scores(readable_records(alike.values())))
    if compared is not None:
        from limpid.results.console import print_comparison

        print_comparison(compared)


def _own_images(run: Run) -> dict[str, str] | None:
    """What sets of one's own held that a run was tested on: images of one name in two folders are not the same.

    None where the run's files are damaged, of which a warning tells.
    """
    try:
        config = run.config()
    except Damaged as error:
        tell_left_out(run.path, error)
        return None
    own = ((config or {}).get("run") or {}).get("own") or {}
    return {key: digest for key, digest in own.items() if key.startswith("data.test.")}
