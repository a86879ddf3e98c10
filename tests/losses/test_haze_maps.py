"""Terms on transmission and airlight: their values, and what is said where there are none."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from tests.losses.steps import step
from torch import Tensor, nn

from limpid.errors import UserError
from limpid.losses import L1, HazeMap, WeightedLoss
from limpid.models import Restorer


class Found(NamedTuple):
    restored: Tensor
    transmission: Tensor
    airlight: Tensor
    coarse: Tensor


def found() -> Found:
    return Found(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8), torch.rand(2, 3), torch.rand(2, 1, 8, 8))


def test_values() -> None:
    output, true, airlight = found(), torch.rand(2, 1, 8, 8), torch.rand(2, 3)
    batch = {"transmission": true, "airlight": airlight}
    torch.testing.assert_close(HazeMap("transmission")(step(output, batch)), (output.transmission - true).abs().mean())
    torch.testing.assert_close(HazeMap("airlight")(step(output, batch)), (output.airlight - airlight).abs().mean())
    squared = HazeMap("transmission", "coarse", nn.MSELoss())
    torch.testing.assert_close(squared(step(output, batch)), (output.coarse - true).square().mean())


def test_what_is_not_there_is_said_in_a_sentence() -> None:
    with pytest.raises(
        UserError, match=r"compares the airlight with the true one, and the batch has none; .*data=scenes"
    ):
        HazeMap("airlight")(step(found(), {}))
    with pytest.raises(UserError, match="compares the transmission that the network finds, and its output has none"):
        HazeMap("transmission")(step(torch.rand(1, 3, 8, 8), {"transmission": torch.rand(1, 1, 8, 8)}))
    with pytest.raises(UserError, match="'depth', but it must be transmission or airlight"):
        HazeMap("depth")


def test_a_model_gives_its_terms_what_the_batch_knows() -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Found:
            return Found(x, 0 * x, x.mean((2, 3)), x)

    loss = WeightedLoss({"t": {"weight": 1, "term": HazeMap("transmission")}, "l1": {"weight": 1, "term": L1()}})
    model = Restorer(Net(), loss=loss)
    x = torch.rand(2, 3, 16, 16)
    made = model.make_step({"input": x, "target": x, "transmission": torch.full((2, 1, 16, 16), 0.25)})
    assert loss(made)[0].item() == pytest.approx(0.25)
