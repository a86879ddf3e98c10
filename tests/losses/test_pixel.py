"""Terms that compare pixel by pixel: their closed forms on images that differ by a constant."""

from __future__ import annotations

import pytest
import torch
from tests.losses.steps import step

from limpid.losses import L1, MSE, LossTerm, SmoothL1


@pytest.mark.parametrize(
    ("term", "error", "value"),
    [(L1(), 0.4, 0.4), (MSE(), 0.4, 0.16), (SmoothL1(), 0.4, 0.08), (SmoothL1(), 1.5, 1.0)],
)
def test_a_constant_error_gives_its_closed_form(term: LossTerm, error: float, value: float) -> None:
    target = torch.full((1, 3, 4, 4), 0.3)
    assert term(step(target + error, {"target": target})).item() == pytest.approx(value, rel=1e-5)
