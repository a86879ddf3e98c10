"""Which runs are one training: what a table shows as one line, mean and deviation over the seeds.

Runs are one training if they differ in nothing but their seed. Their fingerprint, which leaves the seed out, decides
it, with two exceptions, in which the fingerprint changes with a seed's own checkpoint:

- A test of trained weights hashes the content of the weights. The fingerprint of the training that made them, which
  metrics.json keeps, takes its place, together with the protocols of the test.
- A run may start from a checkpoint by its path, and the path names a seed (`.../seed-1/checkpoints/best.ckpt`), such as
  a student that starts from its own seed's teacher. Then the overrides take the fingerprint's place, in which the run's
  own seed is written `seed-*`; a path to another seed's checkpoint stays as it is, and such a run is another training.

Besides, what one can see to differ is never one training: budget, what the run does, data, status, overrides, a
narrower network, and the data that tested weights were trained on. Runs of different rows are kept apart by their rows;
of two rows that share one run (`alias_of`), either may have been asked for.
"""

from __future__ import annotations

import hashlib
import re

from limpid.results.run_record import RunRecord


def group_of(record: RunRecord) -> str:
    """The eight hex digits that are equal for runs of one training; see the head of this module."""
    facts = (
        record.budget,
        record.mode,
        record.data,
        record.status,
        training_fingerprint(record),
        *_protocols(record),
        *settings_of(record),
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]


def training_fingerprint(record: RunRecord) -> str | None:
    """The fingerprint of a run's training without any seed; None where the overrides stand in its place."""
    if any(seedless(override, record.seed) != override for override in record.overrides):
        return None
    return record.trained.get("fingerprint") or record.fingerprint


def _protocols(record: RunRecord) -> list[str]:
    """The protocols of a test of trained weights, whose training's fingerprint does not hold them; else none."""
    if record.mode != "test" or not record.trained:
        return []
    return sorted({score.protocol for score in record.scores})


def settings_of(record: RunRecord) -> tuple[str, ...]:
    """The settings of a run besides its row, budget and seed, for people.

    These are its overrides in alphabetical order with its own seed as `seed-*`, the settings of a narrower network, and
    what its weights were trained on where that are not the data it is tested on.
    """
    overrides = sorted(seedless(override, record.seed) for override in record.overrides)
    narrowed = [f"{name}={value}" for name, value in record.narrowed.items()]
    trained_on = record.trained.get("data", record.data)
    elsewhere = [] if trained_on == record.data else [f"trained on {trained_on}"]
    return (*overrides, *narrowed, *elsewhere)


def seedless(override: str, seed: int | None) -> str:
    """An override in which the directories of the run's own seed are `seed-*`."""
    return re.sub(rf"/seed-{seed}(?=[-/])", "/seed-*", override)
