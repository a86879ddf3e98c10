"""A run as typed values. This module alone knows how config.yaml and metrics.json are written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from limpid.results.rows import NO_SET
from limpid.store.metrics_file import MetricsFile, Summary
from limpid.store.run_directory import Run

MEASURED = "measured"
INPUT = "input"

#: An absolute path in an override; a URL is none.
_ABSOLUTE = re.compile(r"(?<![\w./:~*-])/(?:[^/'\",\[\]]+/)+[^/'\",\[\]]+")
#: How deep a run's directory lies in its store.
_DEPTH = 5


@dataclass(frozen=True)
class Score:
    """The mean of one metric over the images of one set.

    Attributes:
        set: the data set's name.
        metric: such as ``psnr``.
        value: the mean.
        n: how many images it is the mean of.
        protocol: the id of the protocol under which it was measured.
        source: ``measured``, or ``input`` for the degraded input itself.
    """

    set: str
    metric: str
    value: float
    n: int
    protocol: str
    source: str = MEASURED


@dataclass(frozen=True)
class RunRecord:
    """What one run was, and what it measured.

    Attributes:
        path: its directory.
        row: the row it runs, ``paper/table/row``; None for a run without a row.
        mode: ``train``, ``test`` or ``profile``.
        model: the option of the group `model`; None where kept figures do not say.
        data: the option of the group `data`.
        budget: of the training, that of the tested weights where these are another's.
        seed: likewise of the training.
        status: ``done``, ``running``, ``failed``, ``interrupted`` or ``missing``.
        fingerprint: of its configuration.
        overrides: what was typed besides row, budget and seed. A path into the run store begins with ``runs/``,
            wherever the store lies, and where data lie is left out unless sets of one's own are among them.
        narrowed: settings of the network that the budget makes smaller than the paper's.
        comparable: whether its values may stand beside the paper's, on all sets that the row's table prints.
        scores: its means, and those of the degraded input.
        provenance: where its weights come from, as metrics.json has it.
        comparable_sets: the sets on which they may; None where the run does not say.
        kept: whether these are figures that were kept of a run, which may be elsewhere or gone.
    """

    path: str
    row: str | None
    mode: str
    model: str | None
    data: str | None
    budget: str
    seed: int | None
    status: str
    fingerprint: str | None
    overrides: tuple[str, ...]
    narrowed: Mapping[str, object]
    comparable: bool
    scores: tuple[Score, ...]
    provenance: Mapping[str, Any]
    comparable_sets: tuple[str, ...] | None = None
    kept: bool = False

    def comparable_on(self, set_name: str) -> bool:
        """Whether its values on one set may stand beside the paper's."""
        return self.comparable if self.comparable_sets is None else set_name in self.comparable_sets

    def seen_from(self, printed: Mapping[str, object]) -> RunRecord:
        """The record as it is for a row whose table prints the sets `printed`: two rows may share a run.

        It stays as it is where the run says of no set whether it is comparable, or the table prints none.
        """
        needed = needed_sets(printed, {})
        if self.comparable_sets is None or not needed:
            return self
        return replace(self, comparable=set(needed) <= set(self.comparable_sets))

    @property
    def trained(self) -> Mapping[str, Any]:
        """The origin of the tested weights (row, budget, seed, data, ...); empty where nothing was trained."""
        return self.provenance.get("trained") or {}

    @property
    def store_path(self) -> str:
        """The directory as `runs/...`, wherever the run store lies; records of one run have the same."""
        return Path("runs", *Path(self.path).parts[-_DEPTH:]).as_posix()


@dataclass(frozen=True)
class RunDetails:
    """What the page of one run shows besides its record.

    Attributes:
        command: the words after ``limpid`` that make the run; empty where the configuration does not say.
        absent: why sets of the data were not tested.
        config_text: the configuration in YAML.
        test_sets: the settings of each tested set, by its name in the results.
        set_choices: the option of the group `dataset` behind each tested set, where one was chosen.
        protocols: what each metric protocol computes, by its id.
    """

    command: tuple[str, ...]
    absent: tuple[str, ...]
    config_text: str
    test_sets: Mapping[str, Mapping[str, object]]
    set_choices: Mapping[str, str]
    protocols: Mapping[str, str]


def read_record(run: Run) -> RunRecord:
    """The record of a run of the store.

    Raises:
        Damaged: one of its files is not as Limpid wrote it.
    """
    return record_of(run.config() or {}, run.results() or {}, run.status()["status"], run.path)


def record_of(config: Mapping[str, Any], results: MetricsFile, status: str, path: Path) -> RunRecord:
    """The record of a run.

    Args:
        config: what config.yaml holds.
        results: what metrics.json holds; empty while the run is not done.
        status: of the run.
        path: its directory.
    """
    facts = _facts(config)
    provenance = results.get("provenance") or {}
    trained = provenance.get("trained") or {}
    choices = facts.get("choices") or {}
    return RunRecord(
        path=path.as_posix(),
        row=facts.get("row"),
        mode=facts.get("mode") or "train",
        model=choices.get("model"),
        data=choices.get("data"),
        budget=str(trained.get("budget") or facts.get("budget")),
        seed=trained.get("seed", config.get("seed")),
        status=status,
        fingerprint=facts.get("fingerprint"),
        overrides=tuple(_portable(facts.get("changes") or (), path, roots=bool(facts.get("own")))),
        narrowed=facts.get("narrowed") or {},
        comparable=bool(results.get("comparable")) and status == "done",
        scores=tuple(_scores(results)),
        provenance=provenance,
        comparable_sets=_comparable_sets(results) if status == "done" else None,
    )


