"""What a run's first step must have done, given the gradients of its losses as a test wrote them down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn


def assert_first_steps(
    before: Mapping[str, nn.Module], gradients: Mapping[str, Sequence[Tensor]], state: Mapping[str, Tensor], lr: float
) -> None:
    """The weights `state` are those of `before` after Adam's first step along `gradients`, part by part."""
    for part, module in before.items():
        greatest, moved = max(float(gradient.abs().max()) for gradient in gradients[part]), 0
        for (name, parameter), gradient in zip(module.named_parameters(), gradients[part], strict=True):
            # Adam's first step is the gradient's sign, which rounding decides where there is next to none.
            clearly = gradient.abs() > 1e-3 * greatest
            expected = parameter.detach() - lr * gradient.sign()
            torch.testing.assert_close(state[f"{part}.{name}"][clearly], expected[clearly], rtol=1e-4, atol=2e-6)
            moved += int(clearly.sum())
        assert moved > 100, part


def logged(run: Path) -> dict[str, float]:
    """The last value of each curve of a run."""
    lines = (run / "curves.csv").read_text().splitlines()[1:]
    return {line.split(",")[1]: float(line.split(",")[2]) for line in lines}
