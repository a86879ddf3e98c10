"""Longer trainings: a run continues a finished one that differs from it only in being shorter."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from limpid import checkpoint
from limpid.data.datasets import ImageSet
from limpid.errors import Damaged, UserError
from limpid.models import Restorer
from limpid.runs import distributed
from limpid.runs.spec import RunSpec
from limpid.runs.training_state import wrong_state
from limpid.store.run_directory import Run


def continue_shorter(spec: RunSpec, model: Restorer, steps: int, accumulated: int = 1) -> None:
    """Let a training that has not begun continue from the end of a finished one that was only shorter.

    It does where its first steps are those of the shorter one: where neither the learning rate nor anything else in a
    step follows from the length of the whole training. Otherwise it starts at its own beginning, and stderr says why.

    Args:
        spec: the run.
        model: of it.
        steps: how many batches it has.
        accumulated: of how many batches the gradients of a step are added up.
    """
    shorter = _longest_shorter_run(spec, steps)
    if shorter is None:
        return
    done = _steps(shorter)
    why = _why_not(model, done, steps, accumulated)
    if why is not None:
        print(
            f"The finished run {shorter.path} of {done} steps is not continued, because {why}: this one starts from "
            f"the beginning. To start from its weights, give ckpt={shorter.chosen_checkpoint}.",
            file=sys.stderr,
        )
        return
    _take_over(shorter, Run(spec.directory))
    print(f"continues the finished run {shorter.path} after its {done} steps", file=sys.stderr)


def provenance_of_last(run: Run, trainer: lightning.Trainer) -> dict[str, Any]:
    """The provenance in the checkpoint that a training goes on from; empty where it begins.

    A last checkpoint that is damaged gives its place to the one before it, and stderr says so: the steps between them
    are done again, as after a kill.

    Args:
        run: the training.
        trainer: that goes on with it.

    Raises:
        Damaged: neither of them can be used, or the best one cannot, which is tested at the end.
        UserError: one is of another format, or may not be read.
    """
    last = run.last_checkpoint
    if not last.exists():
        return {}
    try:
        content = _training_state(last, trainer)
    except Damaged as error:
        content = _training_state_before(last, trainer, error)
    if run.best_checkpoint.exists():
        try:
            checkpoint.read(run.best_checkpoint)
        except Damaged as error:
            raise Damaged(f"{_UNUSABLE.format(run.best_checkpoint, error.reason)}; {_OVER}", error.reason) from error
    return content["provenance"]


_UNUSABLE = "The checkpoint {} cannot be used ({})"
_OVER = "put a copy of it there, or add rerun=true to start over."


def _training_state_before(last: Path, trainer: lightning.Trainer, damage: Damaged) -> checkpoint.CheckpointContent:
    """The content of the checkpoint before the damaged one at `last`, whose place it takes."""
    before = checkpoint.previous(last)
    try:
        content = _training_state(before, trainer)
    except UserError:
        problem = f"{_UNUSABLE.format(last, damage.reason)}, and there is no whole one before it"
        raise Damaged(f"{problem}; {_OVER}", damage.reason) from damage
    step = content["provenance"]["step"]
    print(f"{_UNUSABLE.format(last, damage.reason)}; continues from {before} after {step} steps.", file=sys.stderr)
    beside = last.with_name(f"{last.name}.keep")
    beside.unlink(missing_ok=True)
    os.link(before, beside)
    beside.replace(last)
    beside.unlink(missing_ok=True)  # where both were one file, renaming does nothing
    return content


def _training_state(path: Path, trainer: lightning.Trainer) -> checkpoint.CheckpointContent:
    """The content of a checkpoint of Lightning's that a training can go on from.

    Raises:
        Damaged: it is damaged, its weights are no finite numbers, or what Lightning keeps in it has other types.
    """
    content = checkpoint.read(path, refuse_non_finite=True)
    reason = wrong_state(content, trainer)
    if reason is not None:
        raise Damaged(f"The checkpoint {path} is damaged: {reason}.", reason)
    return content


def refuse_other_images(model: Restorer, images: ImageSet | None, before: Mapping[str, object]) -> None:
    """Refuse to go on with another number of training images than the run began with; the model's provenance has it.

    Args:
        model: of the run.
        images: the training set.
        before: the provenance in the checkpoint that the run goes on from; empty where it begins.

    Raises:
        UserError: the numbers differ.
    """
    count = 0 if images is None else len(images)
    model.provenance["training_images"] = count
    if before.get("training_images", count) != count:
        raise UserError(
            f"This run began with {before['training_images']} training images, and now there are {count}; restore "
            "the set, or add rerun=true to start over."
        )


def _longest_shorter_run(spec: RunSpec, steps: int) -> Run | None:
    """The longest finished run that is equal to the training `spec` but for having less than `steps` batches."""
    runs = [Run(folder) for folder in _beside(spec) if folder != spec.directory]
    alike = [run for run in runs if _differs_in_length(run, spec) and _is_done_within(run, steps)]
    for run in alike:
        if not run.last_checkpoint.is_file():
            print(f"The finished run {run.path} is not continued: it has no last checkpoint any more.", file=sys.stderr)
    kept = [run for run in alike if run.last_checkpoint.is_file() and _can_be_read(run)]
    return max((run for run in kept if _steps(run) < steps), key=_steps, default=None)


def _is_done_within(run: Run, steps: int) -> bool:
    """Whether a run is finished and had less than `steps` batches."""
    try:
        return run.done and (run.status().get("steps") or 0) < steps
    except Damaged:
        return False


def _can_be_read(run: Run) -> bool:
    """Whether the last checkpoint of a finished run is whole; stderr tells where it is not."""
    try:
        checkpoint.read(run.last_checkpoint, refuse_non_finite=True)
    except UserError as error:
        print(f"The finished run {run.path} is not continued: {error}", file=sys.stderr)
        return False
    return True


def _take_over(shorter: Run, run: Run) -> None:
    """Put what `shorter` left where `run` would have left it."""
    run.best_checkpoint.parent.mkdir(parents=True, exist_ok=True)
    for name in ("curves.csv", run.best_checkpoint.relative_to(run.path)):
        if (shorter.path / name).is_file():
            shutil.copyfile(shorter.path / name, run.path / name)
    if run.best_checkpoint.is_file():
        checkpoint.record(run.best_checkpoint, run.best_checkpoint)
    last = dict(checkpoint.read(shorter.last_checkpoint))
    fit_loop = last["loops"]["fit_loop"]  # type: ignore[index]
    # To Lightning the training's one epoch is over with its last batch; here it goes on.
    fit_loop["epoch_loop.batch_progress"]["is_last_batch"] = False
    for counts in fit_loop["epoch_progress"].values():
        counts["processed"] = counts["completed"]
    checkpoint.save(last, run.last_checkpoint, recorded=True)


def _beside(spec: RunSpec) -> list[Path]:
    """The directories of runs of the same row (or model and data), budget and seed."""
    budget = spec.directory.parent
    if spec.row is None:
        return sorted(budget.parents[1].glob(f"*/{budget.name}/{spec.directory.name}"))
    return sorted([*budget.glob(f"seed-{spec.seed}"), *budget.glob(f"seed-{spec.seed}-*")])


def _differs_in_length(run: Run, spec: RunSpec) -> bool:
    try:
        facts = (run.config() or {}).get("run") or {}
    except Damaged:  # of another run, which this one can do without
        return False
    return (
        spec.fingerprint_but_length is not None and facts.get("fingerprint_but_length") == spec.fingerprint_but_length
    )


def steps_done(run: Run) -> int | None:
    """How many batches the run's last checkpoint has seen, where it continues; None without a sound checkpoint."""
    try:
        return _steps(run) if run.last_checkpoint.is_file() else None
    except UserError:  # the next start says what is wrong with it
        return None


