"""The run store: one directory per run, with a name that follows from what was asked, locked while it is used."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Required, TypedDict

import yaml
from filelock import FileLock, Timeout

from limpid.errors import Damaged, UserError
from limpid.paths import leads_out
from limpid.store import forms
from limpid.store.atomic_io import identity, write_csv, write_json, write_text
from limpid.store.metrics_file import MetricsFile

#: What a file system says that has no locks, such as NFS without its lock daemon. (ENOSYS is filelock's own affair.)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunStatus(TypedDict, total=False):
    """The content of status.json.

    Attributes:
        status: ``missing``, ``running``, ``done``, ``failed`` or ``interrupted``.
        started: when the run began; times are in ISO 8601, UTC.
        resumed: when it was last taken up again.
        ended: when it was done or failed.
        step: how many batches are trained, of `steps`.
        steps: how many there will be.
        message: why it failed.
        pid: the process that wrote this.
        host: the machine of the process.
        time: when it was written, in seconds since 1970.
    """

    status: Required[str]
    started: str
    resumed: str
    ended: str
    step: int
    steps: int
    message: str
    pid: int
    host: str
    time: float


class InUse(UserError):  # noqa: N818 - it is no failure
    """Another process holds the run."""


class Removed(UserError):  # noqa: N818 - as `CannotRun`
    """The directory of a run that goes on is gone."""


class Run:
    """A directory of the run store.

    It holds config.yaml, status.json, metrics.json, per_image.csv, curves.csv, environment.json, checkpoints/ and
    images/. What reads one of these raises `Damaged` where it is not as Limpid wrote it.

    Args:
        path: the directory; it need not exist yet.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        #: The folders that `locked` made, the innermost first.
        self._made: list[Path] = []
        #: Device and number of the directory that is written to, once it is.
        self._identity: tuple[int, int] | None = None

    @property
    def last_checkpoint(self) -> Path:
        """The path of the newest checkpoint of the training."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best_checkpoint(self) -> Path:
        """The path of the checkpoint with the best validation."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def chosen_checkpoint(self) -> Path:
        """The checkpoint that is tested: the best on the validation set, or the last where nothing validates."""
        return self.best_checkpoint if self.best_checkpoint.is_file() else self.last_checkpoint

    def config(self) -> dict[str, Any] | None:
        """The composed configuration the run was made with, or None before it begins."""
        file = self.path / "config.yaml"
        config: dict[str, Any] | None = forms.read_yaml_file(file, forms.CONFIG)
        if config is None and (self.path / "status.json").is_file():  # which is written after it
            raise forms.damaged(file, "is not there")
        return config

    def status(self) -> RunStatus:
        """The content of status.json; a run that was killed while it ran is ``interrupted`` in it."""
        stored = forms.read_json_file(self.path / "status.json", forms.STATUS)
        status: RunStatus = stored or RunStatus(status="missing")
        if status["status"] == "running" and not self._is_locked():
            status["status"] = "interrupted"
        return status

    def results(self) -> MetricsFile | None:
        """The content of metrics.json, or None before the run is done."""
        results: MetricsFile | None = forms.read_json_file(self.path / "metrics.json", forms.METRICS)
        return results

    def environment(self) -> dict[str, object]:
        """The facts on the machine and the packages; empty before it begins."""
        return forms.read_json_file(self.path / "environment.json", forms.ENVIRONMENT) or {}

    @property
    def has_weights(self) -> bool:
        """Whether it is finished and left a checkpoint, so that other runs can start from it."""
        return self.done and self.chosen_checkpoint.is_file()

    @property
    def done(self) -> bool:
        """Whether the run is finished and its results are there."""
        return self.status()["status"] == "done" and self.results() is not None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process.

        Raises:
            InUse: another process holds it.
            UserError: the file system has no locks.
        """
        self._made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        lock = self._lock()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            by = self._earlier()
            raise InUse(
                f"The run {self.path} is in use by process {by.get('pid', '?')} on {by.get('host', '?')}; wait for "
                "it to end, or give another seed."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise UserError(
                f"The file system of {self.path} gives no locks ({error.strerror}), so that two commands could write "
                "one run; put the run store elsewhere (LIMPID_RUNS=FOLDER), or have locks mounted."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def require_folder(self) -> None:
        """Refuse to write to a directory that is not the one that this object first wrote to, which is made if needed.

        Raises:
            UserError: it was removed, or another has its name.
        """
        if self._identity is None:
            self.path.mkdir(parents=True, exist_ok=True)
            self._identity = identity(self.path)
        if identity(self.path) != self._identity:
            raise Removed(
                f"The run's folder {self.path} was removed or replaced while the run went on, so nothing more is "
                "written; give the same command again to start over."
            )

    def _earlier(self) -> Mapping[str, Any]:
        """What status.json says, empty where it cannot be read: it is about to be replaced."""
        try:
            return forms.read_json_file(self.path / "status.json", forms.STATUS) or {}
        except Damaged:
            return {}

    def _lock(self) -> FileLock:
        return FileLock(self.path / ".lock")

    def _is_locked(self) -> bool:
        if not (self.path / ".lock").exists():
            return False
        lock = self._lock()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # of a store that may only be read
            return self._is_locked_elsewhere()
        lock.release()
        return False

    def _is_locked_elsewhere(self) -> bool:
        """Whether another process holds the run, found out without writing."""
        try:
            import fcntl

            with (self.path / ".lock").open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except (ImportError, OSError):
            return False
        return False

    def begin(self, config: Mapping[str, object], environment: Mapping[str, object]) -> None:
        """Write the configuration and the environment, and say that the run is running.

        Raises:
            UserError: the directory holds a run of other settings.
        """
        self.require_folder()
        before = self.config()
        if before is not None and _fingerprint(before) != _fingerprint(config):
            raise UserError(
                f"The run {self.path} was made with other settings ({_difference(before, config)}); add rerun=true to "
                "start it over, or restore the settings."
            )
        try:
            for unfinished in self.path.rglob("*.part"):  # of a process that was killed while it wrote
                unfinished.unlink()
            write_text(self.path / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
            write_json(self.path / "environment.json", environment)
            started = self._earlier().get("started") or _now()
            self._write_status("running", started=started, resumed=_now() if before is not None else None)
        except OSError:
            if before is None and self.path in self._made:
                self._remove()
            raise

    def progress(self, step: int, steps: int) -> None:
        """Note how far the training is."""
        self._write_status("running", step=step, steps=steps)

    def finish(self, results: MetricsFile, per_image: Sequence[Mapping[str, object]]) -> None:
        """Store the results, and say that the run is done."""
        self.require_folder()
        write_csv(self.path / "per_image.csv", per_image)
        write_json(self.path / "metrics.json", results)
        self._write_status("done", ended=_now())

    def fail(self, message: str, was_done: bool = False) -> None:
        """Say that the run failed, and why; where it `was_done` and only something more failed, it stays done."""
        # A folder that is gone or cannot be written to is the failure, then.
        with contextlib.suppress(Removed, OSError):
            self._write_status("done" if was_done else "failed", ended=_now(), message=message)

    def interrupt(self, step: int | None, message: str = "", was_done: bool = False) -> None:
        """Say that the run was interrupted, and at which step it continues; see `fail` for `was_done`."""
        status = "done" if was_done else "interrupted"
        self._write_status(status, ended=_now(), step=step or 0, message=message or None)

    def withdraw(self, message: str, was_done: bool = False) -> None:
        """Leave nothing of a run that never got to its first step; one that got further, or was there before, failed.

        Args:
            message: why.
            was_done: see `fail`.
        """
        if self.path not in self._made or self._earlier().get("step") or self.last_checkpoint.is_file():
            self.fail(message, was_done)
            return
        try:
            self.require_folder()
        except Removed:
            return
        self._remove()

    def _remove(self) -> None:
        """Remove the directory and the folders that were made for it."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):  # another run is in it by now
            for folder in self._made[1:]:
                folder.rmdir()

    def clear(self) -> None:
        """Remove everything the run wrote, so that it starts over."""
        for entry in self.path.iterdir() if self.path.is_dir() else ():
            if entry.name == ".lock":
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def _write_status(self, status: str, **facts: object) -> None:
        self.require_folder()
        before = self._earlier()
        earlier = {k: before[k] for k in ("started", "resumed", "step", "steps") if before.get(k) is not None}
        known = {k: v for k, v in facts.items() if v is not None}
        process = {"pid": os.getpid(), "host": socket.gethostname(), "time": time.time()}
        write_json(self.path / "status.json", {"status": status, **earlier, **known, **process})


