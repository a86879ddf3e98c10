"""Prerequisites: runs of other rows whose weights a run starts from.

A configuration refers to such weights by ``row:PAPER/TABLE/ROW`` wherever it expects a checkpoint. A path typed in its
place is used instead, and the row is then not asked for.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from limpid.config.compose import key_of
from limpid.errors import UserError
from limpid.runs.comparable import weights_as_printed
from limpid.runs.resolve import resolve
from limpid.runs.spec import RunSpec, StartingWeights
from limpid.store.run_directory import InUse, Run

#: Seconds between two looks at a prerequisite that another process makes.
_PATIENCE = 1.0


def fulfil(spec: RunSpec, perform: Callable[[RunSpec], object]) -> RunSpec:
    """The run `spec` with the checkpoints of its prerequisites, and where they come from.

    Args:
        spec: the run, as `limpid.runs.resolve` makes it.
        perform: does one of the prerequisites.

    Raises:
        UserError: one is missing and `prerequisites` does not say ``run``.
    """
    if not spec.prerequisites:
        return spec
    for needed in spec.prerequisites.values():
        if Run(needed.directory).has_weights:
            continue
        if spec.config["prerequisites"] != "run":
            raise UserError(_missing(spec, needed))
        _perform_or_wait(needed, perform)
    if spec.config["ckpt"] in spec.prerequisites and spec.tested is None and spec.initial is None:
        spec = resolve(spec.overrides, spec.config["command"])  # its weights are there now, and name the run
    files = {reference: Run(needed.directory).chosen_checkpoint for reference, needed in spec.prerequisites.items()}
    weights = tuple(_weights_of(needed) for needed in spec.prerequisites.values())
    places = {reference: str(file) for reference, file in files.items()}
    return spec.with_checkpoints({**spec.checkpoints, **places}, weights)


def _weights_of(spec: RunSpec) -> StartingWeights:
    from limpid import checkpoint

    file = Run(spec.directory).chosen_checkpoint
    sha256 = checkpoint.weights_fingerprint(checkpoint.weights(checkpoint.read(file)))
    return StartingWeights(str(spec.row), spec.budget, spec.seed, sha256, weights_as_printed(file))


def _perform_or_wait(spec: RunSpec, perform: Callable[[RunSpec], object]) -> None:
    """Make a prerequisite, or wait until another process has."""
    waiting = False
    while True:
        try:
            perform(spec)
        except InUse:
            if not waiting:
                print(f"waiting for {spec.row}, which another process makes", file=sys.stderr)
            waiting = True
            time.sleep(_PATIENCE)
        else:
            return


def _missing(spec: RunSpec, needed: RunSpec) -> str:
    words = [word for word in needed.overrides if key_of(word) != "prerequisites"]
    command = " ".join(["limpid train", *words])
    subject = f"Row {spec.row}" if spec.row else f"The model {spec.choices['model']}"
    if not spec.row and spec.mode == "test":
        subject = "This test"  # its network is the checkpoint's, which is not there to say which
    return (
        f"{subject} starts from the weights of row {needed.row}, which are not there (looked in {needed.directory}); "
        f"make them with `{command}`, or add prerequisites=run and they are made first."
    )
