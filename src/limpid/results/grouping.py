"""Which runs are one training: what a table shows as one line, mean and deviation over the seeds.

Runs are one training if they differ in nothing but their seed. Their fingerprint, which leaves the seed out, decides
it, with two exceptions, in which the fingerprint changes with a seed's own checkpoint:

- A test of trained weights hashes the content of the weights. The fingerprint of the training that made them, which
  metrics.json keeps, takes its place, together with the protocols of the test.
- A run may start from a checkpoint by its path, and the path names a seed (`.../seed-1/checkpoints/best.ckpt`), such as
  a student that starts from its own seed's teacher. Then a second fingerprint takes its place, in which the run's own
  seed is written `seed-*` (runs of earlier versions lack it; of them the overrides tell). A path to another seed's
  checkpoint stays as it is, and such a run is another training. Where runs of several seeds have the very same
  fingerprint, all of them start from one checkpoint, and no path is a seed's own.

Besides, what one can see to differ is never one training: budget, what the run does, data, status, overrides, a
narrower network, the data that tested weights were trained on, what their training started from, and whether the best
or the last of them are tested.
Runs of different rows are kept apart by their rows; of two rows that share one run (`alias_of`), either may have been
asked for. And where two runs of one seed are left in a group, they differ in something that none of this tells, so that
every run of the group stands alone.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from limpid.results.run_record import RunRecord, in_store


class Group(NamedTuple):
    """The training that a run is of.

    Attributes:
        id: eight hex digits that are equal for runs of one training.
        settings: of the run besides its row, budget and seed, for people; see `settings_of`.
    """

    id: str
    settings: tuple[str, ...]


def groups_of(records: Sequence[tuple[str | None, RunRecord]]) -> list[Group]:
    """The group of each run among others.

    Args:
        records: the runs, each with the row under which it is shown.
    """
    seeds_of: dict[tuple[str | None, str | None], set[int | None]] = {}
    for row, record in records:
        seeds_of.setdefault((row, record.fingerprint), set()).add(record.seed)
    as_typed = [len(seeds_of[row, record.fingerprint]) > 1 for row, record in records]
    ids = [(row, group_of(record, typed)) for (row, record), typed in zip(records, as_typed, strict=True)]
    counts = Counter((*own, record.seed) for own, (_, record) in zip(ids, records, strict=True))
    mixed = {(row, group) for (row, group, _), count in counts.items() if count > 1}
    groups = []
    for (row, group), (_, record), typed in zip(ids, records, as_typed, strict=True):
        alone = _digest((group, record.fingerprint, record.path))
        groups.append(Group(alone if (row, group) in mixed else group, settings_of(record, typed)))
    return groups


def group_of(record: RunRecord, as_typed: bool = False) -> str:
    """The eight hex digits that are equal for runs of one training; see the head of this module.

    Args:
        record: the run.
        as_typed: whether runs of other seeds have its very fingerprint. Then a path in it is no seed's own.
    """
    facts = (
        record.budget,
        record.mode,
        record.data,
        record.status,
        record.fingerprint if as_typed else training_fingerprint(record),
        *_protocols(record),
        *settings_of(record, as_typed),
    )
    return _digest(facts)


def _digest(facts: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]


def training_fingerprint(record: RunRecord) -> str | None:
    """The fingerprint of a run's training without any seed; None where the overrides stand in its place."""
    seedless_fingerprint = (record.trained or record.provenance).get("training")
    if seedless_fingerprint is not None:
        return str(seedless_fingerprint)
    if any(seedless(override, record.seed) != override for override in record.overrides):
        return None
    return record.trained.get("fingerprint") or record.fingerprint


def _protocols(record: RunRecord) -> list[str]:
    """The protocols of a test of trained weights, whose training's fingerprint does not hold them; else none."""
    if record.mode != "test" or not record.trained:
        return []
    return sorted({score.protocol for score in record.scores})


def settings_of(record: RunRecord, as_typed: bool = False) -> tuple[str, ...]:
    """The settings of a run besides its row, budget and seed, for people.

    These are its overrides in alphabetical order, the settings of a narrower network, whose tested weights are, or what
    they were trained on where that are not the data they are tested on, what their training started from, and that it
    is the last checkpoint.

    Args:
        record: the run.
        as_typed: leave paths as they are; else the run's own seed is written `seed-*` in them.
    """
    overrides = sorted(override if as_typed else seedless(override, record.seed) for override in record.overrides)
    narrowed = [f"{name}={value}" for name, value in record.narrowed.items()]
    elsewhere = _origin(record)
    if record.mode != "test":
        return (*overrides, *narrowed, *elsewhere)
    # A training that starts from weights has them among its overrides; a test of what it left has not.
    origin = record.trained.get("fine_tuned_from")
    started = [] if not origin else [f"fine-tuned from {seedless(in_store(origin['ckpt']), record.seed)}"]
    is_last = record.provenance.get("checkpoint") == "last.ckpt"
    return (*overrides, *narrowed, *elsewhere, *started, *(["last checkpoint"] if is_last else []))


def _origin(record: RunRecord) -> list[str]:
    """Whose weights were tested where others published them, or what they were trained on where that says something."""
    published = record.trained.get("imported")
    if published:
        return [f"weights of {published.get('source') or published['file']}"]
    trained_on = record.trained.get("data", record.data)
    return [] if trained_on == record.data else [f"trained on {trained_on}"]


def seedless(override: str, seed: int | None) -> str:
    """An override in which the directories of the run's own seed are `seed-*`."""
    return re.sub(rf"/seed-{seed}(?=[-/])", "/seed-*", override)


def seedless_values(value: object, seed: int) -> Any:
    """The plain `value` in which the directories of the run's own seed are `seed-*`, at any depth."""
    if isinstance(value, dict):
        return {key: seedless_values(member, seed) for key, member in value.items()}
    if isinstance(value, list):
        return [seedless_values(member, seed) for member in value]
    return seedless(value, seed) if isinstance(value, str) else value
