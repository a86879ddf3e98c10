"""One run as its page shows it: what was asked, what came out, curves, images, and what it ran on."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from limpid.results import paired, table
from limpid.results.report import labels
from limpid.results.table import Entry
from limpid.store.atomic_io import read_json
from limpid.store.run_directory import Run


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
        self.run, self.place, self.page = run, place, page
        self.entry: Entry = table.run_entry(run)
        self.status = run.status()
        self.config: Mapping[str, Any] = run.config() or {}

    @property
    def row(self) -> Mapping[str, Any]:
        """The row block of the configuration; empty without a row."""
        return self.config.get("row") or {}

    @property
    def title(self) -> str:
        """The paper's label of the row, else the model."""
        return str(self.row.get("label") or (self.config.get("choices") or {}).get("model") or self.place)

    @property
    def settings(self) -> str:
        """Budget and what was set besides."""
        return labels.settings(self.entry)

    @property
    def command(self) -> str:
        """The command that made it, empty where the configuration does not say."""
        typed = self.config.get("typed")
        return shlex.join(["limpid", str(self.config.get("verb", "train")), *map(str, typed)]) if typed else ""

    @property
    def config_text(self) -> str:
        """config.yaml as it is read."""
        return yaml.safe_dump(dict(self.config), sort_keys=False, allow_unicode=True)

    @cached_property
    def environment(self) -> list[tuple[str, str]]:
        """What it ran on, in plain words."""
        return environment(read_json(self.run.path / "environment.json") or {})

    @property
    def absent(self) -> list[str]:
        """Why sets of the recipe were not tested."""
        return list((self.run.results() or {}).get("absent") or [])

    def results(self) -> list[Result]:
        """Every figure of the run."""
        expected = self.row.get("expected") or {}
        found = []
        for name, values in self.entry["metrics"].items():
            for metric, value in values.items():
                before = self.entry["input"].get(name, {}).get(metric, {}).get("mean")
                printed = (expected.get(name) or {}).get(metric)
                found.append(
                    Result(
                        name,
                        metric,
                        labels.number((value["mean"], None)),
                        value["n"],
                        str(value["protocol"]),
                        "" if before is None else labels.number((before, None)),
                        labels.signed(None if before is None else value["mean"] - before),
                        labels.number(printed),
                        labels.signed(None if printed is None else value["mean"] - printed),
                    )
                )
        return found

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """The points `(step, value)` of each logged value; a line that is not whole is left out."""
        file = self.run.path / "curves.csv"
        found: dict[str, list[tuple[int, float]]] = {}
        if not file.is_file():
            return found
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                try:
                    point = int(row["step"]), float(row["value"])
                except (TypeError, ValueError):
                    continue  # a running process is about to write the rest of it
                found.setdefault(row["name"], []).append(point)
        return {name: sorted(points) for name, points in found.items()}

    @cached_property
    def scores(self) -> dict[tuple[str, str], Mapping[str, float]]:
        """The values of every image, by `(set, name)`."""
        file = self.run.path / "per_image.csv"
        if not file.is_file():
            return {}
        with file.open(encoding="utf-8", newline="") as lines:
            names = [(row["set"], row["index"], row["name"]) for row in csv.DictReader(lines)]
        values = paired.per_image(self.run)
        return {(name, image): values[(name, index)] for name, index, image in names}

    def distributions(self) -> Iterator[tuple[str, str, dict[str, list[float]]]]:
        """`(set, metric, {what: values})`: of the restored images, and of the inputs as they are."""
        for name in dict.fromkeys(set_name for set_name, _ in self.scores):
            images = [values for (set_name, _), values in self.scores.items() if set_name == name]
            for metric in dict.fromkeys(m for values in images for m in values if not m.startswith("input_")):
                groups = {
                    "restored": [values[metric] for values in images if metric in values],
                    "the input as it is": [
                        values[f"input_{metric}"] for values in images if f"input_{metric}" in values
                    ],
                }
                yield name, metric, {what: values for what, values in groups.items() if values}

    def pictures(self) -> list[Picture]:
        """The pictures of the test sets, by set and name."""
        folder = self.run.path / "images"
        found = []
        for file in sorted(folder.glob("*/**/*.png")):
            if file.relative_to(folder).parts[0] in _VALIDATION:
                continue
            name, _, image = file.relative_to(folder).with_suffix("").as_posix().partition("/")
            scores = self.scores.get((name, image), {})
            found.append(Picture(file, name, image, scores))
        return found

    def sets(self) -> dict[str, Mapping[str, Any]]:
        """The cards of the sets that were tested on, by the name they have in the results."""
        tested = (self.config.get("data") or {}).get("test") or {}
        return {name: tested.get(name) or {} for name in self.entry["metrics"]}

    def set_card(self, name: str) -> str:
        """The name of the card in conf/dataset that the test set `name` was made from; empty where nothing says."""
        return str((self.config.get("choices") or {}).get(f"dataset@data.test.{name}") or "")

    def protocol_texts(self) -> dict[str, str]:
        """What each protocol of the configuration computes, by its id."""
        cards = (self.config.get("metrics") or {}).values()
        return {str(card["id"]): str(card.get("text") or "") for card in cards if card and "id" in card}


def environment(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The facts of environment.json as `(what, value)`, packages and lists spelt out."""
    found = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            found += [(str(name), str(version)) for name, version in value.items()]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            found.append((key, ", ".join(map(str, value)) or "none"))
        else:
            found.append((key, "unknown" if value is None else str(value)))
    return found
