"""Results as one long data frame: a line for each value that a paper prints or a run measured."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from limpid.errors import Damaged
from limpid.paths import IS_NOT_THERE, why_no_file
from limpid.paths import runs as default_store
from limpid.results.grouping import Group, groups_of, training_fingerprint
from limpid.results.measured import FREE, MeasuredRow, free_runs, measured_rows, tell_left_out
from limpid.results.rows import Row, rows
from limpid.results.run_record import INPUT, MEASURED, RunRecord
from limpid.store.forms import damaged

if TYPE_CHECKING:
    import pandas as pd

#: The source of values that a paper prints; the others are those of scores, `measured` and `input`.
PAPER = "paper"
#: What begins the columns of per_image.csv that hold the scores of the degraded input.
_INPUT_COLUMN = "input_"

_VALUE = ("set", "image", "image_number", "metric", "protocol", "value", "source", "n")
_ASKED = ("mode", "budget", "seed", "status", "comparable", "overrides", "settings")
_RUN = (*_ASKED, "fingerprint", "training", "group", "run")
#: The columns of the frame.
COLUMNS = ("paper", "table", "row", "model", "data", *_RUN, *_VALUE)

#: The types of the columns that hold no text.
_TYPES = {
    "seed": "Int64",
    "comparable": "boolean",
    "image_number": "Int64",
    "n": "Int64",
    "value": "float64",
}


def results(pattern: str = "", store: Path | str | None = None, per_image: bool = False) -> pd.DataFrame:
    """A data frame with one line for each value that papers print and that was measured.

    Its columns are

    - ``paper``, ``table``, ``row``: what the value belongs to; None for a run without a row. A run that several rows
      share (`alias_of`) is there under each of them.
    - ``model``, ``data``: the options of the groups of these names.
    - ``mode`` (train, test, profile), ``budget``, ``seed``, ``status``, ``comparable`` (with the paper), ``overrides``
      (as a shell takes them), ``settings`` (the same for people, with what is narrower), ``fingerprint``, ``run``
      (the directory): of the run; missing for printed values.
    - ``group``: equal for runs that differ in nothing but their seed, and ``training``, the fingerprint of what was
      trained; see `limpid.results.grouping`.
    - ``set``, ``metric``, ``protocol``, ``value``, and ``n``, how many images a mean is of.
    - ``image``, ``image_number``: the image's name and its position in the set, from 0; missing for means.
    - ``source``: ``paper``, ``measured``, or ``input`` for the degraded input itself.

    A run without any value, such as one that failed, has one line without set, metric and value.

    Args:
        pattern: ``paper``, ``paper/table`` or ``paper/table/row``; ``free`` for runs without a row; all if empty.
        store: the run store; by default `LIMPID_RUNS`, else ``runs``.
        per_image: whether the values of single images are there too. They are not among what was kept of runs.

    Raises:
        UserError: nothing is called `pattern`.
    """
    folder = Path(store) if store is not None else default_store()
    chosen = [] if pattern == FREE else rows(pattern)
    free = free_runs(folder) if pattern in ("", FREE) else []
    return frame_of(measured_rows(chosen, folder), free, per_image)


def frame_of(measured: Iterable[MeasuredRow], free: Iterable[RunRecord] = (), per_image: bool = False) -> pd.DataFrame:
    """The frame that `results` describes, of some rows and of some runs without a row."""
    import pandas as pd

    rows_with_runs = list(measured)
    runs: list[tuple[Row | None, RunRecord]] = []
    for one in rows_with_runs:
        runs += [(one.row, run) for run in one.runs]
    runs += [(None, run) for run in free]
    groups = groups_of([(row.id if row else None, run) for row, run in runs])
    numbered = iter(zip(runs, groups, strict=True))
    lines: list[tuple[object, ...]] = []
    for one in rows_with_runs:
        lines += _printed_lines(one.row)
        for (row, run), group in islice(numbered, len(one.runs)):
            lines += _run_lines(row, run, group)
    for (row, run), group in numbered:
        lines += _run_lines(row, run, group)
    # As objects first, so that what is missing is None in every column of text, whatever else is in it.
    means = _typed(pd.DataFrame(lines, columns=list(COLUMNS), dtype=object))
    if not per_image:
        return means
    images = [_readable_lines(*one, group) for one, group in zip(runs, groups, strict=True) if not one[1].kept]
    return pd.concat([means, *(frame for frame in images if len(frame))], ignore_index=True)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({name: _TYPES.get(name, object) for name in frame.columns})


def _run_columns(row: Row | None, run: RunRecord, group: Group, set_name: str | None = None) -> tuple[object, ...]:
    """The values of the columns that every line of a run and set shares, those before `_VALUE`."""
    names = (None, None, None) if row is None else (row.paper, row.table, row.name)
    model = run.model or (row.model if row else None)
    comparable = run.comparable if set_name is None else run.comparable_on(set_name)
    facts = (run.mode, run.budget, run.seed, run.status, comparable, shlex.join(run.overrides))
    settings = ", ".join(group.settings)
    training = training_fingerprint(run)
    return (*names, model, run.data, *facts, settings, run.fingerprint, training, group.id, run.path)


def _printed_lines(row: Row) -> Iterator[tuple[object, ...]]:
    columns = (row.paper, row.table, row.name, row.model, row.data, *[None] * len(_RUN))
    for name, values in row.printed.items():
        for metric, value in values.items():
            yield (*columns, name, None, None, metric, None, float(value), PAPER, None)


def _run_lines(row: Row | None, run: RunRecord, group: Group) -> Iterator[tuple[object, ...]]:
    sets = dict.fromkeys(score.set for score in run.scores)
    columns = {name: _run_columns(row, run, group, name) for name in sets}
    for score in run.scores:
        figure = (score.metric, score.protocol, score.value, score.source, score.n)
        yield (*columns[score.set], score.set, None, None, *figure)
    if not run.scores:
        yield (*_run_columns(row, run, group), None, None, None, None, None, float("nan"), MEASURED, None)


def _readable_lines(row: Row | None, run: RunRecord, group: Group) -> pd.DataFrame:
    """The lines of single images; none where they are damaged, of which a warning tells."""
    import pandas as pd

    try:
        return _image_lines(row, run, group)
    except Damaged as error:
        tell_left_out(Path(run.path), error, "Something of the run")
        return pd.DataFrame(columns=list(COLUMNS))


def _image_lines(row: Row | None, run: RunRecord, group: Group) -> pd.DataFrame:
    """The lines of single images, from the run's per_image.csv."""
    import pandas as pd

    scores = read_per_image(Path(run.path))
    protocols = {(score.set, score.metric): score.protocol for score in run.scores if score.source == MEASURED}
    columns = dict(zip(COLUMNS, _run_columns(row, run, group), strict=False))
    frame = pd.DataFrame(columns, index=scores.index)
    frame = frame.assign(**{name: scores[name] for name in scores.columns}, n=1)
    frame["comparable"] = [run.comparable_on(name) for name in scores["set"]]
    frame["protocol"] = [protocols.get(key) for key in zip(scores["set"], scores["metric"], strict=True)]
    return _typed(frame[list(COLUMNS)])


