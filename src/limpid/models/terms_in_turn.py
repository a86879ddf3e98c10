"""A model whose parts learn one after the other: the terms of its loss take turns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from limpid.errors import UserError, nearest
from limpid.models.decaying_loss_weights import DecayingLossWeights


class TermsInTurn(DecayingLossWeights):
    """A `Restorer` that minimises some terms of its loss in the first part of the training, and others later.

    What no term of a part reaches stays as it is in that part: MSCNN's coarse network, while the fine one learns.

    Args:
        arguments: see `Restorer`.
        turns: the names of the terms that count in each equal part of the training, in order.
        settings: see `Restorer`.

    Raises:
        UserError: a name is that of no term, or there is a turn without a name.
    """

    def __init__(self, *arguments: Any, turns: Sequence[Sequence[str]], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        if not turns or any(isinstance(turn, str) or not turn for turn in turns):
            raise UserError(
                f"model.turns is {turns}, but it must be a list of lists, each with the name of at least one term of "
                "the loss, such as [[coarse], [fine]]."
            )
        self.turns = [list(turn) for turn in turns]
        for name in chain.from_iterable(self.turns):
            if self.loss is not None and name not in self.full_weights:
                known = nearest(name, self.full_weights) or f"; there are {', '.join(self.full_weights)}."
                raise UserError(f"model.turns names {name!r}, which is no term of the loss{known}")

    @property
    def depends_on_length(self) -> bool:
        """Whether the terms depend on how much of the whole training is done."""
        return len(self.turns) > 1

    def update_loss_weights(self, done: int, steps: int) -> None:
        """Give the terms of this turn their weights after `done` of `steps` batches, and the others none."""
        if self.loss is None:
            return
        turn = self.turns[min(done * len(self.turns) // steps, len(self.turns) - 1)]
        for name, weight in self.full_weights.items():
            self.loss.weights[name] = weight if name in turn else 0.0
