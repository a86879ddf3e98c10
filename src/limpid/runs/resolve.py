"""From typed overrides to a `RunSpec`: composed, checked, named, before anything is made or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limpid import paths, zoo
from limpid.config import instantiate
from limpid.config.compose import Composed, compose, is_table, key_of
from limpid.config.references import PREFIX, references, row_word
from limpid.errors import CannotRun, UserError
from limpid.models.build import refuse_optimizer
from limpid.results.grouping import seedless_values
from limpid.results.rows import Row, find_row
from limpid.runs.comparable import same_but_for_the_weights, same_counts, weights_as_printed
from limpid.runs.fine_tuning import START, initial_weights
from limpid.runs.monitors import refuse_unknown_monitors
from limpid.runs.overrides import (
    beyond_the_row,
    explained,
    inherited,
    of_training,
    refuse_network,
    refuse_unknown_keys,
    with_own_data,
)
from limpid.runs.own_content import own_content, refuse_typed_root, refuse_typed_weights, with_own
from limpid.runs.rehearsal import refuse_without_checkpoints
from limpid.runs.spec import InitialWeights, RunSpec, TestedWeights
from limpid.store.fingerprint import affecting, but_length, fingerprint, scored_metrics, weighted_terms
from limpid.store.run_directory import Run, directory_name

#: What may become of references whose weights are not there; see conf/common.yaml.
PREREQUISITES = ("ask", "run", "none")


@dataclass(frozen=True)
class _UnchangedRow:
    """The row of a run at the run's budget and seed with nothing else changed."""

    row: Row
    composed: Composed
    mode: str
    parts: Mapping[str, object]

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its run."""
        return fingerprint(self.parts)

    @property
    def own_fingerprint(self) -> str:
        """The fingerprint of its run with the content of one's own sets and classes."""
        return fingerprint(with_own(self.parts, own_content(self.composed.config, self.mode, self.parts)))

    @property
    def run(self) -> Run:
        """The run of the row where nothing in it is one's own, whether it is there or not."""
        config = self.composed.config
        return Run(paths.runs() / directory_name(self.row.run_id, config["budget"], config["seed"], None))


def resolve(overrides: Sequence[str], command: str = "train") -> RunSpec:
    """The run that `overrides` ask for.

    Args:
        overrides: Hydra's words, such as ``+rfd/table5=student`` and ``budget=mini``.
        command: ``train`` or ``test``.

    Raises:
        CannotRun: the row is not built.
        UserError: a group, a key, a target, an argument, a row or a reference is unknown, or there are no weights.
    """
    return resolve_composed(compose(overrides, command))


def resolve_composed(composed: Composed) -> RunSpec:
    """The run of a configuration that is composed already; see `resolve`."""
    row = _row_of(composed)
    if row is not None and row.not_built:
        raise CannotRun(f"Row {row.id} ({row.label}) is not built yet: {row.not_built}")
    config = composed.config
    refuse_unknown_keys(composed)
    _check(composed)
    refuse_typed_root(composed)
    if config["mode"] == "train":
        refuse_optimizer(config)
        refuse_without_checkpoints(config)
        refuse_unknown_monitors(config)
    unchanged = None if row is None else _unchanged_row(row, composed)
    mode = config["mode"]
    needed, without = _sorted_references(composed)
    prerequisites = {reference: _prerequisite(composed, reference) for reference in needed}
    tested = _tested_weights(composed, unchanged, prerequisites) if mode == "test" else None
    initial = initial_weights(composed, prerequisites) if mode == "train" else None
    refuse_typed_weights(composed)
    weights = tested or initial
    parts = affecting(
        config if tested is None else {**config, "network": tested.settings},
        mode,
        composed.choices["network"] if tested is None else tested.network,
        None if weights is None else weights.sha256,
        without,
    )
    own = own_content(config, mode, parts, tested)
    own_fingerprint = fingerprint(with_own(parts, own))
    seedless = fingerprint(with_own(seedless_values(parts, config["seed"]), own))
    choices = _named_choices(composed, tested)
    # Of weights that are given, the words on how weights are trained say nothing.
    is_given = mode == "test" and config["ckpt"] is not None
    said = [word for word in composed.overrides if not (is_given and word in of_training(composed.overrides))]
    is_unchanged = unchanged is not None and fingerprint(parts) == unchanged.fingerprint
    return RunSpec(
        config=config,
        mode=mode,
        row=None if row is None else row.id,
        choices=choices,
        overrides=composed.overrides,
        changes=beyond_the_row(said, row, mode, is_unchanged, own),
        narrowed=_narrowed(composed),
        fingerprint=own_fingerprint,
        comparable=unchanged is not None and _is_the_papers(composed, parts, unchanged, tested),
        directory=_directory(config, choices, row, own_fingerprint, unchanged),
        own=own,
        prerequisites=prerequisites,
        without=without,
        training="" if seedless == own_fingerprint else seedless,
        checkpoints={} if initial is None else _in_place_of_start(config, initial),
        tested=tested,
        initial=initial,
        fingerprint_but_length=fingerprint(with_own(but_length(parts), own)) if mode == "train" else None,
    )


