"""The sum of named, weighted terms that every model minimises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TypedDict

import torch
from torch import Tensor, nn

from limpid.errors import UserError
from limpid.losses.step import LossTerm, Step
from limpid.ranges import FiniteFloat


class WeightedTerm(TypedDict):
    """A term of a loss with its weight, which may be negative."""

    weight: FiniteFloat
    term: nn.Module


class WeightedLoss(nn.Module):
    """``sum over terms of weight * term(step)``, and each term's own value for the log.

    Args:
        terms: by name, ``{"weight": float, "term": module}``. A weight of 0 leaves the term out, and so does None in
            the place of both. A configuration's terms of these two kinds are not even made.

    Raises:
        UserError: no term is left, or one is no `LossTerm`.
    """

    def __init__(self, terms: Mapping[str, WeightedTerm | None]) -> None:
        super().__init__()
        active = {name: term for name, term in terms.items() if term is not None and term["weight"] != 0}
        if not active:
            raise UserError("The loss has no term with a weight other than 0; give loss.terms at least one.")
        for name, entry in active.items():
            if not isinstance(entry["term"], LossTerm):
                raise UserError(
                    f"The term {name} of the loss is a {type(entry['term']).__name__}, which does not take a training "
                    "step; if it takes a restored image and its target, write {_target_: limpid.losses.ImageLoss, "
                    "function: ...} around it."
                )
        self.weights = {name: float(term["weight"]) for name, term in active.items()}
        self.terms = nn.ModuleDict({name: term["term"] for name, term in active.items()})

    def forward(self, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        """The total and the unweighted value of each term, in float32 whatever the autocast.

        A term whose weight is 0 for now is not asked; what it learns itself gets a gradient of 0, because processes
        that average gradients wait for all of them.
        """
        values = {name: term(step) for name, term in self.terms.items() if self.weights[name] != 0}
        idle_terms = [term for name, term in self.terms.items() if name not in values]
        idle = chain.from_iterable(term.parameters() for term in idle_terms)
        parts = [self.weights[name] * value.float() for name, value in values.items()]
        total = torch.stack(parts + [0 * p.float().sum() for p in idle if p.requires_grad]).sum()
        return total, values

    @property
    def requires(self) -> frozenset[str]:
        """The attributes of a `Step` that the terms need whose weight is not 0 at present."""
        active = [term for name, term in self.named_terms().items() if self.weights[name] != 0]
        return frozenset().union(*(term.requires for term in active))

    @property
    def network_layers(self) -> list[str]:
        """The layers of the network whose features any term compares, each once."""
        return _each_once(term.network_layers for term in self.named_terms().values())

    @property
    def teacher_layers(self) -> list[str]:
        """The layers of the teacher whose features any term compares, each once."""
        return _each_once(term.teacher_layers for term in self.named_terms().values())

    @property
    def discriminator_layers(self) -> list[str]:
        """The layers of the discriminator whose features any term compares, each once."""
        return _each_once(term.discriminator_layers for term in self.named_terms().values())

    def named_terms(self) -> dict[str, LossTerm]:
        """The terms by name."""
        return {name: term for name, term in self.terms.items() if isinstance(term, LossTerm)}


def _each_once(layers: Iterable[tuple[str, ...]]) -> list[str]:
    """The names in `layers` in their order, each once."""
    names: dict[str, None] = {}
    for one in layers:
        names.update(dict.fromkeys(one))
    return list(names)
