"""The specification of a run: its configuration, and the facts that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from limpid import __version__
from limpid.config.references import replaced
from limpid.errors import UserError
from limpid.store.run_directory import Run


@dataclass(frozen=True)
class StartingWeights:
    """Weights of another row's run that a run starts from.

    Attributes:
        row: whose run it was.
        budget: of that run.
        seed: of that run.
        weights: their sha256.
        as_printed: whether they are those of the paper's whole training; see `limpid.runs.comparable`.
    """

    row: str
    budget: str
    seed: int
    weights: str
    as_printed: bool = False


@dataclass(frozen=True)
class TestedWeights:
    """The weights that a run tests, where it does not train them.

    Attributes:
        file: the checkpoint.
        network: its network's name in the registry.
        settings: that network's settings.
        sha256: of the weights.
        trained: what the checkpoint says of its training: row, budget, seed, data, fingerprint.
        as_printed: whether they are those of the paper's whole training; see `limpid.runs.comparable`.
    """

    file: Path
    network: str
    settings: Mapping[str, object]
    sha256: str
    trained: Mapping[str, Any]
    as_printed: bool = False


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a training starts from, because `ckpt` names them.

    Attributes:
        ckpt: how they were named: a path, ``zoo:NAME`` or ``row:PAPER/TABLE/ROW``.
        file: the checkpoint.
        network: its network's name in the registry.
        settings: that network's settings.
        sha256: over the weights' names, shapes and bits.
        trained: what the checkpoint says of their training: row, budget, seed, data, fingerprint.
        strict: whether all of them must fit the network, and nothing of it may be left.
    """

    ckpt: str
    file: Path
    network: str
    settings: Mapping[str, object]
    sha256: str
    trained: Mapping[str, Any]
    strict: bool