def row_run(reference: str, overrides: Sequence[str]) -> Run:
    """The run that a reference such as ``row:rfd/table5/student`` names, whether it is there or not.

    Args:
        reference: of the form ``row:PAPER/TABLE/ROW``.
        overrides: of the command that uses it; its budget, seed and data hold for the row too.
    """
    spec = resolve([row_word(reference), *inherited(overrides)])
    return Run(spec.directory)


def _row_of(composed: Composed) -> Row | None:
    """The row among the choices.

    Raises:
        UserError: there are two.
    """
    tables = [group for group in composed.choices if is_table(group)]
    if len(tables) > 1:
        raise UserError(f"These are rows of {len(tables)} tables ({', '.join(tables)}); give one, or a sweep with -m.")
    return find_row(f"{tables[0]}/{composed.choices[tables[0]]}") if tables else None


def _unchanged_row(row: Row, composed: Composed) -> _UnchangedRow:
    common = [word for word in composed.overrides if key_of(word) in ("budget", "seed")]
    words = [f"+{row.paper}/{row.table}={row.name}", *common]
    as_it_is = composed.config["command"] == "train" and sorted(words) == sorted(composed.overrides)
    bare = composed if as_it_is else compose(words)
    mode = bare.config["mode"]
    without = _sorted_references(bare)[1]
    parts = affecting(bare.config, mode, bare.choices["network"], None, without)
    return _UnchangedRow(row, bare, mode, parts)


def _check(composed: Composed) -> None:
    """Refuse unknown targets and arguments before anything is made of them."""
    config = dict(composed.config)
    config["loss"] = weighted_terms(config["loss"])
    config["metrics"] = scored_metrics(config)
    try:
        instantiate.check(config, "", config["allow_targets"], instantiate.GIVEN)
    except UserError as error:
        raise explained(error, composed) from error


def _named_choices(composed: Composed, tested: TestedWeights | None) -> dict[str, str]:
    """The choices; a network put into another's model, or tested by its checkpoint, goes by its own name."""
    choices = dict(composed.choices)
    if tested is not None:
        choices["network"] = tested.network
    without_row = not any(is_table(group) for group in choices)
    if "network" in map(key_of, composed.overrides) or (tested is not None and without_row):
        choices["model"] = choices["network"]
    return choices


def _narrowed(composed: Composed) -> dict[str, object]:
    """The settings of the network that the budget makes other than the paper's."""
    own, full = composed.config["network"], composed.paper_network
    return {key: own[key] for key in own if own[key] != full.get(key)}


def _directory(
    config: Mapping[str, object],
    choices: Mapping[str, str],
    row: Row | None,
    own_fingerprint: str,
    unchanged: _UnchangedRow | None,
) -> Path:
    """The directory of the run in the run store."""
    if row is None or unchanged is None:
        name, suffix = f"free/{choices['model']}-{choices['data']}/{own_fingerprint}", None
    else:
        name, suffix = row.run_id, None if own_fingerprint == unchanged.fingerprint else own_fingerprint
    return paths.runs() / directory_name(name, str(config["budget"]), int(str(config["seed"])), suffix)


# References and tested weights ------------------------------------------------------------------------------------


