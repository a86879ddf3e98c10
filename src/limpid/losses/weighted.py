"""The sum of named, weighted terms that every system minimises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from limpid.errors import UserError


class WeightedLoss(nn.Module):
    """``sum over terms of weight * term(output, batch)``, and each term's own value for the log.

    Args:
        terms: by name, ``{"weight": float, "term": module}``. A weight of 0 leaves the term out, and so does None in
            the place of both. A configuration's terms of these two kinds are not even made.

    Raises:
        UserError: no term is left.
    """

    def __init__(self, terms: Mapping[str, Mapping[str, Any] | None]) -> None:
        super().__init__()
        kept = {name: term for name, term in terms.items() if term is not None and term["weight"] != 0}
        if not kept:
            raise UserError("The loss has no term with a weight other than 0; give loss.terms at least one.")
        self.weights = {name: float(term["weight"]) for name, term in kept.items()}
        self.terms = nn.ModuleDict({name: term["term"] for name, term in kept.items()})

    def forward(self, output: Any, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The total and the unweighted value of each term, in float32 whatever the autocast.

        A term whose weight is 0 for now is not asked; what it learns itself gets a gradient of 0, because processes
        that average gradients wait for all of them.
        """
        values = {name: term(output, batch) for name, term in self.terms.items() if self.weights[name] != 0}
        idle = [p for name, term in self.terms.items() if name not in values for p in term.parameters()]
        parts = [self.weights[name] * value.float() for name, value in values.items()]
        total = torch.stack(parts + [0 * p.float().sum() for p in idle if p.requires_grad]).sum()
        return total, values
