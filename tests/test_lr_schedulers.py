"""Learning rates of the methods that FDR-Net's tables compare with, at the printed places of runs of any length."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from limpid.lr_schedulers import constant_then_linear, milestones, polynomial, step


def rates(shape: object, steps: int, **settings: object) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = shape(optimizer, steps=steps, **settings)  # type: ignore[operator]
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return values


@pytest.mark.parametrize("steps", [20, 40])
def test_milestones_scale_with_the_run(steps: int) -> None:
    found = rates(milestones, steps, factor=0.1, at=[15000, 17500], of=20000)
    part = steps // 20
    assert found[: 15 * part] == [1.0] * (15 * part)
    later = round(17.5 * part + 0.01)
    assert found[15 * part : later] == pytest.approx([0.1] * (later - 15 * part))
    assert found[later:] == pytest.approx([0.01] * (steps - later))


def test_milestones_come_at_their_very_step() -> None:
    found = rates(milestones, 180, factor=0.2, at=[30, 60, 90], of=180)
    assert [found[i] for i in (29, 30, 59, 60, 89, 90, 179)] == pytest.approx([1, 0.2, 0.2, 0.04, 0.04, 0.008, 0.008])


def test_a_polynomial_ends_at_zero() -> None:
    found = rates(polynomial, 10, power=0.3)
    assert found == pytest.approx([(1 - i / 10) ** 0.3 for i in range(10)])
    assert rates(polynomial, 1, power=0.3) == [1.0]


def test_a_decay_begins_anew_with_each_stage() -> None:
    found = rates(step, 14, factor=0.1, every=20, of=70, stages=2)
    assert found == pytest.approx(2 * [1, 1, 0.1, 0.1, 0.01, 0.01, 0.001])
    assert rates(step, 7, factor=0.1, every=20, of=70) == pytest.approx(found[:7])


def test_a_rate_that_falls_may_end_above_zero() -> None:
    found = rates(constant_then_linear, 11, constant=5 / 11, floor=0.001)
    assert found[:6] == [1.0] * 6
    assert found[6:] == pytest.approx([0.001 + 0.999 * (11 - i) / 6 for i in range(6, 11)])
    assert rates(constant_then_linear, 4, constant=0.0) == [1.0, 0.75, 0.5, 0.25]
