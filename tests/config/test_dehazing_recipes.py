"""What rows of dehazing methods train with, against what their papers and releases say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.specs import config

from limpid.config import instantiate
from limpid.results.rows import rows

#: Of rfd's table 5: optimizer (rate, betas or momentum, weight decay), length (steps, epochs), clipping, batch, crop.
OWN: dict[str, tuple[Any, ...]] = {
    "mscnn": ("SGD", 1e-3, 0.9, 5e-4, None, 140, None, 100, 240),
    "famed_net": ("Adam", 1e-4, [0.9, 0.999], 0.0, None, 200, 0.1, 2, 128),
    "gfn": ("Adam", 1e-4, [0.9, 0.999], 1e-5, 100_000, None, 80, 10, 128),
    "pfdn": ("Adam", 1e-4, [0.9, 0.999], 0.0, None, 200, 0.1, 2, 240),
    "dcpdn": ("Adam", 2e-4, [0.5, 0.999], 5e-5, None, 400, None, 1, 512),
    "cycle_dehaze": ("Adam", 1e-4, [0.5, 0.999], 0.0, 200_000, None, None, 1, 256),
    "dehazing_4k": ("Adam", 1e-3, [0.9, 0.999], 0.0, None, 5000, None, 16, 512),
    "ssid": ("Adam", 1e-4, [0.5, 0.999], 0.0, None, 90, None, 2, 256),
}
#: Factors of the rate at the beginning, after a quarter, a half, three quarters, and at the end of the training.
FACTORS = {
    "mscnn": (1, 0.1, 1, 0.1, 1e-3),
    "gfn": (1, 0.5625, 0.25, 0.0625, 0),
    "dcpdn": (1, 0.75, 0.5, 0.25, 0),
    "cycle_dehaze": (1, 1, 1, 0.5, 0),
}


def trained_with(place: str) -> tuple[Any, ...]:
    """As `OWN` has it."""
    plain = config(place)
    optimizer, trainer, data = plain["optimizer"], plain["trainer"], plain["data"]
    return (
        optimizer["_target_"].rpartition(".")[2],
        optimizer["lr"],
        optimizer.get("betas", optimizer.get("momentum")),
        optimizer["weight_decay"],
        trainer["max_steps"],
        trainer["max_epochs"],
        trainer["gradient_clip_val"],
        data["batch_size"],
        data["crop"],
    )


@pytest.mark.parametrize("name", OWN)
def test_a_row_trains_as_its_method_does(name: str) -> None:
    assert trained_with(f"rfd/table5/{name}") == OWN[name]
    make = instantiate.construct(config(f"rfd/table5/{name}")["lr_scheduler"], "lr_scheduler")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    (factor,) = make(optimizer, steps=1400).lr_lambdas
    found = [factor(step) for step in (0, 350, 700, 1050, 1400)]
    assert found == pytest.approx(FACTORS.get(name, (1, 1, 1, 1, 1)))


def test_what_is_retrained_has_the_recipe_of_the_table() -> None:
    """Adam, 200 epochs, batch 2; the rest is the student's."""
    names = [row.id for row in rows("rfd/retrained")]
    assert len(names) == 7
    for place in names:
        assert trained_with(place) == trained_with("rfd/table5/student"), place
        assert trained_with(place) == ("Adam", 1e-4, [0.9, 0.999], 0.0, None, 200, 0.1, 2, 240)
        assert config(place)["lr_scheduler"]["_target_"].endswith("constant")
        assert config(place)["data"]["resize"] is None
        network, loss = (config(f"rfd/table5/{place.rpartition('/')[2]}")[part] for part in ("network", "loss"))
        again = config(place)
        assert again["network"] == network
        assert again["loss"] == loss