def _steps(run: Run) -> int:
    """How many batches its last checkpoint has seen."""
    return int(checkpoint.read(run.last_checkpoint)["provenance"]["step"])


def _why_not(model: Restorer, done: int, steps: int, accumulated: int) -> str | None:
    """The reason why a training of `steps` does not begin with the `done` steps of a shorter one; None if it does."""
    if model.depends_on_length:
        return "weights of its loss follow from the length of the whole training"
    if done % accumulated:
        return f"its last step took fewer batches than trainer.accumulate_grad_batches={accumulated}"
    if model.lr_scheduler is None:
        return None
    shapes = [model.lr_scheduler(SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), steps=n) for n in (done, steps)]
    name = model.lr_scheduler.func.__name__ if isinstance(model.lr_scheduler, partial) else "this one"
    reason = f"the learning-rate shape {name} is spread over the whole training"
    factors = [shape.lr_lambdas[0] for shape in shapes if isinstance(shape, LambdaLR)]
    if len(factors) < 2:  # of a user's own: nothing says what it does
        return reason
    same = all(factors[0](step) == factors[1](step) for step in range(done))
    return None if same else reason


def is_of_this_job(run: Run) -> bool:
    """Whether a queue started this job again after it began the run: it then goes on, and `rerun=true` is left out.

    It is said once.
    """
    again = distributed.requeued()
    if again is None or run.environment().get("job") != again:
        return False
    if os.environ.get("SLURM_PROCID", os.environ.get("RANK", "0")) == "0":
        print(
            f"rerun=true is left out: job {again} was started again, and goes on with the run that it began.",
            file=sys.stderr,
        )
    return True