def _sorted_references(composed: Composed) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The references that must be there, and those that the run starts without.

    A test needs the weights it tests: `ckpt`, or the teachers where these are what is tested (``network=identity``).

    Raises:
        UserError: `prerequisites` is none of `PREREQUISITES`.
    """
    config = composed.config
    treatment = config["prerequisites"] or "ask"
    if treatment not in PREREQUISITES:
        listed = f"{', '.join(PREREQUISITES[:-1])} or {PREREQUISITES[-1]}"
        raise UserError(f"prerequisites={treatment} is unknown; it is {listed}.")
    typed = {key_of(word) for word in composed.overrides}
    needed: list[str] = []
    without: list[str] = []
    for key, reference in references(config).items():
        if key == START and config["ckpt"] is not None:
            continue  # the file that `ckpt` names stands in its place
        of_a_test = config["command"] == "test" and key != "ckpt" and composed.choices["network"] != "identity"
        dropped = of_a_test or (treatment == "none" and key not in typed) or config["mode"] == "profile"
        (without if dropped else needed).append(reference)
    return tuple(dict.fromkeys(needed)), tuple(dict.fromkeys(without))


def _in_place_of_start(config: Mapping[str, Any], initial: InitialWeights) -> dict[str, str]:
    """The file that `ckpt` names in the place of the row that `model.start` names, in a model that has one."""
    reference = references(config).get(START)
    return {} if reference is None else {reference: str(initial.file)}


def _prerequisite(composed: Composed, reference: str) -> RunSpec:
    """The run that a reference stands for, at the budget, seed and data of the run that needs it."""
    row = row_word(reference)
    taken_over = inherited(composed.overrides)
    if any(key_of(word) == "data" for word in taken_over):
        own_data = compose([row]).choices["data"]
        taken_over = with_own_data(taken_over, _data_of_prerequisite(composed, own_data))
    return resolve([row, *taken_over])


def _data_of_prerequisite(composed: Composed, own: str) -> str:
    """The recipe that a prerequisite trains on where `data` was typed.

    Its `own` where the typed recipe is that of the row anyway, or has nothing to train on and says what is tested.
    """
    typed = composed.choices["data"]
    row = _row_of(composed)
    is_of_row = row is not None and row.data == typed
    if is_of_row or composed.config["data"].get("train") is None:
        return own
    substitutes: Mapping[str, str] = composed.config["prerequisite_data"].get(typed) or {}
    return substitutes.get(own, typed)


def _tested_weights(
    composed: Composed, unchanged: _UnchangedRow | None, prerequisites: Mapping[str, RunSpec]
) -> TestedWeights | None:
    """The weights that a test uses: those of `ckpt`, or those that the row's own training left; a prior has none.

    None also where `ckpt` names a row whose run is not there yet: once it is made, the run is resolved again.

    Raises:
        UserError: the row is not trained yet, the checkpoint holds another network, or a setting of it was typed.
    """
    from limpid import checkpoint

    config = composed.config
    named: str | None = config["ckpt"]
    if named is None and unchanged is not None and unchanged.mode == "train":
        named = str(_own_checkpoint(composed, unchanged))
    if named is None:
        return None
    if named.startswith(PREFIX):
        run = Run(prerequisites[named].directory) if named in prerequisites else None
        if run is None or not run.has_weights:
            return None
        named = str(run.chosen_checkpoint)
    path = Path(zoo.own_name(named))
    loaded = checkpoint.read(path)
    refuse_network(composed.overrides, path, loaded["network"])
    if unchanged is not None and composed.choices["network"] != loaded["network"]:
        raise UserError(
            f"The checkpoint {path} holds the network {loaded['network']}, but the row's is "
            f"{composed.choices['network']}; give a checkpoint of that network, or leave out the row."
        )
    settings = dict(loaded["network_config"])
    trained = dict(loaded["provenance"])
    as_printed = unchanged is not None and weights_as_printed(path, unchanged.run)
    return TestedWeights(path, loaded["network"], settings, checkpoint.fingerprint(path), trained, as_printed)


def _own_checkpoint(composed: Composed, unchanged: _UnchangedRow) -> Path:
    """The checkpoint that the row's own training left: as the row is, or else with the data that was typed.

    Where words were typed that make it another training, such as its length, it is that training's and no other.
    """
    row, config = unchanged.row, unchanged.composed.config
    training = _prerequisite(composed, f"row:{row.id}")
    common = [word for word in training.overrides if word not in of_training(training.overrides)]
    as_typed = resolve([*common, *of_training(composed.overrides)])
    is_another = as_typed.fingerprint != resolve(common).fingerprint
    training = as_typed if is_another else training
    typed = Run(training.directory)
    for run in [typed] if is_another else [unchanged.run, typed]:
        if run.chosen_checkpoint.is_file():
            return run.chosen_checkpoint
    # The words that the training takes over, so that it leaves its weights where this looked for them.
    words = [word for word in training.overrides if key_of(word) not in ("budget", "seed", "prerequisites")]
    command = " ".join(["limpid train", *words, f"budget={config['budget']}", f"seed={config['seed']}"])
    raise UserError(
        f"Row {row.id} has no trained weights at budget {config['budget']} and seed {config['seed']} (looked in "
        f"{typed.path}); train it with `{command}`, or give ckpt=PATH."
    )


def _is_the_papers(
    composed: Composed, parts: Mapping[str, object], unchanged: _UnchangedRow, tested: TestedWeights | None
) -> bool:
    """Whether the run is the row as it is, at budget `paper`, and tests the weights that the row means."""
    config = composed.config
    if config["budget"] != "paper" or not same_counts(config["data"], unchanged.composed.config["data"]):
        return False
    if tested is None:
        return fingerprint(parts) == unchanged.fingerprint
    training = unchanged.own_fingerprint
    if unchanged.mode != "train":
        meant = unchanged.composed.config["ckpt"]
        if not str(meant).startswith(PREFIX):
            return False
        training = _prerequisite(unchanged.composed, meant).fingerprint
    return tested.trained.get("fingerprint") == training and same_but_for_the_weights(parts, unchanged.parts)