def directory_name(place: str, budget: str, seed: int, fingerprint: str | None) -> Path:
    """The path of a run in its store.

    Args:
        place: ``<paper>/<table>/<row>``, or ``free/<model>-<data>/<fingerprint>`` without a row.
        budget: its name.
        seed: of the run.
        fingerprint: where it differs from the bare row's, else None.

    Raises:
        UserError: a name leads out of the store.
    """
    for name in (place, budget):
        if leads_out(name):
            raise UserError(f"The row or budget is called {name!r}, which leads out of the run store; rename it.")
    return Path(place, budget, f"seed-{seed}" if fingerprint is None else f"seed-{seed}-{fingerprint}")


def find(folder: Path) -> list[Run]:
    """Every run below `folder`, sorted by path; what lies in a run, such as what a logger keeps there, is none."""
    files = chain(folder.rglob("config.yaml"), folder.rglob("status.json"))
    folders = {file.parent for file in files}
    return [Run(path) for path in sorted(folders) if folders.isdisjoint(path.parents)]


def _fingerprint(config: Mapping[str, object]) -> object:
    """The fingerprint in a stored configuration; None in one of an older form."""
    facts = config.get("run")
    return facts.get("fingerprint") if isinstance(facts, Mapping) else None


def _difference(before: Mapping[str, object], now: Mapping[str, object], where: str = "") -> str:
    """The first few keys in which two configurations differ, with both values."""
    differences: list[str] = []

    def walk(a: object, b: object, key: str) -> None:
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            for name in dict.fromkeys([*a, *b]):
                walk(a.get(name), b.get(name), f"{key}.{name}" if key else str(name))
        elif a != b:
            differences.append(f"{key}: {a!r} then, {b!r} now")

    ignored = ("logger", "log_every", "rerun", "run")
    walk(
        {k: v for k, v in before.items() if k not in ignored},
        {k: v for k, v in now.items() if k not in ignored},
        where,
    )
    return "; ".join(differences[:3]) or "an older form of them"