def needed_sets(printed: Mapping[str, object], recipe: Mapping[str, object]) -> tuple[str, ...]:
    """The test sets that a result needs to be comparable: those that the row's table prints, else all of its recipe.

    Args:
        printed: the paper's values by set; those of no set count as none.
        recipe: the test sets of the row's data.
    """
    return tuple(name for name in printed if name != NO_SET) or tuple(recipe)


def read_details(run: Run) -> RunDetails:
    """The details that the page of a run shows besides its record."""
    config = run.config() or {}
    facts = _facts(config)
    choices: Mapping[str, str] = facts.get("choices") or {}
    prefix = "dataset@data.test."
    metrics = (config.get("metrics") or {}).values()
    protocols = [entry for entry in metrics if entry and "id" in entry]
    return RunDetails(
        command=tuple(_command(config, facts)),
        absent=tuple((run.results() or {}).get("absent") or ()),
        config_text=yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
        test_sets={name: settings or {} for name, settings in ((config.get("data") or {}).get("test") or {}).items()},
        set_choices={key.removeprefix(prefix): str(name) for key, name in choices.items() if key.startswith(prefix)},
        protocols={str(entry["id"]): str(entry.get("text") or "") for entry in protocols},
    )


def plain(record: RunRecord) -> dict[str, object]:
    """The record as plain values for JSON, scores as metrics.json nests them; `from_plain` reads it."""
    nested: dict[str, Summary] = {MEASURED: {}, INPUT: {}}
    for score in record.scores:
        values = nested[score.source].setdefault(score.set, {})
        values[score.metric] = {"mean": score.value, "n": score.n, "protocol": score.protocol}
    return {
        "row": record.row,
        "mode": record.mode,
        "model": record.model,
        "status": record.status,
        "budget": record.budget,
        "seed": record.seed,
        "data": record.data,
        "fingerprint": record.fingerprint,
        "overrides": list(record.overrides),
        "narrowed": dict(record.narrowed) or None,
        "comparable": record.comparable,
        **({} if record.comparable_sets is None else {"comparable_sets": list(record.comparable_sets)}),
        "metrics": nested[MEASURED],
        "input": nested[INPUT],
        "provenance": _without_places(record.provenance),
        "path": record.path,
    }


def from_plain(values: Mapping[str, Any]) -> RunRecord:
    """The record that `plain` has written, as one that was kept."""
    provenance = values.get("provenance") or {}
    return RunRecord(
        path=values["path"],
        row=values["row"],
        mode=values.get("mode") or "train",
        model=values.get("model"),
        data=values["data"],
        budget=values["budget"],
        seed=values["seed"],
        status=values["status"],
        fingerprint=values.get("fingerprint") or provenance.get("fingerprint"),
        overrides=tuple(values["overrides"]),
        narrowed=values["narrowed"] or {},
        comparable=values["comparable"],
        scores=tuple(_scores(values)),
        provenance=provenance,
        comparable_sets=_comparable_sets(values),
        kept=True,
    )


def _comparable_sets(results: Mapping[str, Any]) -> tuple[str, ...] | None:
    return tuple(results["comparable_sets"]) if "comparable_sets" in results else None


def _scores(results: Mapping[str, Any]) -> Iterator[Score]:
    for source, key in ((MEASURED, "metrics"), (INPUT, "input")):
        for name, metrics in (results.get(key) or {}).items():
            for metric, value in (metrics or {}).items():
                mean = math.nan if value.get("mean") is None else value["mean"]  # null is JSON's word for no number
                yield Score(name, metric, mean, value["n"], value["protocol"], source)


def _portable(overrides: Iterable[str], path: Path, roots: bool) -> Iterator[str]:
    """Overrides with paths into the run store as `runs/...`, and with `roots` those that say where data lie.

    Of any other absolute path the last name is left: the rest says where things lie on one machine.
    """
    above = path.parts[:-_DEPTH]
    store = Path(*above).as_posix() + "/" if above else "runs/"
    for override in overrides:
        if roots or not override.partition("=")[0].endswith(".root"):
            yield _ABSOLUTE.sub(_without_folders, override.replace(store, "runs/"))


def _without_places(value: Any) -> Any:
    """The plain `value` without absolute paths in its texts, at any depth."""
    if isinstance(value, Mapping):
        return {key: _without_places(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_without_places(member) for member in value]
    return _ABSOLUTE.sub(_without_folders, value) if isinstance(value, str) else value


def _without_folders(absolute: re.Match[str]) -> str:
    """The path of a run's checkpoint as `runs/...`, of any other the last name."""
    own = in_store(absolute[0])
    return Path(own).name if own == absolute[0] else own


def in_store(checkpoint: str) -> str:
    """The path of a run's checkpoint as `runs/...`, wherever its store lies; any other name as it is."""
    parts = Path(checkpoint).parts
    is_runs = len(parts) >= _DEPTH + 2 and parts[-2] == "checkpoints" and parts[-3].startswith("seed-")
    return Path("runs", *parts[-_DEPTH - 2 :]).as_posix() if is_runs else checkpoint


def _facts(config: Mapping[str, object]) -> dict[str, Any]:
    """The run's own facts in its configuration: the block `run`, and the budget."""
    facts = config.get("run")
    return {**facts, "budget": config.get("budget")} if isinstance(facts, Mapping) else {}


def _command(config: Mapping[str, object], facts: Mapping[str, Any]) -> Iterator[str]:
    """The words of the command that makes the run; none where the configuration does not say."""
    if facts.get("overrides"):
        yield str(config.get("command") or "train")
        yield from facts["overrides"]
