"""Learning-rate shapes over a whole run, whatever its length: a shorter one shrinks warm-up and decays too."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from limpid.ranges import Layers, NonNegativeFloat, PositiveFloat, PositiveInt, Share


def constant(optimizer: Optimizer, steps: PositiveInt) -> LambdaLR:
    """The learning rate stays as it is."""
    return LambdaLR(optimizer, lambda step: 1.0)


def cosine(optimizer: Optimizer, steps: PositiveInt, warmup: Share, floor: Share) -> LambdaLR:
    """A linear warm-up, then half a cosine.

    Args:
        optimizer: whose learning rate is scaled.
        steps: length of the whole run in optimizer steps.
        warmup: share of the run that the warm-up takes.
        floor: the last step's share of the learning rate.
    """
    warm = round(warmup * steps)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        progress = min(1.0, (step - warm) / max(1, steps - warm))
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)


def step(
    optimizer: Optimizer,
    steps: PositiveInt,
    factor: PositiveFloat,
    every: PositiveFloat,
    of: PositiveFloat,
    stages: Layers = 1,
) -> LambdaLR:
    """Multiply by `factor` each time another `every` of `of` parts of the run, or of one of its stages, are done.

    Args:
        optimizer: whose learning rate is scaled.
        steps: length of the whole run in optimizer steps.
        factor: what each decay multiplies by.
        every: the paper's interval, in epochs or iterations.
        of: the paper's whole training, in the same unit; of one stage where there are several.
        stages: into how many equal stages the run falls, with each of which the learning rate begins anew.
    """

    def multiplied(now: int) -> float:
        in_stages = now * stages
        in_this = in_stages - min(in_stages // steps, stages - 1) * steps
        # `of` times the step first, in exact arithmetic where they are whole, so that a decay comes at its very step.
        return factor ** math.floor(in_this * of / (every * steps))

    return LambdaLR(optimizer, multiplied)


def constant_then_linear(optimizer: Optimizer, steps: PositiveInt, constant: Share, floor: Share = 0.0) -> LambdaLR:
    """The learning rate stays as it is, then falls linearly to `floor` times itself at the end of the run.

    Args:
        optimizer: whose learning rate is scaled.
        steps: length of the whole run.
        constant: share of the run before it falls.
        floor: share of the learning rate that is left in the end.
    """
    first = constant * steps

    def factor(now: int) -> float:
        left = 1.0 if now <= first else max(0.0, (steps - now) / (steps - first))
        return floor + (1 - floor) * left

    return LambdaLR(optimizer, factor)


def milestones(
    optimizer: Optimizer, steps: PositiveInt, factor: PositiveFloat, at: Sequence[NonNegativeFloat], of: PositiveFloat
) -> LambdaLR:
    """Multiply by `factor` at each of the places `at` in a training that the paper counts as `of`.

    Args:
        optimizer: whose learning rate is scaled.
        steps: length of the whole run in optimizer steps.
        factor: what each decay multiplies by.
        at: where, in epochs or iterations of the paper.
        of: the paper's whole training, in the same unit.
    """
    return LambdaLR(optimizer, lambda now: factor ** sum(now * of >= place * steps for place in at))


def polynomial(optimizer: Optimizer, steps: PositiveInt, power: NonNegativeFloat) -> LambdaLR:
    """``(1 - step / steps) ** power``: down to 0 at the end of the run.

    Args:
        optimizer: whose learning rate is scaled.
        steps: length of the whole run in optimizer steps.
        power: below 1 it falls late, above 1 early.
    """
    return LambdaLR(optimizer, lambda now: max(0.0, 1 - now / steps) ** power)


def exponential(
    optimizer: Optimizer,
    steps: PositiveInt,
    factor: PositiveFloat,
    every: PositiveFloat,
    of: PositiveFloat,
    floor: Share,
) -> LambdaLR:
    """Multiply by `factor` over each `every` of `of` parts of the run, a little in each step, down to `floor`.

    Args:
        optimizer: whose learning rate is scaled.
        steps: length of the whole run in optimizer steps.
        factor: what each interval multiplies by.
        every: the paper's interval, in epochs or iterations.
        of: the paper's whole training, in the same unit.
        floor: the smallest share of the learning rate.
    """
    return LambdaLR(optimizer, lambda now: max(floor, factor ** (now * of / (every * steps))))
