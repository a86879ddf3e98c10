"""One run as its page shows it: what was asked, what came out, curves, images, and what it ran on."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from limpid.errors import Damaged
from limpid.paths import IS_NOT_THERE, why_no_file
from limpid.results.frame import read_per_image
from limpid.results.measured import tell_left_out
from limpid.results.report import labels
from limpid.results.rows import Row, known_row
from limpid.results.run_record import INPUT, MEASURED, RunDetails, RunRecord, Score, read_details, read_record
from limpid.store.forms import damaged
from limpid.store.run_directory import Run

if TYPE_CHECKING:
    import pandas as pd

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Result:
    """One figure of a run, beside the input's and the paper's."""

    set: str
    metric: str
    value: str
    images: int
    protocol: str
    input: str
    gain: str
    printed: str
    difference: str


#: The folders of pictures that validations leave.
_VALIDATION = ("val", "val-best")


@dataclass(frozen=True)
class Picture:
    """One picture of the run: a panel of the input, the restored image, perhaps the target, and maps.

    Attributes:
        file: where it lies.
        set: of the image.
        name: of the image.
        scores: the image's own values, and those of the input as `input_<metric>`.
    """

    file: Path
    set: str
    name: str
    scores: Mapping[str, float]


class RunView:
    """A run of the store.

    Args:
        run: the run.
        place: its path in the store.
        page: the name of its page.
    """

    def __init__(self, run: Run, place: str, page: str) -> None:
        self.run = run
        self.place = place
        self.page = page
        self.record: RunRecord = read_record(run)
        self.status = run.status()

    @cached_property
    def details(self) -> RunDetails:
        """The command, the configuration, and what sets and protocols are."""
        return read_details(self.run)

    @cached_property
    def row(self) -> Row | None:
        """The row that the run runs; None without one, and where experiments/ no longer has it."""
        return known_row(self.record.row)

    @property
    def title(self) -> str:
        """The paper's label of the row, else the model."""
        return self.row.label if self.row else self.record.model or self.place

    @property
    def settings(self) -> str:
        """Budget and what was set besides."""
        return labels.settings(self.record)

    @property
    def command(self) -> str:
        """The command that made it, empty where the configuration does not say."""
        words = self.details.command
        return shlex.join(["limpid", *words]) if words else ""

    @cached_property
    def environment(self) -> list[tuple[str, str]]:
        """What it ran on, in plain words."""
        return environment(self._whole(self.run.environment, {}))

    def results(self) -> list[Result]:
        """Every figure of the run."""
        printed = self.row.printed if self.row else {}
        degraded = {(score.set, score.metric): score.value for score in self.record.scores if score.source == INPUT}
        return [
            _result(score, degraded.get((score.set, score.metric)), printed.get(score.set, {}).get(score.metric))
            for score in self.record.scores
            if score.source == MEASURED
        ]

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """The points `(step, value)` of each logged value; a line that is not whole is left out."""
        return self._whole(lambda: read_curves(self.run.path / "curves.csv"), {})

    def _whole(self, read: Callable[[], _Read], otherwise: _Read) -> _Read:
        """What is read of the run, or `otherwise` where that is damaged, of which a warning tells."""
        try:
            return read()
        except Damaged as error:
            tell_left_out(self.run.path, error, "Something of the run")
            return otherwise

    @cached_property
    def image_scores(self) -> pd.DataFrame:
        """The scores of every image, a line each; see `limpid.results.frame.read_per_image`."""
        import pandas as pd

        empty = pd.DataFrame(columns=["set", "image", "image_number", "metric", "source", "value"])
        return self._whole(lambda: read_per_image(self.run.path), empty)

    @cached_property
    def scores(self) -> Mapping[tuple[str, str], Mapping[str, float]]:
        """The values of every image by `(set, name)`, those of the input as `input_<metric>`."""
        values: dict[tuple[str, str], dict[str, float]] = {}
        for line in self.image_scores.itertuples():
            metric = f"input_{line.metric}" if line.source == INPUT else line.metric
            values.setdefault((line.set, line.image), {})[metric] = line.value
        return values

    def distributions(self) -> Iterator[tuple[str, str, dict[str, list[float]]]]:
        """`(set, metric, {what: values})`: of the restored images, and of the inputs as they are."""
        for (name, metric), lines in self.image_scores.groupby(["set", "metric"], sort=False):
            groups = {}
            for source, what in ((MEASURED, "restored"), (INPUT, "the input as it is")):
                values = list(lines["value"][lines["source"] == source])
                if values:
                    groups[what] = values
            yield name, metric, groups

    def pictures(self) -> list[Picture]:
        """The pictures of the test sets, by set and name."""
        folder = self.run.path / "images"
        pictures_of_run = []
        for file in sorted(folder.glob("*/**/*.png")):
            if file.relative_to(folder).parts[0] in _VALIDATION:
                continue
            name, _, image = file.relative_to(folder).with_suffix("").as_posix().partition("/")
            scores = self.scores.get((name, image), {})
            pictures_of_run.append(Picture(file, name, image, scores))
        return pictures_of_run

    def sets(self) -> dict[str, Mapping[str, object]]:
        """The settings of the sets that were tested on, by the name they have in the results."""
        names = dict.fromkeys(score.set for score in self.record.scores if score.source == MEASURED)
        return {name: self.details.test_sets.get(name) or {} for name in names}

    def set_option(self, name: str) -> str:
        """The option of the group `dataset` that the test set `name` was made from; empty where nothing says."""
        return self.details.set_choices.get(name, "")


def read_curves(file: Path) -> dict[str, list[tuple[int, float]]]:
    """The points `(step, value)` of each value in a curves.csv; a line that is not whole is left out.

    Raises:
        Damaged: the file is not as Limpid wrote it.
    """
    by_name: dict[str, list[tuple[int, float]]] = {}
    why = why_no_file(file)
    if why == IS_NOT_THERE:
        return by_name
    if why is not None:
        raise damaged(file, why)
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            for row in reader:
                point = _point(row)
                if point is not None:
                    by_name.setdefault(row["name"], []).append(point)
    except (OSError, ValueError, csv.Error) as error:
        raise damaged(file, "is cut short or damaged") from error
    if reader.fieldnames != ["step", "name", "value"]:
        raise damaged(file, "is damaged (its first line is another)")
    return {name: sorted(points) for name, points in by_name.items()}


def _point(row: Mapping[str, str]) -> tuple[int, float] | None:
    """The step and the value in a line; None of one that a running process is about to write the rest of."""
    try:
        return int(row["step"]), float(row["value"])
    except (KeyError, TypeError, ValueError):
        return None


def _result(score: Score, before: float | None, printed: float | None) -> Result:
    return Result(
        score.set,
        score.metric,
        labels.number(score.value),
        score.n,
        score.protocol,
        labels.number(before),
        labels.signed(None if before is None else score.value - before),
        labels.printed(printed),
        labels.signed(None if printed is None else score.value - printed),
    )


def environment(facts: Mapping[str, object]) -> list[tuple[str, str]]:
    """The facts of environment.json as `(what, value)`, packages and lists spelt out."""
    lines = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            lines += [(str(name), str(version)) for name, version in value.items()]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            lines.append((key, ", ".join(map(str, value)) or "none"))
        else:
            lines.append((key, "unknown" if value is None else str(value)))
    return lines
