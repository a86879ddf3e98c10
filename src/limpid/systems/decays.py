"""Learning-rate shapes of the methods that the papers compare with, over a whole run of whatever length."""

from __future__ import annotations

from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def milestones(optimizer: Optimizer, steps: int, factor: float, at: Sequence[float], of: float) -> LambdaLR:
    """Multiply by `factor` at each of the places `at` in a training that the paper counts as `of`.

    Args:
        optimizer: whose learning rate is scaled.
        steps: length of the whole run in optimizer steps.
        factor: what each decay multiplies by.
        at: where, in epochs or iterations of the paper.
        of: the paper's whole training, in the same unit.
    """
    return LambdaLR(optimizer, lambda now: factor ** sum(now * of >= place * steps for place in at))


def polynomial(optimizer: Optimizer, steps: int, power: float) -> LambdaLR:
    """``(1 - step / steps) ** power``: down to 0 at the end of the run.

    Args:
        optimizer: whose learning rate is scaled.
        steps: length of the whole run in optimizer steps.
        power: below 1 it falls late, above 1 early.
    """
    return LambdaLR(optimizer, lambda now: max(0.0, 1 - now / steps) ** power)
