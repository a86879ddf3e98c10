"""Degradations: operators that turn a clean sample into a degraded one, drawing from a generator."""

from limpid.data.degradations.haze import Haze, scatter, transmission_from_depth

__all__ = ["Haze", "scatter", "transmission_from_depth"]