@dataclass(frozen=True)
class RunSpec:
    """One run, settled before anything is made: `limpid.runs.resolve.resolve` makes it, a `Runner` does it.

    Attributes:
        config: plain values, exactly as ``--cfg job --resolve`` prints them.
        mode: ``train`` (and test), ``test``, or ``profile``.
        row: ``paper/table/row``, or None.
        choices: which option each group took.
        overrides: the words the configuration was composed from.
        changes: those of them that are set beyond the row, its budget and its seed, and may change the result.
        narrowed: settings of the network that the budget makes smaller than the paper's.
        fingerprint: of everything that can change the result.
        comparable: whether it is the row as it is, at the paper's budget; what was there of the data decides the rest.
        directory: where the run lies.
        prerequisites: runs whose weights this one starts from, by their reference in `config`.
        without: references that it starts without.
        training: as `fingerprint`, with the directories of the run's own seed written ``seed-*``; see
            `limpid.results.grouping`. Empty where there are none.
        checkpoints: the files that references stand for, once they are there.
        started_from: what these files are.
        tested: the weights of a test; None where the network is trained, or learns nothing.
        initial: the weights that a training starts from; None where it starts from random ones.
        fingerprint_but_length: the fingerprint without the length of the training.
        own: hashes of the sets and packages of one's own that the run reads, which its fingerprint holds.
    """

    config: Mapping[str, Any]
    mode: str
    row: str | None
    choices: Mapping[str, str]
    overrides: tuple[str, ...]
    changes: tuple[str, ...]
    narrowed: Mapping[str, object]
    fingerprint: str
    comparable: bool
    directory: Path
    prerequisites: Mapping[str, RunSpec] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    training: str = ""
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    started_from: tuple[StartingWeights, ...] = ()
    tested: TestedWeights | None = None
    initial: InitialWeights | None = None
    fingerprint_but_length: str | None = None
    own: Mapping[str, str] = field(default_factory=dict)

    @property
    def budget(self) -> str:
        """The budget's name: ``paper``, ``mini``, ``smoke``, or one of a user's own."""
        return str(self.config["budget"])

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(self.config["seed"])

    @property
    def network(self) -> str:
        """The registry's name of the network."""
        return self.choices["network"] if self.tested is None else self.tested.network

    @property
    def allow_targets(self) -> tuple[str, ...]:
        """The packages besides Limpid's usual ones that a `_target_` may come from."""
        return tuple(self.config["allow_targets"])

    @property
    def provenance(self) -> dict[str, object]:
        """The provenance of a result in plain values, as its checkpoints and its metrics.json state it."""
        facts: dict[str, object] = {
            "row": self.row,
            "budget": self.budget,
            "seed": self.seed,
            "data": self.choices["data"],
            "fingerprint": self.fingerprint,
            "limpid": __version__,
        }
        if self.training:
            facts["training"] = self.training
        if self.started_from:
            facts["started_from"] = [vars(weights) for weights in self.started_from]
        if self.initial is not None:
            origin = {"ckpt": self.initial.ckpt, "network": self.initial.network, "weights": self.initial.sha256}
            facts["fine_tuned_from"] = {**origin, "trained": dict(self.initial.trained)}
        return facts

    def settled(self) -> dict[str, Any]:
        """The configuration with the files that its references stand for, and null for those it starts without."""
        places: dict[str, str | None] = {**dict.fromkeys(self.without), **self.checkpoints}
        plain: dict[str, Any] = replaced(self.config, places)
        return plain

    def stored(self) -> dict[str, object]:
        """The content of config.yaml: the configuration, and under `run` the run's own facts."""
        facts = {
            "row": self.row,
            "mode": self.mode,
            "choices": dict(self.choices),
            "fingerprint": self.fingerprint,
            "fingerprint_but_length": self.fingerprint_but_length,
            "training": self.training,
            "overrides": list(self.overrides),
            "changes": list(self.changes),
            "narrowed": dict(self.narrowed) or None,
            "comparable": self.comparable,
            "started_from": [vars(weights) for weights in self.started_from],
            "checkpoints": {**dict.fromkeys(self.without), **self.checkpoints},
        }
        if self.tested is not None:
            facts["tested"] = {**vars(self.tested), "file": str(self.tested.file)}
        if self.initial is not None:
            facts["initial"] = {**vars(self.initial), "file": str(self.initial.file)}
        if self.own:
            facts["own"] = dict(self.own)
        return {**self.config, "run": facts}

    def with_checkpoints(self, checkpoints: Mapping[str, str], weights: tuple[StartingWeights, ...]) -> RunSpec:
        """The run once the weights it starts from are there."""
        return replace(self, checkpoints=checkpoints, started_from=weights, prerequisites={})


def read_spec(directory: Path | str) -> RunSpec:
    """The run whose config.yaml lies in `directory`, as a process of it or a requeued job finds it.

    Raises:
        UserError: there is no config.yaml, or it is of an older form.
    """
    stored = Run(directory).config()
    if stored is None or not isinstance(stored.get("run"), Mapping):
        raise UserError(f"There is no config.yaml of a run in {directory}; give a run directory.")
    facts = stored.pop("run")
    tested, initial = facts.get("tested"), facts.get("initial")
    checkpoints: dict[str, str | None] = facts["checkpoints"]
    return RunSpec(
        config={**stored, "rerun": False},
        mode=facts["mode"],
        row=facts["row"],
        choices=facts["choices"],
        overrides=tuple(facts["overrides"]),
        changes=tuple(facts["changes"]),
        narrowed=facts["narrowed"] or {},
        fingerprint=facts["fingerprint"],
        comparable=facts["comparable"],
        directory=Path(directory),
        training=facts.get("training") or "",
        without=tuple(reference for reference, file in checkpoints.items() if file is None),
        checkpoints={reference: file for reference, file in checkpoints.items() if file is not None},
        started_from=tuple(StartingWeights(**one) for one in facts["started_from"]),
        tested=None if tested is None else TestedWeights(**{**tested, "file": Path(tested["file"])}),
        initial=None if initial is None else InitialWeights(**{**initial, "file": Path(initial["file"])}),
        fingerprint_but_length=facts.get("fingerprint_but_length"),
        own=facts.get("own") or {},
    )
