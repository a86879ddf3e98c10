"""How long a training is, as any Trainer knows it: what learning rates and decaying loss weights go by."""

from __future__ import annotations

import math

from lightning import Trainer

from limpid.errors import UserError


def optimizer_steps(trainer: Trainer) -> int:
    """The number of optimizer steps of the whole training.

    Raises:
        UserError: nothing says how long it is.
    """
    return _known(trainer.estimated_stepping_batches)


def turns(trainer: Trainer, players: float, accumulate: int) -> int:
    """The number of steps that each of several optimizers makes, all of them once for the same batches.

    Args:
        trainer: which counts every step of every optimizer as one of its `max_steps`, and every batch as a step.
        players: how many optimizers there are; one that makes a step less often counts for that share.
        accumulate: batches per step.

    Raises:
        UserError: nothing says how long the training is.
    """
    estimate = trainer.estimated_stepping_batches  # this loads the data too
    limits: list[float] = []
    if trainer.max_steps != -1:
        limits.append(math.ceil(trainer.max_steps / players))
    if trainer.max_epochs != -1 and math.isfinite(trainer.num_training_batches):
        limits.append(math.ceil(trainer.num_training_batches / accumulate) * max(trainer.max_epochs or 1, 1))
    return _known(min(limits, default=estimate))


def batches(trainer: Trainer, players: float = 1) -> int:
    """The number of batches of the whole training, once the data is loaded.

    Args:
        trainer: that trains.
        players: how many optimizers there are, each step of one counting towards `max_steps`; one that makes a step
            less often counts for that share.

    Raises:
        UserError: nothing says how long the training is.
    """
    limits: list[float] = []
    if trainer.max_steps != -1:
        limits.append(math.ceil(trainer.max_steps / players) * trainer.accumulate_grad_batches)
    if trainer.max_epochs != -1 and math.isfinite(trainer.num_training_batches):
        limits.append(trainer.num_training_batches * max(trainer.max_epochs or 1, 1))
    return _known(min(limits, default=math.inf))


def batches_before(trainer: Trainer, batch_idx: int) -> int:
    """The number of batches that were trained before the one at `batch_idx` of the present epoch."""
    if not trainer.current_epoch:
        return batch_idx
    return trainer.fit_loop.epoch_loop.batch_progress.total.ready - 1


def _known(steps: float) -> int:
    if not math.isfinite(steps) or steps < 0:
        raise UserError(
            "The learning rate follows the whole training, and nothing says how long it is; give the Trainer "
            "max_steps, or max_epochs and a DataLoader that has a length."
        )
    return max(1, int(steps))
