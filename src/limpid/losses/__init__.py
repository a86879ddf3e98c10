"""Losses: a weighted sum of named terms, each logged under its name.

A term is a module called with `(output, batch)`: what the network returned and the batch it was asked about. It returns
one number. Conf: `loss.terms.<name>: {weight: ..., term: {_target_: ...}}`.
"""

from limpid.losses.pixel import L1, MSE
from limpid.losses.weighted import WeightedLoss

__all__ = ["L1", "MSE", "WeightedLoss"]
