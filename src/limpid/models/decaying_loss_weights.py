"""A model whose loss weights decay over the training: the base of the two stages of Uni-Removal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypedDict

from limpid.errors import UserError
from limpid.models import run_length
from limpid.models.batches import Batch
from limpid.models.restorer import Restorer


class Decay(TypedDict):
    """How the weight of a term decays.

    Attributes:
        factor: multiplies the weight after each part of the training.
        of: how many equal parts the training has.
    """

    factor: float
    of: float


class DecayingLossWeights(Restorer):
    """A `Restorer` whose terms of the loss may lose weight from epoch to epoch.

    Args:
        arguments: see `Restorer`.
        decay: by the name of a term of the loss: `factor`, which multiplies its weight after each of `of` equal parts
            of the whole training.
        settings: see `Restorer`.

    Raises:
        UserError: a decay is no such pair; or (when training begins) nothing says how long the training is.
    """

    #: How many optimizers step in turns.
    PLAYERS: ClassVar[float] = 1

    def __init__(self, *arguments: Any, decay: Mapping[str, Decay] | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.decay = dict(decay or {})
        for name, by in self.decay.items():
            if set(by) != {"factor", "of"} or not _is_fit(by):
                raise UserError(
                    f"model.decay.{name} is {dict(by)}, but it must have a factor, 0 or more, and in `of` the number "
                    "of equal parts of the training, 1 or more, such as {factor: 0.99, of: 90}."
                )
        self.full_weights = {} if self.loss is None else dict(self.loss.weights)

    @property
    def players(self) -> float:
        """How many optimizers step in turns; one that steps less often counts for that share."""
        return self.PLAYERS

    @property
    def depends_on_length(self) -> bool:
        """Whether a weight decays after parts of the whole training."""
        return bool(self.decay)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Give every term its weight of this part of the training."""
        done = run_length.batches_before(self.trainer, batch_idx)
        self.update_loss_weights(done, run_length.batches(self.trainer, self.players))

    def update_loss_weights(self, done: int, steps: int) -> None:
        """Give every term its weight after `done` of `steps` batches: `factor` for each of `of` parts that is over."""
        if self.loss is None:
            return
        for name, by in self.decay.items():
            if name in self.full_weights:
                self.loss.weights[name] = self.full_weights[name] * by["factor"] ** (done * int(by["of"]) // steps)


def _is_fit(by: Mapping[str, object]) -> bool:
    """Whether both values are numbers, and large enough."""
    numbers = all(isinstance(value, int | float) for value in by.values())
    return numbers and by["factor"] >= 0 and by["of"] >= 1  # type: ignore[operator]
