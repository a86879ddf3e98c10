"""Terms of a loss that take turns: MSCNN's coarse network learns first and then the fine one, and nothing else."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tests.models.plain import trainer
from torch import Tensor
from torch.utils.data import DataLoader

import limpid
from limpid.errors import UserError
from limpid.models.decaying_loss_weights import DecayingLossWeights
from limpid.models.terms_in_turn import TermsInTurn


def mscnn() -> TermsInTurn:
    model = limpid.model("mscnn", "data=scenes", "budget=smoke")
    assert isinstance(model, TermsInTurn)
    return model


def test_the_second_part_of_the_training_leaves_the_first_networks_weights_alone(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    clear, shares = (torch.rand(4, channels, 32, 32, generator=generator) for channels in (3, 1))
    batches = [{"input": c * t + 1 - t, "target": c, "transmission": t} for c, t in zip(clear, shares, strict=True)]
    torch.manual_seed(0)
    model = mscnn()
    seen: list[dict[str, Tensor]] = []

    def note(batch: object, batch_idx: int) -> None:
        seen.append({name: value.clone() for name, value in model.network.state_dict().items()})
        TermsInTurn.on_train_batch_start(model, batch, batch_idx)

    model.on_train_batch_start = note  # type: ignore[assignment]
    trainer(tmp_path, max_steps=4).fit(model, DataLoader(batches))
    seen.append(model.network.state_dict())
    for number, (before, after) in enumerate(pairwise(seen)):
        for name in before:
            learns = name.startswith("coarse." if number < 2 else "fine.")
            assert torch.equal(before[name], after[name]) != learns, (number, name)


def test_the_terms_of_a_turn_alone_have_their_weights() -> None:
    model = mscnn()
    assert model.depends_on_length
    for done, expected in ((0, (1, 0)), (49, (1, 0)), (50, (0, 1)), (100, (0, 1))):
        model.update_loss_weights(done, 100)
        assert model.loss is not None
        assert tuple(model.loss.weights.values()) == expected


def test_a_turn_of_no_term_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"model\.turns names 'corse', which is no term of the loss; did you mean 'coarse'"
    ):
        limpid.model("mscnn", "data=scenes", "model.turns=[[corse],[fine]]")


@pytest.mark.parametrize("turns", [[], [[]], ["coarse", "fine"]])
def test_turns_without_names_are_refused(turns: list[list[str]]) -> None:
    with pytest.raises(UserError, match="a list of lists, each with the name of at least one term"):
        TermsInTurn(torch.nn.Conv2d(3, 3, 1), turns=turns)


@pytest.mark.parametrize(
    "decay", [{"factor": 0.9}, {"factor": 0.9, "of": 0}, {"factor": -1, "of": 2}, {"factor": 1, "of": "x"}]
)
def test_decays_that_are_none_are_refused(decay: dict[str, float]) -> None:
    with pytest.raises(UserError, match=r"model.decay.fine is .*, but it must have a factor, 0 or more"):
        DecayingLossWeights(torch.nn.Conv2d(3, 3, 1), decay={"fine": decay})  # type: ignore[dict-item]
