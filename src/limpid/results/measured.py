"""What was measured of a row: its runs in the store, and figures kept of runs that may be elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from limpid.errors import Damaged, ResultWarning, UserError
from limpid.paths import config_folders
from limpid.results.rows import Row
from limpid.results.run_record import RunRecord, from_plain, plain, read_record
from limpid.store.atomic_io import write_json
from limpid.store.forms import KEPT, read_json_file
from limpid.store.run_directory import Run, find

#: Where runs without a row lie in the store.
FREE = "free"


@dataclass(frozen=True)
class MeasuredRow:
    """A row and its runs, those of the store before those that were only kept."""

    row: Row
    runs: tuple[RunRecord, ...]


def measured_rows(rows: Iterable[Row], store: Path) -> list[MeasuredRow]:
    """The rows with all their runs, in the order of `rows`.

    Args:
        rows: which.
        store: the run store.
    """
    kept_records: dict[str, list[RunRecord]] = {}  # by paper
    measured = []
    for row in rows:
        if row.paper not in kept_records:
            kept_records[row.paper] = read_kept(measured_file(row.paper))
        runs = readable_records(find(store / row.run_id))
        present = {run.store_path for run in runs}
        runs += [run for run in kept_records[row.paper] if run.row == row.run_id and run.store_path not in present]
        measured.append(MeasuredRow(row, tuple(run.seen_from(row.printed) for run in runs)))
    return measured


def free_runs(store: Path) -> list[RunRecord]:
    """The records of the store's runs that belong to no row."""
    return readable_records(find(store / FREE))


def readable_records(runs: Iterable[Run]) -> list[RunRecord]:
    """The records of runs; one whose files are damaged is left out, and a warning names it."""
    records = []
    for run in runs:
        try:
            records.append(read_record(run))
        except Damaged as error:
            tell_left_out(run.path, error)
    return records


def tell_left_out(run: Path, error: Damaged, what: str = "The run") -> None:
    """Warn that a run, or something of it, is left out of what is shown, and why."""
    sentence = f"{what} {run} is left out: {error.reason}; restore the file, or do the run over."
    warnings.warn(sentence, ResultWarning, stacklevel=2)


def read_kept(file: Path) -> list[RunRecord]:
    """The records in a measured.json; none where there is no such file.

    Raises:
        Damaged: it is none.
    """
    return [from_plain(values) for values in read_json_file(file, [KEPT]) or []]


def keep(measured: Iterable[MeasuredRow]) -> list[Path]:
    """The measured.json files that were written, each with the figures of a paper's finished runs.

    What a file kept of a row is replaced where the row has finished runs. Smoke runs are left out: they say nothing
    about how well a row does.
    """
    papers: dict[str, dict[str, list[RunRecord]]] = {}
    for one in measured:
        done = [_portable(run, one.row) for run in one.runs if run.status == "done" and run.budget != "smoke"]
        if done:
            papers.setdefault(one.row.run_id.split("/")[0], {})[one.row.run_id] = done
    files = []
    for paper, by_row in papers.items():
        file = measured_file(paper)
        records = [run for run in read_kept(file) if run.row not in by_row]
        for runs in by_row.values():
            records += runs
        write_json(file, [plain(run) for run in sorted(records, key=lambda run: run.row or "")])
        files.append(file)
    return files


def measured_file(paper: str) -> Path:
    """The path of the figures that are kept of a paper's rows: beside its rows.

    Raises:
        UserError: there is no such paper.
    """
    for folder in config_folders("experiments"):
        if (folder / paper).is_dir():
            return folder / paper / "measured.json"
    raise UserError(f"There is no paper {paper!r} in experiments/.")


def _portable(run: RunRecord, row: Row) -> RunRecord:
    """The record under the row whose directory holds the run, without where the store lies on this machine."""
    return replace(run, row=row.run_id, path=run.store_path)