def read_per_image(folder: Path) -> pd.DataFrame:
    """A data frame with one line for each score of each image of a run, from its per_image.csv.

    The columns are `set`, `image` (its name), `image_number` (its position in the set), `metric`, `source` and `value`.

    Args:
        folder: the run's directory. Where it holds no scores, the frame is empty.

    Raises:
        Damaged: the file is not as Limpid wrote it.
    """
    import pandas as pd

    columns = ["set", "image", "image_number", "metric", "source", "value"]
    file = folder / "per_image.csv"
    why = why_no_file(file)
    if why is not None and why != IS_NOT_THERE:
        raise damaged(file, why)
    try:
        # A run that scored nothing leaves a file with an empty line.
        if why is not None or not file.read_text(encoding="utf-8").strip():
            return pd.DataFrame(columns=columns)
        # As text, so that an empty cell, which is no score, is told from a score that is not a number.
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")
        table = table.rename(columns={"name": "image", "index": "image_number"})
        if not set(columns[:3]) <= set(table.columns):
            raise damaged(file, "is damaged (it lacks set, name or index)")
        long = table.melt(id_vars=columns[:3], var_name="metric", value_name="value")
        long = long[long["value"] != ""].reset_index(drop=True)
        is_input = long["metric"].str.startswith(_INPUT_COLUMN)
        long["source"] = is_input.map({True: INPUT, False: MEASURED})
        long["metric"] = long["metric"].str.removeprefix(_INPUT_COLUMN)
        return long.astype({"value": float, "image_number": int})[columns]
    except (OSError, ValueError) as error:  # pandas' own errors of parsing are of these
        raise damaged(file, "is cut short or damaged") from error
