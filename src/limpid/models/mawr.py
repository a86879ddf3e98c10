"""MAWR, with which Uni-Removal is compared: a student learns from several teachers first, and from the truth then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limpid.errors import UserError
from limpid.models.uni_removal import KnowledgeTransfer
from limpid.ranges import Share


class TwoStageLearning(KnowledgeTransfer):
    """Two-stage knowledge learning of MAWR (Chen et al., CVPR 2022): collation, then examination, in one run.

    For the first part of the run some terms of the loss count, and the teachers are asked, each about its own images;
    for the rest the other terms count, and no teacher runs.

    Args:
        arguments: see `KnowledgeTransfer`.
        collation: names of the loss's terms that count in the first part.
        share: of the run that is collation, from 0 (examination alone) to 1.
        settings: see `KnowledgeTransfer`.

    Raises:
        UserError: a term is named that the loss has not, all terms are named or none, or the share is not in [0, 1].
    """

    TEACHER_ROW = "uni_removal/baselines=mawr_{kind}"

    def __init__(self, *arguments: Any, collation: Sequence[str], share: Share, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        if not 0 <= share <= 1:
            raise UserError(f"model.share is {share}, but collation takes a part of the run, from 0 to 1.")
        names = set(self.full_weights)
        if self.loss is not None and not set() < set(collation) & names < names:
            raise UserError(
                f"model.collation names the terms {', '.join(collation) or 'none'}; of the loss's terms "
                f"{', '.join(sorted(names))} some must count in either stage: name others, or give them weights."
            )
        self.collation = frozenset(collation)
        self.share = share
        self.collating = True

    @property
    def depends_on_length(self) -> bool:
        """Yes: collation is a share of the whole training."""
        return True

    def update_loss_weights(self, done: int, steps: int) -> None:
        """Let the terms of the present stage count, after `done` of `steps` batches.

        The loss then requires a teacher only in the stage whose terms do.
        """
        super().update_loss_weights(done, steps)
        self.collating = done < self.share * steps
        if self.loss is not None:
            for name, weight in self.full_weights.items():
                self.loss.weights[name] = weight if (name in self.collation) == self.collating else 0.0
